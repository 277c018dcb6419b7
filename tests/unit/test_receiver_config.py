"""receiver.toml: what is wrong is said with where, what is expected and how to mend it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from collector.adapters import receiver_config
from collector.adapters.receiver_checks import Known
from collector.adapters.receiver_config import profile_of
from collector.adapters.receiver_file import ReceiverConfigError, check_names, load
from collector.cli.receiver_options import known_here
from collector.receiver_main import app

EXAMPLE = Path("collector/receiver.example.toml")
NAMED_OTHERWISE = {"profile", "account"}
"""Tables that bear a name: [profile.default]."""


def _file(where: Path, text: str) -> Path:
    file = where / "receiver.toml"
    file.write_text(text)
    return file


def wrong_keys(where: Path, text: str) -> list[str]:
    with pytest.raises(ReceiverConfigError) as refused:
        load(_file(where, text), known_here, files=True)
    for each in refused.value.problems:
        assert each.expected
        assert each.mend
        assert each.expected_zh
        assert each.mend_zh
    return [each.key for each in refused.value.problems]


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    text = """
id = "RX 1"
mark_code = "x"
colour = "red"
[mqtt]
identity = "nowhere"
[[line]]
name = "a"
listen = "x"
lines = 0
[[line]]
name = "b"
listen = "127.0.0.1:9092"
allow = ["192.168.7.1/24"]
[[line]]
name = "b"
listen = "127.0.0.1:9092"
profile = "none"
[[modem]]
name = "spool"
device = "/dev/x"
rings = 99
[[hardware]]
name = "h"
dialect = "sur-gard"
[[hardware]]
name = "i"
dialect = "bosch-sia"
listen = "0.0.0.0:7000"
[profile.p]
handshakes = ["dula"]
pulse = ["4+3"]
kiss_off_ms = 5
[profile.q]
handshakes = []
[account.12G4]
[account.1234]
format = "express 4+1"
events = { "333" = { code = 130 }, "3" = { kode = 1 } }
[account.1235]
events = { "333" = { code = 130 } }
channels = { "0" = { code = 130 } }
"""
    assert sorted(wrong_keys(tmp_path, text)) == sorted(
        [
            "id",
            "mark_code",
            "colour",
            "mqtt.identity",
            "line[0].lines",
            "line[1].allow",
            "line[2].name",
            "line[2].listen",
            "line[2].profile",
            "modem[0].rings",
            "hardware[0].dialect",
            "hardware[0]",
            "hardware[1].allow",
            "profile.p.kiss_off_ms",
            "profile.q.handshakes",
            "account.12G4",
            "account.1234.events.3.kode",
            "account.1234.events.3.code",
            "account.1235.events",
            "account.1235.channels",
        ]
    )
    fewer = text.replace("kiss_off_ms = 5", "").replace("lines = 0", "").replace("rings = 99", "")
    more = {"line[0].listen", "modem[0].name", "profile.p.handshakes", "profile.p.pulse"}
    assert more <= set(wrong_keys(tmp_path, fewer))


@pytest.mark.parametrize(
    "text", ["id = ", 'id = "a"\nid = "b"', "x" * 2_000_000, "[[[", 'id = "\\ud800"', "a=[" * 5000]
)
def test_what_is_no_toml_says_where(tmp_path: Path, text: str) -> None:
    assert len(wrong_keys(tmp_path, text)) == 1


def test_a_pin_may_name_a_plug_ins_format_where_there_is_one(tmp_path: Path) -> None:
    text = 'id = "rx-1"\n[account.1234]\nformat = "ours"\n'
    assert wrong_keys(tmp_path, text) == ["account.1234.format"]
    config = load(_file(tmp_path, text))
    check_names(config, Known(frozenset({"ours"})))
    with pytest.raises(ReceiverConfigError, match="express-4-1"):
        check_names(config, Known(frozenset({"express-4-1"})))


def test_the_command_says_it_in_two_languages_and_for_programs(tmp_path: Path) -> None:
    file = str(_file(tmp_path, 'id = "rx-1"\n[[line]]\nname = "a"\nlisten = "x"\n'))

    def run(*words: str) -> tuple[int, str]:
        said = CliRunner().invoke(app, ["check", "--config", file, *words])
        return said.exit_code, said.output

    code, english = run()
    assert code == 1
    assert 'line[0].listen = "x"' in english
    assert "to mend" in english
    assert "修改" in run("--lang", "zh")[1]
    (problem,) = json.loads(run("--json")[1].splitlines()[0])["problems"]
    assert problem["key"] == "line[0].listen"


def test_the_example_is_complete_and_in_order(tmp_path: Path) -> None:
    """As it stands, and with every line that is commented out taken in."""
    text = EXAMPLE.read_text()
    identity = tmp_path / "identity"
    identity.mkdir()
    for name in ("ca.crt", "receiver.crt", "receiver.key"):
        (identity / name).write_text("x")
    (identity / "mqtt.toml").write_text('[mqtt]\nhost = "127.0.0.1"\nport = 8883\n')
    loaded = load(_file(tmp_path, text), known_here, files=True)
    assert (loaded.line[0].listen, loaded.modem, loaded.hardware) == ("127.0.0.1:9092", (), ())
    lines = [each[2:] if re.match(r"# [\[a-z]", each) else each for each in text.splitlines()]
    whole = load(_file(tmp_path, "\n".join(lines)), known_here, files=True)
    assert len(whole.modem) == len(whole.hardware) == 1
    assert whole.account["1234"].channels
    assert profile_of(whole, "default", {}) == profile_of(loaded, "default", {})
    assert (whole.limits, whole.mark_code, whole.profile["default"].sia.flags) == (
        loaded.limits,
        loaded.mark_code,
        loaded.profile["default"].sia.flags,
    )
    for kind in vars(receiver_config).values():
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            for key in {each.name for each in msgspec.structs.fields(kind)} - NAMED_OTHERWISE:
                assert re.search(
                    rf"[#\s{{,]{key} = |^{key} = |\[{key}\]|\.{key}\]", text, re.MULTILINE
                ), key
