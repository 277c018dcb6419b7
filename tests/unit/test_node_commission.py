"""The commissioning tool: once, checked, and never a key on the command line by need."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import pytest

from firmware.commission import main
from firmware.node.flash import Flash
from firmware.node.settings import SettingsStore
from hil.drivers.node_process import NodeProcess
from hil.drivers.process import RigError

KEY = bytes(range(16))


def test_an_empty_node_gets_its_settings_and_a_full_one_is_not_touched(tmp_path: Path) -> None:
    words = ["--directory", str(tmp_path), "--address"]
    assert main([*words, "7", "--wiring", "triple,no,nc,single,double,double,unused,double"]) == 0
    assert main([*words, "8"]) == 1
    found = SettingsStore(Flash(str(tmp_path / "flash"))).load()
    assert found is not None
    assert (found.address, found.key) == (7, None)
    assert [loop.wiring for loop in found.loops] == [5, 2, 1, 3, 4, 4, 0, 4]
    assert main([*words, "8", "--force"]) == 0
    found = SettingsStore(Flash(str(tmp_path / "flash"))).load()
    assert found is not None
    assert found.address == 8


@pytest.mark.parametrize(
    "words",
    [
        ["--address", "127"],
        ["--address", "5", "--baud", "300"],
        ["--address", "5", "--key-hex", "00"],
        ["--address", "5", "--key-hex", "zz"],
        ["--address", "5", "--wiring", "double,double"],
        ["--address", "5", "--wiring", "triple", "--eol-ohm", "47000", "--pullup-ohm", "470"],
        ["--address", "5", "--low-mv", "12000"],
    ],
)
def test_what_a_node_cannot_work_with_is_refused(tmp_path: Path, words: list[str]) -> None:
    assert main([*words, "--directory", str(tmp_path)]) == 1
    assert SettingsStore(Flash(str(tmp_path / "flash"))).load() is None


def test_the_file_for_a_board_is_what_a_node_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(KEY.hex() + "\n"))
    assert main(["--address", "3", "--key-hex", "-", "--out", str(tmp_path / "settings0")]) == 0
    found = SettingsStore(Flash(str(tmp_path))).load()
    assert found is not None
    assert (found.address, found.key) == (3, KEY)


def test_the_rig_commissions_once(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path / "node", "")
    node.commission(4, KEY)
    with pytest.raises(RigError, match="commissioned already"):
        node.commission(5)


def test_the_makers_key_is_checked_before_it_is_put_on_the_node(tmp_path: Path) -> None:
    raw = bytes(range(200))
    good, bad = tmp_path / "update.key", tmp_path / "other"
    good.write_bytes(raw + hashlib.sha256(raw).digest()[:4])
    bad.write_bytes(raw + bytes(4))
    words = ["--address", "5", "--directory", str(tmp_path / "node")]
    assert main([*words, "--update-key", str(bad)]) == 1
    assert not (tmp_path / "node" / "flash" / "update.key").exists()
    assert main([*words, "--update-key", str(good)]) == 0
    assert (tmp_path / "node" / "flash" / "update.key").read_bytes() == good.read_bytes()
