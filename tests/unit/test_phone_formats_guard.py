"""Somebody else's recogniser may do anything: no call is harmed, and what it did is counted."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from collector.adapters.phone_formats import MOST_SLOW, SLOW_S, GuardedFormat
from collector.reception.formats import Block, Event, Failed, Found
from collector.reception.profile import Handshake
from protocols.panel_event import PanelEvent
from protocols.tones.elements import Digits, Silence, Tone
from tests.support.reception_line import Line, block_of

GOOD = Found("ours", "0042", "raw", (Event(PanelEvent(130)),))


class Plugin:
    name = "ours"

    def __init__(self, answers: Callable[[], Any], handshakes: object = ()) -> None:
        self._answers = answers
        self.handshakes = handshakes

    def read(self, block: Block) -> Any:
        return self._answers()

    def decode(self, samples: object, heard: object) -> Any:
        return self._answers()


def raises() -> None:
    raise RuntimeError("not today")


BAD: dict[str, Callable[[], Any]] = {
    "raises": raises,
    "a number": lambda: 7,
    "a text": lambda: "found",
    "no Found": lambda: [1, None],
    "account": lambda: [Found("ours", 42, "raw", ())],  # type: ignore[arg-type]
    "long": lambda: [Found("ours", "1", "x" * 10_000, ())],
    "events": lambda: [Found("ours", "1", "raw", [Event(PanelEvent(130))])],  # type: ignore[arg-type]
    "many": lambda: [Found("ours", "1", "raw", (Event(PanelEvent(130)),) * 1000)],
    "event": lambda: [Found("ours", "1", "raw", (PanelEvent(130),))],  # type: ignore[arg-type]
    "code": lambda: [Found("ours", "1", "raw", (Event(PanelEvent("130")),))],  # type: ignore[arg-type]
    "mark": lambda: [Found("ours", "1", "raw", (Event(PanelEvent(130), "1"),))],  # type: ignore[arg-type]
    "key": lambda: [Found("ours", "1", "raw", (), answer=(Digits("Z"),))],
    "pitch": lambda: [Found("ours", "1", "raw", (), answer=(Tone("high", 100),))],  # type: ignore[arg-type]
    "for ever": lambda: [Found("ours", "1", "raw", (), answer=(Silence(10**12),))],
    "backwards": lambda: [Found("ours", "1", "raw", (), answer=(Silence(-5),))],
    "no sound": lambda: [Found("ours", "1", "raw", (), answer=("beep",))],  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_an_answer_is_counted_and_harms_nothing(name: str) -> None:
    guarded = GuardedFormat(Plugin(BAD[name]))
    assert not guarded.read(Block(()))
    assert not guarded.decode(np.zeros(8, np.int16), ())
    assert guarded.faults.total() >= 2
    assert re.match(r"ours \([0-9]+ faults: ", guarded.state)
    line = Line(more=[guarded]).answered()
    line.wait(1600)
    line.digits(block_of())
    line.wait(1250)
    assert len(line.kissed) == 1


def test_what_is_right_goes_through() -> None:
    failed = Failed("ours", "sum")
    for answer in ([GOOD], [], None, failed):
        guarded = GuardedFormat(Plugin(lambda answer=answer: answer))
        assert guarded.read(Block(())) == answer
        assert guarded.state == "ours"


def test_one_that_holds_up_all_lines_is_asked_no_more() -> None:
    asked = []

    def slow() -> list[Found]:
        asked.append(1)
        time.sleep(SLOW_S * 1.05)
        return [GOOD]

    guarded = GuardedFormat(Plugin(slow))
    for _ in range(MOST_SLOW):
        assert guarded.read(Block(())) == [GOOD]
    assert guarded.read(Block(())) is None
    assert len(asked) == MOST_SLOW
    assert guarded.decode(np.zeros(8, np.int16), ()) == [GOOD]


def test_a_handshake_that_cannot_be_sounded_is_none() -> None:
    good = Handshake("ours", (Tone(1000, 300),))
    bad = Handshake("theirs", (Tone(1000, -1),))
    guarded = GuardedFormat(Plugin(lambda: None, (good, bad, "tone")))
    assert guarded.handshakes == (good,)
