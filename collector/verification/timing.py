"""How far apart two pieces of evidence are, and whether that is certain."""

from __future__ import annotations

from enum import Enum

from collector.records.case import Evidence


class Surely(Enum):
    """An answer that admits not knowing."""

    YES = "yes"
    NO = "no"
    DOUBT = "doubt"


def gap_us(first: Evidence, second: Evidence) -> tuple[int, int]:
    """Least and most µs from `first` to `second`.

    Within one boot the monotonic clock tells exactly; otherwise both error bounds count, and the
    panel's own sequence still tells which came first.
    """
    one_boot = first.boot and first.boot == second.boot
    if one_boot and first.mono is not None and second.mono is not None:
        exact = (second.mono - first.mono) // 1000
        return exact, exact
    apart = second.at - first.at
    doubt = first.err_us + second.err_us
    least, most = apart - doubt, apart + doubt
    order = in_sequence(first, second)
    if order is True:
        return max(least, 0), max(most, 0)
    if order is False:
        return min(least, 0), min(most, 0)
    return least, most


def in_sequence(first: Evidence, second: Evidence) -> bool | None:
    """Whether the panel's sequence puts `first` first; None when it cannot tell."""
    if first.epoch and first.epoch == second.epoch:
        return first.seq < second.seq
    return None


def within(first: Evidence, second: Evidence, limit_us: int) -> Surely:
    """Whether the two are no further apart than `limit_us`, whichever came first."""
    least, most = gap_us(first, second)
    if -limit_us <= least and most <= limit_us:
        return Surely.YES
    if least > limit_us or most < -limit_us:
        return Surely.NO
    return Surely.DOUBT


def after(first: Evidence, second: Evidence) -> Surely:
    """Whether `second` came after `first`."""
    order = in_sequence(first, second)
    if order is not None:
        return Surely.YES if order else Surely.NO
    least, most = gap_us(first, second)
    if least >= 0:
        return Surely.YES
    return Surely.NO if most < 0 else Surely.DOUBT
