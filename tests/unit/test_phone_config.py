"""The phone part of the panel file: no way round both paths at a bank (R102, R120), no number that
dials nothing, no promise of what there is not.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge.adapters import config_file
from edge.adapters.config_file import Checked, ConfigError, Problem

EXAMPLE = (Path(__file__).parents[2] / "edge" / "panel.example.toml").read_text()
BASE = """
id = "shop-1"
name = "Shop"
{head}
[[areas]]
number = 1
name = "Shop"
[[zones]]
number = 1
name = "Button"
area = 1
type = "holdup_silent"
loop = {{ input = "gpio:13", wiring = "no" }}
"""
MQTT = """
[mqtt]
host = "c"
ca = "a"
cert = "b"
key = "k"
"""
PHONE = """
[phone]
account = "1234"
numbers = ["82001"]
"""
LINE = """
[phone.line]
driver = "modem"
device = "/dev/ttyACM0"
"""
DUAL = PHONE + 'policy = "dual"\n'
BANK = 'site_class = "finance"'


def read(folder: Path, head: str, *tables: str) -> Checked:
    path = folder / "panel.toml"
    path.write_text(BASE.format(head=head) + "".join(tables))
    path.chmod(0o600)
    return config_file.load_checked(path, files=False)


def refused(folder: Path, head: str, *tables: str) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        read(folder, head, *tables)
    assert all(problem.mend and problem.mend_zh for problem in caught.value.problems)
    return list(caught.value.problems)


@pytest.mark.parametrize("head", [BANK, "important = true"])
@pytest.mark.parametrize(
    "tables",
    [
        (MQTT,),
        (MQTT, PHONE, LINE),
        (MQTT, PHONE, 'policy = "fallback"\n', LINE),
        (PHONE, 'policy = "phone-only"\n', LINE),
        (MQTT, PHONE, 'policy = "phone-only"\n', LINE),
        (MQTT, PHONE, 'policy = "Dual"\n', LINE),
        (MQTT, PHONE, 'policy = ""\n', LINE),
        (DUAL, LINE),
        (MQTT, DUAL),
        (MQTT, DUAL, "enabled = false\n", LINE),
        (MQTT, DUAL, LINE, "enabled = false\n"),
        (MQTT, "[[phone]]\n", 'account = "1234"\nnumbers = ["1"]\npolicy = "dual"\n'),
        ("phone = false\n", MQTT),
        (MQTT, '[phone]\naccount = "1234"\npolicy = "dual"\n', LINE),
        (MQTT, DUAL.replace('["82001"]', "[]"), LINE),
        (MQTT, DUAL.replace('["82001"]', '[""]'), LINE),
        (MQTT, DUAL.replace('["82001"]', '[","]'), LINE),
        (MQTT, DUAL.replace('["82001"]', '["82001", "*#"]'), LINE),
        (MQTT, DUAL.replace('["82001"]', '["CENTRE"]'), LINE),
        (MQTT, DUAL.replace('["82001"]', '["８２００１"]'), LINE),
        (MQTT, DUAL.replace('["82001"]', '"82001"'), LINE),
        (MQTT, DUAL.replace('"1234"', '"0"'), LINE),
        (MQTT, DUAL, '[phone.line]\ndriver = "modem"\n'),
        (MQTT, DUAL, '[phone.line]\ndriver = "none"\n'),
        (MQTT, DUAL, '[phone.line]\ndriver = "socket"\naddress = "127.0.0.1:0"\n'),
        (MQTT, DUAL, '[phone.line]\ndriver = "socket"\naddress = "127.0.0.1:70000"\n'),
    ],
)
def test_a_bank_runs_on_both_paths_or_not_at_all(
    tmp_path: Path, head: str, tables: tuple[str, ...]
) -> None:
    assert refused(tmp_path, head, *tables)
    assert read(tmp_path, head, MQTT, DUAL, LINE).config.phone is not None


def test_an_important_site_is_as_strict_as_a_bank_and_called_what_it_is(tmp_path: Path) -> None:
    (problem,) = refused(tmp_path, "important = true", MQTT)
    assert (problem.key, problem.clause) == ("phone", "R102")
    assert "an important site" in problem.expected
    assert "重要场所" in problem.expected_zh
    pir = BASE.replace('type = "holdup_silent"', 'type = "interior"\ntechnology = "pir"')
    path = tmp_path / "panel.toml"
    path.write_text(pir.format(head="important = true") + MQTT + DUAL + LINE)
    with pytest.raises(ConfigError) as caught:
        config_file.load(path, files=False)
    assert [found.clause for found in caught.value.problems] == ["R103"]


@pytest.mark.parametrize(
    ("tables", "key"),
    [
        ((MQTT, PHONE, "listen_in_s = 60\n", LINE), "phone.listen_in_s"),
        ((MQTT, '[[points]]\nrole = "phone_line"\nloop = {input = "gpio:5"}\n'), "points[0].role"),
        ((MQTT, PHONE, "wait_burglary_s = 61\n", LINE), "phone.wait_burglary_s"),
        ((MQTT.replace("[mqtt]", "[mqtt]\nheartbeat_s = 61"), PHONE, LINE), "mqtt.heartbeat_s"),
        ((MQTT.replace("[mqtt]", "[mqtt]\nheartbeat_s = nan"), PHONE, LINE), "mqtt.heartbeat_s"),
        ((MQTT, PHONE, "test_s = inf\n", LINE), "phone.test_s"),
        (
            (
                MQTT,
                PHONE,
                LINE,
                '[[buses]]\nname = "m"\nport = "/dev/ttyACM0"\n',
                '[[buses.nodes]]\naddress = 5\nname = "N"\n',
            ),
            "phone.line.device",
        ),
    ],
)
def test_what_cannot_work_is_refused_where_it_stands(
    tmp_path: Path, tables: tuple[str, ...], key: str
) -> None:
    assert [problem.key for problem in refused(tmp_path, "", *tables)] == [key]


@pytest.mark.parametrize(
    ("more", "clause"),
    [
        ('numbers = ["1", "2", "3"]\n', "M1"),
        ('numbers = ["1", "2"]\nanswer_s = 90\n', "M1"),
        ('numbers = ["1"]\nline_check_s = 3600\n', "M2"),
        ('numbers = ["1"]\ndial_tone = "blind"\n', "M2"),
        ('numbers = ["1"]\ndial_tone = "blind"\nline_check_s = 100\n', "M2"),
        ('numbers = ["0,1", "01"]\n', ""),
    ],
)
def test_what_runs_but_may_be_late_is_a_warning(tmp_path: Path, more: str, clause: str) -> None:
    phone = '[phone]\naccount = "1234"\n' + more
    found = read(tmp_path, "", MQTT, phone, LINE).warnings
    assert clause in [problem.clause for problem in found if problem.key.startswith("phone.")]


def test_what_the_example_says_of_the_phone_can_be_taken_at_its_word(tmp_path: Path) -> None:
    """The commented part, uncommented as an installer would, is a file that runs."""
    begin = EXAMPLE.index("# [phone]\n")
    end = EXAMPLE.index("# Detector bus")
    taken = re.sub(
        r"^# (?:# (?=\w+ = ))?", "", EXAMPLE[begin:end].replace("\n#\n", "\n"), flags=re.MULTILINE
    )
    path = tmp_path / "panel.toml"
    path.write_text(EXAMPLE[:begin] + taken)
    phone = config_file.load(path, files=False).phone
    assert phone is not None
    assert phone.listen_in_s > 0
    assert phone.line.microphone
