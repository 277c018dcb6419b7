"""Recognisers from outside the package: entry point group `tocsin.phone_formats` (D10).

An entry point names a class (or any callable) that gives an object with `name` and at least one of
`read(block)` and `decode(samples, heard)`: see reception/README.md. A fault in one harms no call:
it reads nothing, and is counted; one that holds up all lines again and again is asked no more.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from collector.reception.formats import Block, Event, Failed, Found
from collector.reception.profile import Handshake
from collector.reception.sounding import lasts_s
from protocols.panel_event import PanelEvent
from protocols.tones.elements import Heard, Playable
from protocols.tones.synthesis import render

GROUP: Final = "tocsin.phone_formats"
SLOW_S: Final = 0.2
"""All lines wait while a plug-in reads: so long is a fault..."""
MOST_SLOW: Final = 3
"""...and so many of them end its part in calls; recordings it may still decode."""
MOST_SOUND_S: Final = 10.0
MOST_EVENTS: Final = 64
MOST_TEXT: Final = 512


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
        self._slow = 0

    @property
    def handshakes(self) -> tuple[Handshake, ...]:
        """Those it brings that can be sounded, to be named in a profile."""
        given = getattr(self._plugin, "handshakes", ())
        return tuple(each for each in given if isinstance(each, Handshake) and _sounds(each.sound))

    @property
    def state(self) -> str:
        """For people: its name, and how often it failed, most often by what."""
        if not self.faults:
            return self.name
        (worst, _), *_ = self.faults.most_common(1)
        return f"{self.name} ({self.faults.total()} faults: {worst})"

    @property
    def decodes(self) -> bool:
        """It can be given whole recordings."""
        return callable(getattr(self._plugin, "decode", None))

    def read(self, block: Block) -> Sequence[Found] | Failed | None:
        """See formats.Format; None when the plug-in does not judge blocks, or fails."""
        read = getattr(self._plugin, "read", None)
        if read is None or self._slow >= MOST_SLOW:
            return None
        begun = time.perf_counter()
        try:
            got = read(block)
            if got is None or isinstance(got, Failed):
                return got
            return self._checked(got)
        except Exception as error:  # noqa: BLE001 - somebody else's code; calls must go on
            self.faults[repr(error)[:200]] += 1
            return None
        finally:
            if time.perf_counter() - begun > SLOW_S:
                self._slow += 1
                self.faults[f"held up all lines for more than {SLOW_S} s"] += 1

    def decode(self, samples: NDArray[np.int16], heard: Sequence[Heard]) -> Sequence[Found]:
        """What it finds in a whole recording (8 kHz)."""
        try:
            return self._checked(self._plugin.decode(samples, heard))
        except Exception as error:  # noqa: BLE001 - somebody else's code
            self.faults[repr(error)[:200]] += 1
            return []

    def _checked(self, got: Any) -> list[Found]:
        """What can be stored, told and sounded; the rest is a fault."""
        found: list[Found] = []
        for each in got:
            why = _unusable(each)
            if why:
                self.faults[why] += 1
            else:
                found.append(each)
        return found


def _unusable(found: Any) -> str:
    if not isinstance(found, Found):
        return "answered something other than Found"
    texts = (found.format, found.account, found.raw)
    if not all(isinstance(each, str) and len(each) <= MOST_TEXT for each in texts):
        return f"Found: format, account and raw must be texts of at most {MOST_TEXT} letters"
    events = found.events
    if not isinstance(events, tuple) or len(events) > MOST_EVENTS:
        return f"Found.events must be a tuple of at most {MOST_EVENTS} Event"
    if not all(isinstance(each, Event) and _told(each) for each in events):
        return "Found.events must be Event(PanelEvent, mark)"
    if found.answer is not None and not _sounds(found.answer):
        return f"Found.answer must be Playables of at most {MOST_SOUND_S} s"
    return ""


def _told(event: Event) -> bool:
    """It can be written and read again."""
    try:
        msgspec.json.decode(msgspec.json.encode(event.event), type=PanelEvent)
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError):
        return False
    return isinstance(event.event, PanelEvent) and isinstance(event.mark, int | None)


def _sounds(sound: Any) -> bool:
    """It can be played. Whatever a plug-in put into it, this does not raise."""
    try:
        playable = isinstance(sound, tuple) and all(isinstance(one, Playable) for one in sound)
        if playable and 0 <= lasts_s(sound) <= MOST_SOUND_S:
            render(sound)
            return True
    except Exception:  # noqa: BLE001, S110 - somebody else's numbers, of any type
        pass
    return False


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
