"""One block -> the message to be kept, or why it is not to be kissed off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.reception.call_types import Preferred
from collector.reception.formats import Block, Failed, Format, Found
from collector.reception.timing import uneven, uneven_pulses


@dataclass(frozen=True, slots=True)
class Verdict:
    """`found` with no reason: keep it. With a reason: read, but not to be kissed off (yet)."""

    found: Found | None
    reason: str = ""
    format: str = ""


def judge(
    block: Block,
    formats: Sequence[Format],
    *,
    pins: Mapping[str, str],
    preferred: Preferred | None = None,
    first: Verdict | None = None,
    longest: int = 0,
    late: bool = False,
    twice: bool = True,
) -> Verdict:
    """`first`: the reading that waits for its repetition; `longest`: digits of the longest other
    block of this call; `late`: its beginning may be missing; `twice`: whether readings that have a
    check of their own may need a repetition at all.
    """
    readings, failed = _read(block, formats)
    if not readings:
        if failed is None:
            return Verdict(None, "no known format")
        return Verdict(None, failed.reason, failed.format)
    why = uneven(block.digits)
    if why is not None:
        return Verdict(None, why, readings[0].format)
    pinned = [each for each in readings if pins.get(each.account) == each.format]
    restless = uneven_pulses(block.pulses)
    if pinned:
        why_not = _repetition(first, pinned[0]) if pinned[0].unproven or restless else ""
        return Verdict(pinned[0], why_not, pinned[0].format)
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
    doubtful = shorter or longer or (not known and (found.weak or late))
    if found.unproven or restless or (twice and doubtful):
        return Verdict(found, _repetition(first, found), found.format)
    return Verdict(found, format=found.format)


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


def _repetition(first: Verdict | None, found: Found) -> str:
    """Why one such block is not enough; empty when it is the repetition of `first`."""
    before = None if first is None else first.found
    if before is not None and (before.format, before.raw) == (found.format, found.raw):
        return ""
    return "must come twice alike"
