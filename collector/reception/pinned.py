"""Format that an account is pinned to on a line: receiver.toml first, then the collector's list."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from protocols.mqtt.reception import Pin, ReceiverPins, pins_version


@dataclass(frozen=True, slots=True)
class Origin:
    """One pin, where it stands, and why it is not used (empty: it is)."""

    pin: Pin
    source: str
    unused: str = ""


class PinParts:
    """Gathers the parts of the collector's list; one list at a time, bounded by its messages."""

    def __init__(self) -> None:
        self._version = ""
        self._parts: dict[int, list[Pin]] = {}

    def receive(self, part: ReceiverPins) -> tuple[Pin, ...] | None:
        """The whole list once every part of it is here and it is what its version says."""
        if part.part == 0 or part.version != self._version:
            self._version, self._parts = part.version, {}
        self._parts[part.part] = part.pins
        if set(self._parts) != set(range(part.parts)):
            return None
        pins = tuple(one for at in range(part.parts) for one in self._parts[at])
        self._parts = {}
        return pins if pins_version(pins) == part.version else None


def pinned(
    own: Mapping[str, str], listed: Collection[Pin], line: str, known: Collection[str]
) -> dict[str, str]:
    """Format by account on `line`. A listed format that nobody here reads pins nothing: no message
    of that account would ever be kissed off.
    """
    made: dict[str, str] = {}
    for wanted in ("", line):
        for one in listed:
            if one.line != wanted:
                continue
            if one.format in known:
                made[one.account] = one.format
            else:
                made.pop(one.account, None)
    return made | dict(own)


def origins(
    own: Mapping[str, str], listed: Collection[Pin], known: Collection[str]
) -> list[Origin]:
    """Every pin for people, by account."""
    made = [Origin(Pin(account, name), "receiver.toml") for account, name in own.items()]
    for one in listed:
        why = ""
        if one.account in own:
            why = "receiver.toml says otherwise" if own[one.account] != one.format else ""
        elif one.format and one.format not in known:
            why = "no such format here: any is taken"
        made.append(Origin(one, "collector", why))
    return sorted(made, key=lambda each: (each.pin.account, each.pin.line, each.source))
