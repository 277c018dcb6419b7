"""Contact ID and its Ademco relatives as recognisers (protocols.md 1, 4.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from collector.reception.formats import Block, Event, Failed, Found
from protocols import phone_batch
from protocols.contact_id import family, mapping, message
from protocols.contact_id.family import Recognised
from protocols.contact_id.profile import Profile
from protocols.panel_event import PanelEvent

LISTEN_IN: Final = 606
"""Two-way voice follows: the receiver leaves the line (protocols.md 5.5)."""
CONTACT_ID: Final = frozenset({family.Format.CONTACT_ID, family.Format.CONTACT_ID_10})
PLAIN: Final = frozenset({family.Format.EXPRESS_4_1_PLAIN, family.Format.EXPRESS_4_2_PLAIN})
"""Without a check of their own: read only for accounts pinned to them."""
UNCHECKED: Final = PLAIN | {family.Format.SUPER_FAST}
DEFAULT: Final = family.AUTOMATIC | CONTACT_ID
LEAST_DIGITS: Final = 5
"""Fewer are no attempt at a message worth a reason of its own."""


class DtmfFamily:
    """All DTMF formats of one handshake. `events`: what an account's event digits mean."""

    name = "dtmf"

    def __init__(
        self,
        allowed: frozenset[family.Format] = DEFAULT,
        *,
        pins: Mapping[str, str] | None = None,
        events: Mapping[str, Profile] | None = None,
        mark_code: int = phone_batch.MARK_CODE,
    ) -> None:
        self._allowed = allowed - PLAIN
        self._pins = pins or {}
        self._plain = frozenset(each for each in PLAIN if each.value in self._pins.values())
        self._events = events or {}
        self._mark_code = mark_code

    def read(self, block: Block) -> Sequence[Found] | Failed | None:
        """At most one reading: digits 5 and 6 decide."""
        keys = block.keys
        if not keys:
            return None
        digits = message.digits_of(keys)
        verdict = family.recognise(digits, allowed=self._allowed, ended=True)
        if isinstance(verdict, Recognised):
            return [self._found(verdict)]
        for plain in self._plain:
            other = family.recognise(digits, allowed=frozenset({plain}), ended=True)
            if isinstance(other, Recognised) and self._pins.get(other.account) == plain.value:
                return [self._found(other)]
        if len(digits) < LEAST_DIGITS or not isinstance(verdict, message.Refusal):
            return None
        return Failed("dtmf", f"{verdict.reason} ({verdict.clause})")

    def _found(self, read: Recognised) -> Found:
        if read.format in CONTACT_ID:
            return self._contact_id(read)
        told = family.events_of(read, self._events.get(read.account, Profile()))
        return self._as_found(read, tuple(Event(each) for each in told))

    def _contact_id(self, read: Recognised) -> Found:
        decoded = message.decode(read.digits)
        assert isinstance(decoded, message.Message)
        event = mapping.event_of(decoded)
        mark = mapping.mark_in(decoded, self._mark_code)
        return self._as_found(read, (Event(event, mark),), voice=_asks_for_voice(event))

    def _as_found(
        self, read: Recognised, events: tuple[Event, ...], *, voice: bool = False
    ) -> Found:
        return Found(
            read.format.value,
            read.account,
            read.digits,
            events,
            weak=read.weak,
            unproven=read.format in UNCHECKED,
            voice=voice,
        )


def _asks_for_voice(event: PanelEvent) -> bool:
    return event.code == LISTEN_IN
