"""Replay: the same rules make no difference, other rules a told one."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from collector.adapters.ledger_reader import LedgerReader
from collector.adapters.rule_files import preset
from collector.cli.replay import NO_DIFFERENCE, judge_again
from collector.config import CollectorConfig
from collector.records.case import Case, OperatorAct, Outcome
from protocols.mqtt.payloads import SiteCard
from protocols.panel_event import Code, Qualifier
from tests.support.case_story import CARD, PANEL, START
from tests.support.centre_rig import Panel, centre, judged
from tests.system.test_cases_cli_reads_and_orders import cli

pytestmark = pytest.mark.system
CODES = (
    Code.BURGLARY,
    Code.INTERIOR,
    Code.PERIMETER,
    Code.HOLDUP_SILENT,
    Code.DURESS,
    Code.ALARM_CANCEL,
    Code.OPEN_CLOSE,
    Code.ENTRY_DOOR_OPENED,
    Code.PATH_IP_FAULT,
    Code.ZONE_TAMPER,
    Code.FIRE,
    Code.MAINS_FAIL,
    Code.ZONE_STATE,
    Code.PERIODIC_TEST,
    777,
)


def history(folder: Path, seed: int, count: int) -> None:
    """Two panels' nights: late, repeated and shuffled reports, restarts, a changed card, acts."""
    dice = random.Random(seed)
    written = 0
    marks: dict[str, tuple[int, str, float]] = {}
    for part in range(3):
        with centre(folder) as (collector, _):
            panels = [Panel(collector, f"shop-{n}", START) for n in (1, 2)]
            for panel in panels:
                panel.seq, panel.prev, _ = marks.get(panel.panel, (0, panel.prev, 0.0))
                changed: dict[str, Any] = {"name": f"Shop {part}"} if part == 2 else {}
                panel.card(SiteCard(**{**_fields(CARD), **changed}))
            at = {p.panel: marks.get(p.panel, (0, "", 0.0))[2] for p in panels}
            held: list[tuple[Panel, bytes]] = []
            for _turn in range(count // 3):
                panel = dice.choice(panels)
                at[panel.panel] += dice.choice((0, 1, 14, 200, 1900, 3000))
                raw = panel.write(
                    int(dice.choice(CODES)),
                    at[panel.panel],
                    dice.choice((Qualifier.NEW, Qualifier.NEW, Qualifier.RESTORE)),
                    zone=dice.randrange(0, 10),
                    area=dice.choice((0, 1, 1, 2)),
                    user=2,
                )
                written += 1
                held.append((panel, raw))
                if dice.random() < 0.6:
                    dice.shuffle(held)
                    for sender, kept in held:
                        sender.send(kept)
                    if dice.random() < 0.3:
                        held[-1][0].send(held[-1][1])
                    held.clear()
                if dice.random() < 0.05:
                    _close_one(folder, collector, dice)
            for sender, kept in held:
                sender.send(kept)
            judged(folder, written)
            marks = {p.panel: (p.seq, p.prev, at[p.panel]) for p in panels}


def _fields(card: SiteCard) -> dict[str, Any]:
    return {name: getattr(card, name) for name in card.__struct_fields__}


def _close_one(folder: Path, collector: Any, dice: random.Random) -> None:
    known = stored(folder)
    if known:
        case = dice.choice(known)
        collector.operate(OperatorAct(case.id, "close", "Li", Outcome.FALSE))


def stored(folder: Path) -> list[Case]:
    reader = LedgerReader(CollectorConfig(data_dir=folder).url)
    try:
        return list(reader.cases())
    finally:
        reader.close()


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_rules_make_every_case_again_to_the_last_byte(tmp_path: Path, seed: int) -> None:
    history(tmp_path, seed, 240)
    before = stored(tmp_path)
    assert len(before) > 20
    count, again = judge_again(CollectorConfig(data_dir=tmp_path), preset("bs8243"))
    assert again == before
    assert count >= 240
    said = cli("replay", "--rules", "bs8243", data=tmp_path)
    assert (said.returncode, said.stdout) == (0, NO_DIFFERENCE["en"] + "\n"), said.stderr
    said = cli("replay", "--rules", "shanghai2010", "--json", data=tmp_path)
    assert said.returncode == 3
    *differences, result = [json.loads(line) for line in said.stdout.splitlines()]
    assert len(differences) == result["differences"] > 0
    assert {"guards"} <= {to for one in differences for to in one["after"].get("handed_to", ())}
    assert stored(tmp_path) == before, "the ledger was only read"


def test_what_other_rules_change_is_told_with_the_rule(tmp_path: Path) -> None:
    with centre(tmp_path) as (collector, _):
        panel = Panel(collector)
        panel.card()
        panel.tell(Code.INTERIOR, 100, zone=2)
        panel.tell(Code.INTERIOR, 110, zone=3)
        panel.tell(Code.INTERIOR, 86_400, zone=2)
        judged(tmp_path, 4)
    said = cli("replay", "--rules", "shanghai2010", data=tmp_path)
    assert said.returncode == 3
    first = said.stdout.splitlines()[0]
    assert "unconfirmed (" in first
    assert "->  hand over guards+110 (second_detector: two independent detectors)" in first
    assert "confirmed 0 -> 1" in said.stdout
    late = cli("replay", "--rules", "shanghai2010", "--since", "2026-11-19", data=tmp_path)
    assert "confirmed 0 -> 0" in late.stdout
    own = tmp_path / "own.toml"
    own.write_text("version = 1\n", encoding="utf-8")
    refused = cli("replay", "--rules", str(own), data=tmp_path)
    assert refused.returncode == 1
    assert "own.toml: version" in refused.stderr
    assert cli("replay", "--rules", "bs8243", "--since", "never", data=tmp_path).returncode == 1
    assert PANEL in said.stdout
