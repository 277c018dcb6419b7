"""Two paths of real programs, each dying in silence: what the other tells of it, and how soon
(users.md M1, M2, M3). The seconds are printed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.adapters.local_socket import PhoneAsked, PhoneStatus, ask
from hil.drivers.process import wait_for
from hil.drivers.sim_rig import SimRig
from protocols.panel_event import Code, Qualifier

pytestmark = [pytest.mark.system, pytest.mark.slow]

KISSED_S = 90.0
TOLD_S = 180.0
BUTTON = 4
POLL_S = 0.1


def _phone(rig: SimRig) -> PhoneStatus:
    told = ask(rig.panel_dir / "panel.sock", PhoneAsked()).phone
    assert told is not None
    return told


def _told(rig: SimRig, code: Code, q: Qualifier, path: str) -> bool:
    """The centre holds it, and by this path."""
    return any(
        (row["code"], row["q"]) == (code, q) and path in row["paths"] for row in rig.occurrences()
    )


def _kissed_off_s(rig: SimRig, code: Code) -> float | None:
    """When (monotonic) the panel heard the kiss-off of its report of this code."""
    found = False
    for step in _phone(rig).steps:
        found = found or (step.what == "block" and step.detail.startswith(f"report {code:d} q1"))
        if found and step.what == "kiss_off":
            return step.at_s
    return None


def _seconds(what: str, probe: Callable[[], object], since: float, most_s: float) -> float:
    wait_for(what, lambda: probe() or None, since + most_s - time.monotonic(), POLL_S)
    return round(time.monotonic() - since, 1)


def test_each_path_tells_of_the_other_and_an_alarm_finds_its_way(tmp_path: Path) -> None:
    seconds: dict[str, float] = {}
    with SimRig(tmp_path / "rig", phone=True) as rig:
        rig.build()
        wait_for("MQTT up", lambda: (rig.panel_status() or {}).get("path") == "up", 30, POLL_S)
        wait_for("the line", lambda: _phone(rig).line, 10, POLL_S)

        rig.cut("phone")
        cut = time.monotonic()
        seconds["phone lost, told by mqtt"] = _seconds(
            "351 by MQTT", lambda: _told(rig, Code.PATH_PHONE_FAULT, Qualifier.NEW, "mqtt"), cut,
            TOLD_S,
        )  # fmt: skip
        rig.heal("phone")
        healed = time.monotonic()
        seconds["phone back, told by mqtt"] = _seconds(
            "351 over by MQTT",
            lambda: _told(rig, Code.PATH_PHONE_FAULT, Qualifier.RESTORE, "mqtt"), healed, TOLD_S,
        )  # fmt: skip

        rig.cut()
        rig.set_zone(BUTTON, "alarm")
        cut = time.monotonic()
        wait_for(
            "the hold-up's kiss-off", lambda: _kissed_off_s(rig, Code.HOLDUP_SILENT), KISSED_S,
            POLL_S,
        )  # fmt: skip
        heard = _kissed_off_s(rig, Code.HOLDUP_SILENT)
        assert heard is not None
        seconds["hold-up, black hole to kiss-off"] = round(heard - cut, 1)
        assert _told(rig, Code.HOLDUP_SILENT, Qualifier.NEW, "phone"), "kissed off is stored"
        seconds["mqtt lost, told by phone"] = _seconds(
            "350 by phone", lambda: _told(rig, Code.PATH_IP_FAULT, Qualifier.NEW, "phone"), cut,
            TOLD_S,
        )  # fmt: skip
        rig.heal()
        healed = time.monotonic()
        seconds["mqtt back, told by phone"] = _seconds(
            "350 over by phone",
            lambda: _told(rig, Code.PATH_IP_FAULT, Qualifier.RESTORE, "phone"), healed, TOLD_S,
        )  # fmt: skip
        wait_for("one hold-up by both paths", lambda: _one_by_both(rig), 60, POLL_S)
    print(json.dumps(seconds))
    assert seconds["hold-up, black hole to kiss-off"] <= KISSED_S
    assert all(each <= TOLD_S for each in seconds.values())


def _one_by_both(rig: SimRig) -> bool:
    presses = [row for row in rig.occurrences() if row["code"] == Code.HOLDUP_SILENT]
    return len(presses) == 1 and set(presses[0]["paths"]) == {"mqtt", "phone"}
