"""Recognisers from outside the package: entry point group `tocsin.phone_formats` (D10).

An entry point names a class (or any callable) that gives an object with `name` and at least one of
`read(block)` and `decode(samples, heard)`: see reception/README.md. A fault in one harms no call:
it reads nothing, and is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from collector.reception.formats import Block, Failed, Found
from collector.reception.profile import Handshake
from protocols.tones.elements import Heard

GROUP: Final = "tocsin.phone_formats"


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """An entry point that gave nothing usable."""

    name: str
    why: str


class GuardedFormat:
    """One plug-in behind a guard: what it raises or answers wrongly is counted, not spread."""

    def __init__(self, plugin: Any) -> None:
        self._plugin = plugin
        self.name = str(plugin.name)
        self.faults: Counter[str] = Counter()

    @property
    def handshakes(self) -> tuple[Handshake, ...]:
        """Those it brings, to be named in a profile."""
        given = getattr(self._plugin, "handshakes", ())
        return tuple(each for each in given if isinstance(each, Handshake))

    @property
    def decodes(self) -> bool:
        """It can be given whole recordings."""
        return callable(getattr(self._plugin, "decode", None))

    def read(self, block: Block) -> Sequence[Found] | Failed | None:
        """See formats.Format; None when the plug-in does not judge blocks, or fails."""
        read = getattr(self._plugin, "read", None)
        if read is None:
            return None
        try:
            got = read(block)
        except Exception as error:  # noqa: BLE001 - somebody else's code; calls must go on
            self.faults[repr(error)[:200]] += 1
            return None
        if got is None or isinstance(got, Failed):
            return got
        return self._checked(got)

    def decode(self, samples: NDArray[np.int16], heard: Sequence[Heard]) -> Sequence[Found]:
        """What it finds in a whole recording (8 kHz)."""
        try:
            return self._checked(self._plugin.decode(samples, heard))
        except Exception as error:  # noqa: BLE001 - somebody else's code
            self.faults[repr(error)[:200]] += 1
            return []

    def _checked(self, got: Any) -> list[Found]:
        found = [each for each in got if isinstance(each, Found)]
        if len(found) != len(got):
            self.faults["answered something other than Found"] += 1
        return found


def load_phone_formats() -> tuple[list[GuardedFormat], list[NotLoaded]]:
    """All plug-ins of this environment, and those that could not be used."""
    formats: list[GuardedFormat] = []
    failed: list[NotLoaded] = []
    for point in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        try:
            plugin = point.load()()
            usable = any(callable(getattr(plugin, each, None)) for each in ("read", "decode"))
            if not usable or not isinstance(getattr(plugin, "name", None), str):
                failed.append(NotLoaded(point.name, "needs `name` and `read` or `decode`"))
                continue
            formats.append(GuardedFormat(plugin))
        except Exception as error:  # noqa: BLE001 - somebody else's code must not stop reception
            failed.append(NotLoaded(point.name, repr(error)))
    return formats, failed
