"""What a phone call carried, told twice: exactly over MQTT, and as a short mark on the line (D12).

After the reports of a call the panel journals a PHONE_BATCH Record that lists the Records it sent,
then sends one Contact ID message of a private code whose partition and zone digits are the mark:
the Record's seq mod 10,000 and a check digit. Both reach the collector, in any order and hours
apart; together they join each phone report to its Record with no guess.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from protocols.panel_event import Code, PanelEvent

MARK_CODE: Final = 780
"""Default code of the mark, of the range 750-789 that the standard leaves to the user."""
MARK_MODULUS: Final = 10_000
MAX_SENT: Final = 64
_SENT: Final = re.compile(r"(\d{1,16}):(\d{1,16})(\*?)x(\d{1,3})")


@dataclass(frozen=True, slots=True)
class Sent:
    """One Record as it went over the line: its sending begun `tries` times; `kissed`: acknowledged,
    so that the receiver holds it at least once. Not kissed: it may hold it 0 to `tries` times.
    """

    epoch: int
    seq: int
    kissed: bool
    tries: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """All that was sent since the last mark that was kissed off, in order."""

    sent: tuple[Sent, ...]


def batch_event(batch: Batch) -> PanelEvent:
    """The PHONE_BATCH event of a batch of 1 to MAX_SENT."""
    text = ",".join(
        f"{one.epoch}:{one.seq}{'*' if one.kissed else ''}x{one.tries}" for one in batch.sent
    )
    return PanelEvent(Code.PHONE_BATCH, detail=f"sent={text}")


def batch_of(event: PanelEvent) -> Batch | None:
    """The batch a PHONE_BATCH event tells of; None when it is none or not well formed."""
    if event.code != Code.PHONE_BATCH or not event.detail.startswith("sent="):
        return None
    sent: list[Sent] = []
    for part in event.detail.removeprefix("sent=").split(","):
        found = _SENT.fullmatch(part)
        if found is None or len(sent) >= MAX_SENT:
            return None
        epoch, seq, kissed, tries = found.groups()
        sent.append(Sent(int(epoch), int(seq), bool(kissed), int(tries)))
    return Batch(tuple(sent))


def mark_of(seq: int) -> tuple[int, int]:
    """(partition, zone) digits of the mark of the PHONE_BATCH Record `seq`: 0-99, 0-999."""
    number = seq % MARK_MODULUS
    digits = number * 10 + _check(number)
    return digits // 1000, digits % 1000


def number_of(partition: int, zone: int) -> int | None:
    """Number (seq mod MARK_MODULUS) of a mark's digits; None when the check digit is wrong."""
    digits = partition * 1000 + zone
    number, check = divmod(digits, 10)
    return number if 0 <= digits < 100_000 and check == _check(number) else None


def _check(number: int) -> int:
    """Weighted so that any one wrong digit and any two exchanged neighbours show."""
    weights = (7, 3, 9, 1)
    return sum(w * int(d) for w, d in zip(weights, f"{number:04d}", strict=True)) % 10
