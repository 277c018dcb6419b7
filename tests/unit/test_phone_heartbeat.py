"""The panel's own word of its phone path, in heartbeats and in the centre's list of panels."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from collector.__main__ import app
from collector.config import CollectorConfig
from protocols.mqtt.payloads import Heartbeat, PhoneState
from tests.support.case_story import PANEL
from tests.support.centre_rig import Panel, centre
from tests.support.collector_rig import reader_of, until

OLD = (
    b'{"panel":"shop-1","boot":"b","epoch":1,"seq":0,"digest":"'
    + b"0" * 64
    + b'","floor":0,"owed":0,"period_s":30,"uptime_s":1,"version":"0.1"'
)


def _listed(folder: Path, phone: PhoneState | None, *words: str) -> str:
    with centre(folder) as (collector, _):
        Panel(collector, PANEL, time.time_ns() // 1000).beat(phone=phone)  # type: ignore[arg-type]
        until(lambda: CollectorConfig(data_dir=folder).url and bool(_rows(folder)))
        return CliRunner().invoke(app, ["panels", "--data", str(folder), *words]).stdout


def _rows(folder: Path) -> int:
    reader = reader_of(folder)
    try:
        return len(reader.panels())
    finally:
        reader.close()


@pytest.mark.parametrize(
    ("phone", "english", "chinese"),
    [
        (
            PhoneState(up=True, cause="kissed_off", tested_s=7200.0),
            "phone, says the panel: in order, tested 2.0 h ago",
            "主机称电话：正常，2.0 小时前测试",
        ),
        (
            PhoneState(up=False, cause="no_dial_tone", owed=3, failed=7),
            "phone, says the panel: DOWN (no_dial_tone), 3 owed",
            "主机称电话：故障（no_dial_tone），待报 3",
        ),
        (PhoneState(), "phone, says the panel: not tried yet", "主机称电话：尚未验证"),
    ],
)
def test_the_centre_shows_good_bad_and_unknown(
    tmp_path: Path, phone: PhoneState, english: str, chinese: str
) -> None:
    assert english in _listed(tmp_path, phone)
    assert (
        chinese
        in CliRunner().invoke(app, ["panels", "--data", str(tmp_path), "--lang", "zh"]).stdout
    )
    shown = CliRunner().invoke(app, ["panels", "--data", str(tmp_path), "--json"]).stdout
    row = msgspec.json.decode(shown)
    assert msgspec.convert(row["phone"], PhoneState) == phone


def test_a_panel_of_a_version_before_says_nothing_and_is_read_all_the_same(tmp_path: Path) -> None:
    assert msgspec.json.decode(OLD + b"}", type=Heartbeat).phone is None
    assert "says the panel" not in _listed(tmp_path, None)


def test_what_a_later_version_adds_is_passed_over() -> None:
    beat = msgspec.json.decode(OLD + b',"phone":{"up":true,"line2":5}}', type=Heartbeat)
    assert beat.phone == PhoneState(up=True)


@pytest.mark.parametrize(
    "phone",
    [b'{"owed":-1}', b'{"up":"yes"}', b'{"tested_s":-5}', b'{"cause":"' + b"x" * 600 + b'"}', b"7"],
)
def test_what_no_panel_can_mean_is_refused(phone: bytes) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(OLD + b',"phone":' + phone + b"}", type=Heartbeat)
