"""One block -> the message to be kept, or why it is not to be kissed off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from collector.reception.call_types import Preferred
from collector.reception.formats import Block, Failed, Format, Found
from collector.reception.timing import uneven


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
    twice: bool = True,
) -> Verdict:
    """`first`: the reading that waits for its repetition; `longest`: digits of the longest other
    block of this call; `twice`: whether weak readings need a repetition at all.
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
    if pinned:
        return Verdict(pinned[0], format=pinned[0].format)
    free = [each for each in readings if each.account not in pins]
    if not free:
        one = readings[0]
        pin = pins[one.account]
        return Verdict(None, f"account {one.account} is pinned to {pin}", one.format)
    found = free[0]
    if twice:
        return Verdict(found, _once(block, found, preferred, first, longest), found.format)
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


def _once(
    block: Block, found: Found, preferred: Preferred | None, first: Verdict | None, longest: int
) -> str:
    """Why one such block is not enough; empty when it is."""
    usual = 0 if preferred is None else preferred.digits
    known = preferred is not None and preferred.format == found.format
    shorter = bool(block.digits) and usual > len(block.digits)
    if known or not (found.weak or shorter):
        return ""
    if found.weak and block.digits and longest > len(block.digits) + 1:
        return "short block after a longer one in the same call"
    before = None if first is None else first.found
    if before is not None and (before.format, before.raw) == (found.format, found.raw):
        return ""
    return "must come twice alike"
