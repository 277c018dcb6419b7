"""`tocsin-edge bus`, run as people run it, against a panel's socket."""

from __future__ import annotations

import json
import os
import pty
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from rich.cells import cell_len
from typer.testing import CliRunner

from edge.adapters.bus_scan import ports_by_id, stable_path
from edge.adapters.osdp_keys import KeysUnusableError, NodeKeys
from edge.cli.bus import app
from edge.cli.bus_status import age, compact
from edge.cli.phone import Lang
from tests.support.bus_scan_panel import BusPanel, two_buses


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, list(arguments))
    return done.exit_code, done.output


# --- status ---


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_status_fits_80_columns_and_nothing_of_it_is_cut_off(tmp_path: Path, lang: str) -> None:
    with BusPanel(tmp_path, two_buses()):
        code, text = run("status", "--data", str(tmp_path), "--lang", lang)
    assert code == 0
    assert max(cell_len(line.rstrip()) for line in text.splitlines()) <= 80
    assert "…" not in text
    for shown in ("main.5", "main.126", "rack.130", "1.2M", "98.8k", "1.0.12", "159"):
        assert shown in text
    words = {"en": ("port gone (No such file or directory)", "never", "72min", "lost")}
    words["zh"] = ("端口不可用 (No such file or directory)", "从未", "72分", "失联")
    assert all(word in text for word in words[lang])


def test_status_for_programs_is_what_the_panel_told(tmp_path: Path) -> None:
    with BusPanel(tmp_path, two_buses()):
        code, text = run("status", "--data", str(tmp_path), "--json")
    main, rack = json.loads(text)
    assert code == 0
    assert (main["bus"], rack["up"], rack["cause"]) == ("main", False, "No such file or directory")
    assert [n["state"] for n in main["nodes"]] == ["secure", "lost", "clear", "pairing"]
    assert main["nodes"][0]["polls"] == 1_234_567


def test_a_panel_without_a_bus_says_so(tmp_path: Path) -> None:
    with BusPanel(tmp_path, []):
        assert "no bus" in run("status", "--data", str(tmp_path))[1]
        assert "未配置总线" in run("status", "--data", str(tmp_path), "--lang", "zh")[1]


@pytest.mark.parametrize(
    ("count", "shown"),
    [(0, "0"), (9_999, "9999"), (10_000, "10.0k"), (250_000, "250k"), (1_000_000, "1.0M")],
)
def test_counts_stay_short(count: int, shown: str) -> None:
    assert compact(count) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "never"), (0.04, "0.0s"), (99, "99s"), (100, "2min"), (7_200, "2h"), (4e5, "5d")],
)
def test_ages_stay_short(seconds: float | None, shown: str) -> None:
    assert age(seconds, Lang.EN) == shown


# --- orders ---


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("pair", "paired"),
        ("close-pairing", "closed"),
        ("rekey", "next key"),
        ("report", "1.0.12 (on trial)"),
        ("report", "11.9 V"),
    ],
)
def test_orders_reach_the_panel_and_their_end_is_told(
    tmp_path: Path, command: str, says: str
) -> None:
    with BusPanel(tmp_path, two_buses()) as panel:
        code, text = run(command, "main.5", "--data", str(tmp_path))
    assert code == 0
    assert says in text
    assert [(o.what, o.node) for o in panel.orders] == [(command.replace("-", "_"), "main.5")]


def test_a_refusal_is_told_in_words_with_its_mend(tmp_path: Path) -> None:
    with BusPanel(tmp_path, two_buses()):
        code, text = run("pair", "main.9", "--data", str(tmp_path))
        assert code == 1
        assert "no such node, or it is busy" in text
        assert "Mend:" in text
        code, text = run("pair", "main.9", "--data", str(tmp_path), "--lang", "zh")
        assert code == 1
        assert "无此节点" in text
        assert "处理:" in text
        code, text = run("pair", "main.9", "--data", str(tmp_path), "--json")
        assert (code, json.loads(text)) == (1, {"ok": False, "reason": "no_such_node_or_busy"})


def test_a_name_that_is_no_node_and_an_image_that_is_none_go_no_further(tmp_path: Path) -> None:
    with BusPanel(tmp_path, two_buses()) as panel:
        code, text = run("rekey", "[red]5", "--data", str(tmp_path))
        assert code == 2
        assert 'NODE = "[red]5"' in text
        assert "such as main.5" in text
        code, text = run("update", "main.5", str(tmp_path / "none"), "--data", str(tmp_path))
        assert code == 2
        assert "firmware-sign" in text
        (tmp_path / "empty").touch()
        code, text = run(
            *("update", "main.5", str(tmp_path / "empty"), "--data", str(tmp_path)),
            *("--lang", "zh"),
        )
        assert code == 2
        assert "应为：已签名的固件文件" in text
    assert not panel.orders


@pytest.mark.parametrize(
    "arguments", [("status",), ("pair", "main.5"), ("rekey", "main.5"), ("report", "main.5")]
)
def test_no_panel_is_exit_code_3_and_says_how_to_start_it(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    code, text = run(*arguments, "--data", str(tmp_path))
    assert code == 3
    assert "tocsin-edge run" in text
    code, text = run(*arguments, "--data", str(tmp_path), "--lang", "zh")
    assert code == 3
    assert "主机无应答" in text


def test_an_update_without_a_terminal_is_one_order(tmp_path: Path) -> None:
    image = tmp_path / "node.image"
    image.write_bytes(b"signed")
    with BusPanel(tmp_path, two_buses()) as panel:
        code, text = run("update", "main.5", str(image), "--data", str(tmp_path))
    assert code == 0
    assert "on trial" in text
    assert [(o.what, o.image) for o in panel.orders] == [("update", str(image))]


def test_an_update_in_a_terminal_shows_how_far_it_is(tmp_path: Path) -> None:
    image = tmp_path / "node.image"
    image.write_bytes(b"signed")
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "edge", "bus", "update", "main.5", str(image)]
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "80", "TOCSIN_LANG": "en"}
    with BusPanel(tmp_path, two_buses(), looks=3):
        process = subprocess.Popen(
            [*command, "--data", str(tmp_path)], stdout=follower, stderr=follower, env=env
        )
        os.close(follower)
        raw = b""
        try:
            while part := os.read(leader, 65_536):
                raw += part
        except OSError:
            pass  # the terminal's other side is closed
        finally:
            os.close(leader)
        assert process.wait() == 0
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", raw.decode())
    assert {"10%", "20%", "100%"} <= set(re.findall(r"\d+%", text))
    assert "on trial" in text


# --- new-master ---


def test_a_new_master_is_the_owners_alone_and_the_panel_takes_it(tmp_path: Path) -> None:
    code, text = run("new-master", "--data", str(tmp_path))
    path = tmp_path / "bus.master"
    assert code == 0
    assert "Back up" in text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    master = path.read_text()
    assert re.fullmatch(r"[0-9a-f]{64}\n", master)
    assert master.strip() not in text
    assert len(NodeKeys(tmp_path, "panel-1").key("main", 5)) == 16
    assert path.read_text() == master
    assert [each.name for each in tmp_path.iterdir()] == ["bus.master"]


def test_two_masters_differ(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        assert run("new-master", "--data", str(tmp_path / name), "--json")[0] == 0
    first, second = ((tmp_path / name / "bus.master").read_text() for name in ("a", "b"))
    assert first != second


@pytest.mark.parametrize("there", [b"anything", b"", None])
def test_a_master_that_is_there_is_never_replaced(tmp_path: Path, there: bytes | None) -> None:
    path = tmp_path / "bus.master"
    if there is None:
        path.symlink_to(tmp_path / "on a medium that is not mounted")
    else:
        path.write_bytes(there)
    code, text = run("new-master", "--data", str(tmp_path))
    assert code == 2
    assert "a new one locks every paired node out" in text
    assert (
        "替换会使所有已配对节点失联"
        in run("new-master", "--data", str(tmp_path), "--lang", "zh")[1]
    )
    assert path.is_symlink() if there is None else path.read_bytes() == there
    assert len(list(tmp_path.iterdir())) == 1


def test_a_master_that_is_gone_is_not_made_anew_over_paired_nodes(tmp_path: Path) -> None:
    keys = NodeKeys(tmp_path, "panel-1")
    keys.commit("main", 5, keys.begin("main", 5))
    (tmp_path / "bus.master").unlink()
    code, text = run("new-master", "--data", str(tmp_path), "--json")
    (problem,) = json.loads(text)["problems"]
    assert code == 2
    assert "restore bus.master from its backup" in problem["mend"]
    assert "从备份恢复" in problem["mend_zh"]
    with pytest.raises(KeysUnusableError):
        NodeKeys(tmp_path, "panel-1")


def test_a_directory_that_is_not_there_is_named(tmp_path: Path) -> None:
    code, text = run("new-master", "--data", str(tmp_path / "none"))
    assert code == 2
    assert f"install -d -m 700 {tmp_path / 'none'}" in text


# --- scan: what is refused before the port is touched ---


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--addresses", "3-900"), "addresses 0 to 126"),
        (("--addresses", "0", "--protocol", "modbus"), "addresses 1 to 247"),
        (("--addresses", "5,x"), '--addresses = "x"'),
        (("--baud", "12345"), "one of 1200 2400"),
        (("--addresses", "²", "--lang", "zh"), "地址 0 至 126"),
    ],
)
def test_a_scan_with_wrong_settings_says_what_is_expected(
    arguments: tuple[str, ...], says: str
) -> None:
    code, text = run("scan", "/dev/does-not-matter", *arguments)
    assert code == 2
    assert says in text


def test_a_file_that_is_no_port_is_told(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    code, text = run("scan", str(path))
    assert code == 2
    assert "expected: a serial port" in text


def test_the_stable_name_of_a_port_is_found(tmp_path: Path) -> None:
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    for name, device in (("usb-a", "ttyUSB0"), ("usb-b", "ttyUSB1")):
        (tmp_path / device).touch()
        (by_id / name).symlink_to(f"../{device}")
    assert stable_path(str(tmp_path / "ttyUSB1"), by_id) == str(by_id / "usb-b")
    assert stable_path("/dev/other", by_id) == "/dev/other"
    assert ports_by_id(by_id) == [str(by_id / "usb-a"), str(by_id / "usb-b")]
    assert ports_by_id(tmp_path / "none") == []
    assert stable_path("/dev/other", tmp_path / "none") == "/dev/other"
