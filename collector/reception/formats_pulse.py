"""Pulse formats as recognisers (protocols.md 4.3): a block is one round, or two run together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from collector.reception.formats import Block, Event, Failed, Found
from protocols.contact_id import pulse
from protocols.contact_id.message import Refusal
from protocols.contact_id.profile import Profile

DEFAULT: Final = tuple(each for each in pulse.FORMATS if each.check is pulse.Check.ROUNDS)
"""Their rounds differ in length, so they can be told apart. Those with parity cannot: set them."""
NAMES: Final = {each.name: each for each in pulse.FORMATS}


class PulseFamily:
    """Pulse formats of a line, and those that accounts are pinned to."""

    name = "pulse"

    def __init__(
        self,
        allowed: Sequence[pulse.PulseFormat] = DEFAULT,
        *,
        pins: Mapping[str, str] | None = None,
        profiles: Mapping[str, Profile] | None = None,
    ) -> None:
        self._allowed = tuple(allowed)
        self._pins = pins or {}
        pinned = {NAMES[name] for name in self._pins.values() if name in NAMES}
        self._pinned = tuple(each for each in pinned if each not in self._allowed)
        self._profiles = profiles or {}

    def read(self, block: Block) -> Sequence[Found] | Failed | None:
        """All readings; one round of a format proved by two is unproven: the second must come."""
        if not block.pulses:
            return None
        digits = [pulse.digit_of(each.count) for each in block.pulses]
        text = "".join(each or "?" for each in digits)
        found = [each for each in (self._read(text, one) for one in self._allowed) if each]
        for setting in self._pinned:
            other = self._read(text, setting)
            if other is not None and self._pins.get(other.account) == setting.name:
                found.insert(0, other)
        if found:
            return found
        if len(text) < min(each.length for each in pulse.FORMATS):
            return None
        return Failed("pulse", f"{len(text)} digits, or a check that fails")

    def _read(self, text: str, setting: pulse.PulseFormat) -> Found | None:
        if setting.check is pulse.Check.PARITY:
            return self._found(pulse.recognise([text], setting))
        half = len(text) // 2
        if len(text) == 2 * setting.length and text[:half] == text[half:]:
            return self._found(pulse.recognise([text[:half]] * 2, setting))
        return self._found(pulse.recognise([text, text], setting), unproven=True)

    def _found(
        self, read: pulse.PulseBlock | pulse.NeedRound | Refusal, *, unproven: bool = False
    ) -> Found | None:
        if not isinstance(read, pulse.PulseBlock):
            return None
        profile = self._profiles.get(read.account, Profile())
        event = Event(pulse.event_of_block(read, profile))
        weak = read.format.check is pulse.Check.PARITY
        return Found(
            read.format.name, read.account, read.digits, (event,), weak=weak, unproven=unproven
        )
