"""Accounts pinned to a format, told to the receivers (R85): each says which list it has, and gets
the registry's when that is another. What was sent is not remembered: each heartbeat asks anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from collector.intake.accounts import Account, AccountBook
from protocols.instants import Instant, later
from protocols.mqtt.reception import MAX_PARTS, MAX_PINS, Pin, ReceiverPins, Reception, pins_version

SEND_EVERY_S: Final = 5.0
"""A receiver that sends its backlog says its version many times a second."""


def pins_for(accounts: tuple[Account, ...], receiver: str) -> tuple[Pin, ...]:
    """What `receiver` is to pin. Where accounts of the same number want different formats, any is
    taken: a panel must not go unheard because another has its number.
    """
    general: dict[str, set[str]] = {}
    special: dict[tuple[str, str], set[str]] = {}
    for one in accounts:
        if one.receiver in {"", receiver}:
            if one.line:
                special.setdefault((one.account, one.line), set()).add(one.format)
            else:
                general.setdefault(one.account, set()).add(one.format)
    pins = [Pin(account, _agreed(formats)) for account, formats in general.items()]
    for (account, line), formats in special.items():
        pins.append(Pin(account, _agreed(formats | general.get(account, set())), line))
    needed = (one for one in pins if one.format or (one.line and _agreed(general.get(one.account))))
    return tuple(sorted(needed, key=lambda one: (one.account, one.line)))[: MAX_PARTS * MAX_PINS]


def _agreed(formats: set[str] | None) -> str:
    return next(iter(formats)) if formats is not None and len(formats) == 1 else ""


class PinLists:
    """`receive` gives what to publish to a receiver; pure, `now` is the time of receipt."""

    def __init__(self) -> None:
        self._book = AccountBook()
        self._lists: dict[str, tuple[str, tuple[Pin, ...]]] = {}
        self._again: dict[str, Instant] = {}

    def receive(self, header: Reception, book: AccountBook, now: Instant) -> Iterator[ReceiverPins]:
        """The list in parts, when the receiver has another one and was not just sent it."""
        if book is not self._book:
            self._book = book
            self._lists.clear()
            self._again.clear()
        name = header.receiver
        if header.pins is None or now < self._again.get(name, now):
            return
        if name not in self._lists:
            pins = pins_for(book.accounts, name)
            self._lists[name] = (pins_version(pins), pins)
        version, pins = self._lists[name]
        if header.pins == version:
            return
        self._again[name] = later(now, SEND_EVERY_S)
        parts = [pins[at : at + MAX_PINS] for at in range(0, len(pins), MAX_PINS)] or [()]
        for part, some in enumerate(parts):
            yield ReceiverPins(version, part, len(parts), list(some))
