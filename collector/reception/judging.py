"""One block -> the message to be kept, or why it is not to be kissed off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from collector.reception.call_types import Preferred
from collector.reception.formats import Block, Failed, Format, Found
from collector.reception.timing import scattered, uneven, uneven_pulses
from protocols.contact_id import family


@dataclass(frozen=True, slots=True)
class Verdict:
    """`found` with no reason: keep it. With a reason: read, but not to be kissed off (yet)."""

    found: Found | None
    reason: str = ""
    format: str = ""


OF_16: Final = family.Format.CONTACT_ID.value
"""What the last 16 digits of 22 look like: the message type stands where it must."""
MOST_ALIKE: Final = 3
"""No reading must come more often."""


@dataclass(frozen=True, slots=True)
class Alike:
    """A reading that came `times` times, with nothing else that could be read in between."""

    found: Found
    times: int = 1

    def times_with(self, found: Found) -> int:
        """How often `found` came, if it came now."""
        same = (self.found.format, self.found.raw) == (found.format, found.raw)
        return self.times + 1 if same else 1


def judge(
    block: Block,
    formats: Sequence[Format],
    *,
    pins: Mapping[str, str],
    preferred: Preferred | None = None,
    earlier: Alike | None = None,
    longest: int = 0,
    late: bool = False,
    twice: bool = True,
) -> Verdict:
    """`earlier`: the reading that waits for its repetition; `longest`: digits of the longest other
    block of this call; `late`: its beginning may be missing; `twice`: whether readings that have a
    check of their own may need a repetition at all.
    """
    readings, failed = _read(block, formats)
    if not readings:
        if failed is None:
            return Verdict(None, "no known format")
        return Verdict(None, failed.reason, failed.format)
    why = uneven(block.digits) or scattered(block.pulses)
    if why is not None:
        return Verdict(None, why, readings[0].format)
    pinned = [each for each in readings if pins.get(each.account) == each.format]
    restless = uneven_pulses(block.pulses)
    if pinned:
        found = pinned[0]
        wanted = 1 + found.unproven + restless
        return Verdict(found, _repetition(earlier, found, wanted), found.format)
    free = [each for each in readings if each.account not in pins]
    if not free:
        one = readings[0]
        pin = pins[one.account]
        return Verdict(None, f"account {one.account} is pinned to {pin}", one.format)
    found = free[0]
    digits = len(block.digits)
    known = preferred is not None and preferred.format == found.format
    longer = digits > 0 and longest > digits + 1
    if twice and found.weak and longer and not known:
        return Verdict(found, "short block after a longer one in the same call", found.format)
    shorter = digits > 0 and preferred is not None and preferred.digits > digits
    # Any of these may be a part of a longer block.
    tail = late and found.format == OF_16
    doubtful = shorter or longer or (not known and (found.weak or tail))
    wanted = 1 + (found.unproven or (twice and doubtful)) + restless
    return Verdict(found, _repetition(earlier, found, wanted), found.format)


def _read(block: Block, formats: Sequence[Format]) -> tuple[list[Found], Failed | None]:
    readings: list[Found] = []
    failed: Failed | None = None
    for each in formats:
        got = each.read(block)
        if isinstance(got, Failed):
            failed = failed or got
        elif got:
            readings.extend(got)
    return readings, failed


def _repetition(earlier: Alike | None, found: Found, wanted: int) -> str:
    """Why it has not come often enough; empty when it has."""
    times = 1 if earlier is None else earlier.times_with(found)
    if times >= wanted:
        return ""
    return "must come twice alike" if wanted == 2 else f"must come {wanted} times alike"
