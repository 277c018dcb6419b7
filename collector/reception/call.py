"""The receiver's machine for one call: answer, handshake, read, store, kiss off.

`now` is the line's own clock: the ms of audio heard so far, so that what arrives late is not
judged late. Effects are in the order they are to be carried out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from collector.reception.call_types import Effect, Input, Preferred
from collector.reception.profile import Profile
from protocols.instants import Instant

__all__ = ["Call"]


class Call:
    """One incoming call from Answered to HangUp (effect) or HungUp (input).

    `pins`: format by account; a pinned account's message in another format is refused.
    `preferred`: what this caller's last call used (a `Learned` effect's).
    """

    def __init__(
        self,
        profile: Profile,
        *,
        caller: str = "",
        preferred: Preferred | None = None,
        pins: Mapping[str, str] | None = None,
    ) -> None:
        self._profile = profile
        self._caller = caller
        self._preferred = preferred
        self._pins = pins or {}

    @property
    def over(self) -> bool:
        """True after HangUp or HungUp: further inputs are ignored."""
        return True

    def receive(self, given: Input, now: Instant) -> Sequence[Effect]:
        """One thing heard or told."""
        raise NotImplementedError

    def tick(self, now: Instant) -> Sequence[Effect]:
        """Time passed; call at `deadline` or at any other time."""
        raise NotImplementedError

    def deadline(self) -> Instant | None:
        """When `tick` has something to do."""
        raise NotImplementedError
