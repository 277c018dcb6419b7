"""An operator can close a case that the panel's machine has long let go of."""

from __future__ import annotations

import contextlib
from pathlib import Path

from collector.records.case import OperatorAct, Outcome
from collector.verification.machine import OPEN_KEPT
from protocols.panel_event import Code
from tests.support.centre_rig import Panel, centre
from tests.support.collector_rig import reader_of
from tests.support.mqtt_probe import until


def test_the_oldest_of_very_many_open_cases_is_closed(tmp_path: Path) -> None:
    many = OPEN_KEPT + 400
    with centre(tmp_path) as (collector, _):
        panel = Panel(collector)
        panel.card()
        panel.beat()
        for number in range(many):  # a tamper of another zone every half hour, never restored
            panel.tell(Code.ZONE_TAMPER, number * 1_800.0, zone=1 + number % 900)
        until("all judged", lambda: _count(tmp_path) == many, 60)
        first = _first(tmp_path)
        act = OperatorAct(first, "close", "Wang Fang", Outcome.FALSE, "seen to")
        assert collector.operate(act) is None
        until("it to be closed", lambda: _state(tmp_path, first) == "closed", 20)


def _count(folder: Path) -> int:
    with contextlib.closing(reader_of(folder)) as reader:
        return len(list(reader.cases()))


def _first(folder: Path) -> int:
    with contextlib.closing(reader_of(folder)) as reader:
        return next(iter(reader.cases())).id


def _state(folder: Path, case: int) -> str:
    with contextlib.closing(reader_of(folder)) as reader:
        found = reader.case(case)
        return found.state.value if found else ""
