"""Which handshake is sounded next (R85, protocols.md 4.5)."""

from __future__ import annotations

from collector.reception.call_types import Preferred
from collector.reception.profile import Handshake, Profile
from protocols.tones.elements import Fsk


class Inviting:
    """The handshakes of one call, in the profile's order; what worked before goes first."""

    def __init__(self, profile: Profile, preferred: Preferred | None) -> None:
        self._rounds = profile.rounds
        self._order = _order(profile.handshakes, preferred)
        self._sounded = 0
        self._again = False
        self._in_vain = 0
        self.carrier = False
        """One that invites FSK was sounded."""

    @property
    def begun(self) -> bool:
        """One was sounded."""
        return self._sounded > 0

    @property
    def last(self) -> Handshake:
        """The one sounded last."""
        return self._order[(self._sounded - 1) % len(self._order)]

    def repeat(self) -> None:
        """A block failed: once more the one it answered."""
        self._again = True

    def answered(self) -> None:
        """A block was stored."""
        self._in_vain = 0

    def following(self, *, dtmf: bool) -> Handshake | str:
        """The next, or why there is none.

        A caller that sent DTMF gets no other: the single 1400 Hz is long enough to be taken for the
        kiss-off of what failed (libspandsp2's sender does).
        """
        if self.begun and (self._again or dtmf):
            if not self._again:
                self._in_vain += 1
                if self._in_vain >= self._rounds:
                    return "no block that could be read"
            self._again = False
        elif self._sounded >= self._rounds * len(self._order):
            return "no handshake was answered"
        else:
            self._sounded += 1
        self.carrier |= any(isinstance(each, Fsk) for each in self.last.sound)
        return self.last


def _order(handshakes: tuple[Handshake, ...], preferred: Preferred | None) -> tuple[Handshake, ...]:
    if preferred is None:
        return handshakes
    first = tuple(each for each in handshakes if each.name == preferred.handshake)
    return first + tuple(each for each in handshakes if each.name != preferred.handshake)
