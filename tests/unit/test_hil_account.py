"""The demo's account must notice when it is not true: each lie is caught."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hil.account import Seen, check

T0 = 1_795_000_000.0


def _row(seq: int, code: int, zone: int, q: int = 1, after_s: float = 0.3) -> dict[str, Any]:
    event = {"code": code, "zone": zone} | ({} if q == 1 else {"q": q})
    return {"epoch": 1, "seq": seq, "event": event, "utc": round((T0 + seq + after_s) * 1e6)}


def _world() -> dict[str, Any]:
    return {
        "moved": [(T0 + 1, 3, "alarm"), (T0 + 2, 2, "alarm"), (T0 + 3, 3, "normal")],
        "journal": [_row(1, 131, 3), _row(2, 132, 2), _row(3, 131, 3, q=3)],
        "occurrences": [{"epoch": 1, "seq": seq} for seq in (1, 2, 3)],
        "cases": [{"kind": "burglary", "state": "handed_over"}],
        "verified": {"journal": True, "ledger": True},
    }


def _lose(world: dict[str, Any]) -> None:
    world["occurrences"].pop()


def _double(world: dict[str, Any]) -> None:
    world["occurrences"].append({"epoch": 1, "seq": 2})


def _invent(world: dict[str, Any]) -> None:
    world["occurrences"].append({"epoch": 1, "seq": 9})


def _miss_a_move(world: dict[str, Any]) -> None:
    world["journal"].pop()
    world["occurrences"].pop()


def _turn_around(world: dict[str, Any]) -> None:
    world["moved"][0] = (T0 + 1, 3, "normal")
    world["moved"][2] = (T0 + 3, 3, "alarm")


def _predate(world: dict[str, Any]) -> None:
    world["journal"][0]["utc"] -= 5_000_000


def _second_case(world: dict[str, Any]) -> None:
    world["cases"].append({"kind": "burglary", "state": "unconfirmed"})


def _no_case(world: dict[str, Any]) -> None:
    world["cases"].clear()


def _unconfirmed(world: dict[str, Any]) -> None:
    world["cases"][0]["state"] = "unconfirmed"


def _break_chain(world: dict[str, Any]) -> None:
    world["verified"]["ledger"] = False


def _record_nothing(world: dict[str, Any]) -> None:
    for name in ("moved", "journal", "occurrences"):
        world[name].clear()


def test_a_true_account_holds() -> None:
    claims = check(Seen(**_world()))
    assert [claim for claim in claims if not claim.holds] == []
    assert len(claims) > 8


@pytest.mark.parametrize(
    "lie",
    [
        _lose, _double, _invent, _miss_a_move, _turn_around, _predate, _second_case, _no_case,
        _unconfirmed, _break_chain, _record_nothing,
    ],
)  # fmt: skip
def test_a_lie_is_caught(lie: Callable[[dict[str, Any]], None]) -> None:
    world = _world()
    lie(world)
    assert any(not claim.holds for claim in check(Seen(**world)))


def _phone_world() -> dict[str, Any]:
    """The hall detector was told by phone first, then by the network, as a batch lists."""
    world = _world()
    world["journal"].append(_row(4, 1030, 0))
    world["calls"] = [{"digits": "2345181132010021"}]
    world["occurrences"] = [
        {"epoch": 1, "seq": 1, "code": 131, "paths": ["mqtt"]},
        {"epoch": 1, "seq": 2, "code": 132, "paths": ["phone", "mqtt"]},
        {"epoch": 1, "seq": 3, "code": 131, "paths": ["mqtt"]},
    ]
    return world


def test_what_came_by_both_paths_is_told_once() -> None:
    assert [claim for claim in check(Seen(**_phone_world())) if not claim.holds] == []


def test_a_report_by_phone_that_joined_nothing_is_noticed() -> None:
    world = _phone_world()
    world["occurrences"].append({"epoch": 0, "seq": 0, "code": 350, "paths": ["phone"]})
    broken = {claim.text for claim in check(Seen(**world)) if not claim.holds}
    assert "every report by phone was joined to its Record" in broken


def test_an_alarm_that_the_network_brought_first_is_no_proof_of_the_phone() -> None:
    world = _phone_world()
    world["occurrences"][1]["paths"] = ["mqtt", "phone"]
    broken = {claim.text for claim in check(Seen(**world)) if not claim.holds}
    assert broken == {"an alarm was at the centre by phone before the network brought it"}
