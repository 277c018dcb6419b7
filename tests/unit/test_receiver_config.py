"""receiver.toml: what is wrong is said with where, what is expected and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.adapters.receiver_config import ReceiverConfigError, check_pins, load


def _file(where: Path, text: str) -> Path:
    file = where / "receiver.toml"
    file.write_text(text)
    return file


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    file = _file(
        tmp_path,
        'id = "RX 1"\n[[line]]\nname = "a"\nlisten = "x"\n[[line]]\nname = "a"\n'
        '[[hardware]]\nname = "h"\ndialect = "bosch-sia"\n[account.12G4]\n',
    )
    with pytest.raises(ReceiverConfigError) as refused:
        load(file)
    text = str(refused.value)
    for part in ("id = 'RX 1'", "stands twice", "listen = 'x'", "hardware h", "account.12G4"):
        assert part in text


def test_a_pin_to_no_format_is_refused(tmp_path: Path) -> None:
    config = load(_file(tmp_path, 'id = "rx-1"\n[account.1234]\nformat = "express 4+1"\n'))
    with pytest.raises(ReceiverConfigError, match=r"account\.1234\.format.*express-4-1"):
        check_pins(config, [])


def test_a_pin_may_name_a_plug_ins_format(tmp_path: Path) -> None:
    config = load(_file(tmp_path, 'id = "rx-1"\n[account.1234]\nformat = "ours"\n'))
    check_pins(config, ["ours"])
