"""The panel file: what is refused, where, why, and how to mend it; all of it at once."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge.adapters import config_file
from edge.adapters.config_file import ConfigError, Problem
from edge.config import PanelConfig, Wiring, ZoneType

EXAMPLE = Path(__file__).parents[2] / "edge" / "panel.example.toml"
Change = Callable[[dict[str, Any]], None]
HASH = "ab" * 32


def example() -> dict[str, Any]:
    return tomllib.loads(EXAMPLE.read_text())


def toml(value: Any) -> str:
    """Enough of TOML to write a changed example back."""
    match value:
        case bool():
            return "true" if value else "false"
        case dict():
            return "{" + ", ".join(f"{toml(key)} = {toml(one)}" for key, one in value.items()) + "}"
        case list():
            return "[" + ", ".join(toml(one) for one in value) + "]"
        case str():
            return msgspec.json.encode(value).decode()
        case _:
            return str(value)


def write(directory: Path, data: dict[str, Any]) -> Path:
    path = directory / "panel.toml"
    path.write_text("".join(f"{toml(key)} = {toml(value)}\n" for key, value in data.items()))
    path.chmod(0o600)
    for name in ("ca.pem", "panel.pem", "panel.key"):
        (directory / name).write_text("a certificate")
        (directory / name).chmod(0o600)
    return path


def problems(directory: Path, change: Change) -> tuple[Problem, ...]:
    data = example()
    change(data)
    with pytest.raises(ConfigError) as caught:
        config_file.load(write(directory, data))
    return caught.value.problems


def only(directory: Path, change: Change) -> Problem:
    found = problems(directory, change)
    assert len(found) == 1, [problem.text() for problem in found]
    return found[0]


def users(data: dict[str, Any]) -> None:
    data["code_salt"] = "0123456789abcdef" * 2
    data["users"] = [
        {"number": 1, "name": "Owner", "code_hash": HASH, "duress_hash": "cd" * 32},
        {"number": 2, "name": "Clerk", "code_hash": "ef" * 32},
    ]


def test_the_example_loads_without_a_warning(tmp_path: Path) -> None:
    checked = config_file.load_checked(write(tmp_path, example()))
    assert checked.warnings == ()
    config = checked.config
    assert [zone.type for zone in config.zones] == [
        ZoneType.ENTRY_EXIT,
        ZoneType.FOLLOWER,
        ZoneType.PERIMETER,
        ZoneType.TWENTY_FOUR_HOUR,
        ZoneType.HOLDUP_SILENT,
        ZoneType.FIRE,
        ZoneType.GAS,
        ZoneType.KEYSWITCH,
    ]
    assert {point.role for point in config.points} == {
        "enclosure",
        "mains",
        "battery_low",
        "battery_missing",
    }
    assert config.zones[1].loop.wiring is Wiring.TRIPLE_EOL


def test_what_is_read_is_what_msgspec_alone_would_read(tmp_path: Path) -> None:
    data = example()
    users(data)
    loaded = config_file.load(write(tmp_path, data))
    assert loaded == msgspec.convert(data, PanelConfig)


def test_a_loaded_configuration_passes_the_check_again(tmp_path: Path) -> None:
    loaded = config_file.load(write(tmp_path, example()))
    assert config_file.check(loaded).config == loaded


# Each line: what is done to the example, the key it must be told at, a word of the advice.
SHAPE: list[tuple[Change, str, str]] = [
    (lambda d: d.pop("id"), "id", "add `id`"),
    (lambda d: d.update(id="Panel 1"), "id", "write such a value"),
    (lambda d: d.update(id="panel\n"), "id", "write such a value"),
    (lambda d: d.update(nmae="x"), "nmae", "did you mean `name`?"),
    (lambda d: d.update(zzzzzz=1), "zzzzzz", "remove it"),
    (lambda d: d["zones"][3].update(tipe="fire"), "zones[3].tipe", "did you mean `type`?"),
    (lambda d: d["zones"][3].update(type="fier"), "zones[3].type", "write such a value"),
    (lambda d: d["zones"][2].pop("loop"), "zones[2].loop", "add `loop`"),
    (lambda d: d["zones"][2].update(loop="gpio:4"), "zones[2].loop", "write such a value"),
    (lambda d: d["zones"][0]["loop"].update(input="GPIO17"), "zones[0].loop.input", "such"),
    (lambda d: d["zones"][0]["loop"].update(input="gpio:１７"), "zones[0].loop.input", "such"),
    (lambda d: d["zones"][0].update(number=0), "zones[0].number", "such"),
    (lambda d: d["zones"][0].update(number=True), "zones[0].number", "such"),
    (lambda d: d["zones"][0].update(number="1"), "zones[0].number", "such"),
    (lambda d: d["zones"][0].update(number=10**40), "zones[0].number", "such"),
    (lambda d: d["areas"][0].update(exit_delay_s=10), "areas[0].exit_delay_s", "CP-01"),
    (lambda d: d["areas"][0]["schedules"][0].update(open_at="9:00"),
     "areas[0].schedules[0].open_at", "such"),
    (lambda d: d["areas"][0]["schedules"][0].update(days=[1, 8]),
     "areas[0].schedules[0].days", "such"),
    (lambda d: d.update(zones={"number": 1}), "zones", "double brackets"),
    (lambda d: d.update(zones=[]), "zones", "[[zones]]"),
    (lambda d: d.update(mqtt=[]), "mqtt", "such"),
    (lambda d: d["mqtt"].update(port="8883"), "mqtt.port", "such"),
    (lambda d: d.update(outputs=[1]), "outputs[0]", "such"),
    (lambda d: d.update(code_salt="zz"), "code_salt", "openssl"),
]  # fmt: skip

RULES: list[tuple[Change, str, str]] = [
    (lambda d: d["zones"][1].update(number=1), "zones[1].number", "taken by zones[0].number"),
    (lambda d: d["areas"].append(dict(d["areas"][0])), "areas[1].number", "taken by"),
    (lambda d: d["points"].append({"role": "mains", "loop": {"input": "gpio:4"}}),
     "points[4].role", "taken by points[1].role"),
    (lambda d: d["zones"][1].update(area=7), "zones[1].area", "add that area"),
    (lambda d: d["outputs"].append({"role": "armed:3", "gpio": 19}), "outputs[2].role", "area"),
    (lambda d: d["zones"][4]["loop"].update(input="gpio:17"),
     "zones[4].loop.input", "taken by zones[0].loop.input"),
    (lambda d: d["zones"][2]["loop"].update(input="adc:0.0"),
     "zones[2].loop.input", "taken by zones[1].loop.input"),
    (lambda d: d["outputs"][0].update(gpio=5), "outputs[0].gpio", "points[0].loop.input"),
    (lambda d: d["outputs"][1].update(gpio=20), "outputs[1].gpio", "outputs[0].gpio"),
    (lambda d: d["zones"][0]["loop"].update(input="gpio:28"), "zones[0].loop.input", "pinout"),
    (lambda d: d["zones"][0]["loop"].update(input="gpio:017"), "zones[0].loop.input", "such"),
    (lambda d: d["zones"][0]["loop"].update(input="gpio:04"), "zones[0].loop.input", "pinout"),
    (lambda d: d["zones"][1]["loop"].update(input="adc:2.0"), "zones[1].loop.input", "two chip"),
    (lambda d: d["zones"][0]["loop"].update(input="gpio:9"), "zones[0].loop.input", "SPI"),
    (lambda d: d["outputs"][0].update(gpio=8), "outputs[0].gpio", "SPI"),
    (lambda d: d["zones"][0]["loop"].update(wiring="double_eol"),
     "zones[0].loop.wiring", "converter"),
    (lambda d: d["zones"][1]["loop"].update(wiring="nc"), "zones[1].loop.wiring", "resistors"),
    (lambda d: d["zones"][0]["loop"].update(min_pulse_ms=401),
     "zones[0].loop.min_pulse_ms", "400 ms"),
    (lambda d: d["zones"][1]["loop"].update(min_pulse_ms=361),
     "zones[1].loop.min_pulse_ms", "sampling"),
    (lambda d: d["zones"][0]["loop"].update(debounce_ms=301),
     "zones[0].loop.debounce_ms", "20 to 50"),
    (lambda d: d["hardware"].update(eol_ohm=100), "hardware.eol_ohm", "1000 to 10000"),
    (lambda d: d["zones"][0].update(cross_zone=[42]), "zones[0].cross_zone[0]", "remove"),
    (lambda d: d["zones"][0].update(cross_zone=[2, 1]), "zones[0].cross_zone[1]", "remove"),
    (lambda d: d["zones"][0].update(overlaps=[42]), "zones[0].overlaps[0]", "remove"),
    (lambda d: d["zones"][4].update(cross_zone=[1]), "zones[4].cross_zone", "remove"),
    (lambda d: d["areas"][0].update(entry_delay_s=31), "areas[0].entry_delay_s", "shorten"),
    (lambda d: d["timers"].update(abort_window_s=31), "areas[0].entry_delay_s", "shorten"),
    (lambda d: d["areas"][0]["schedules"][0].update(days=[]),
     "areas[0].schedules[0].days", "list"),
    (lambda d: d["areas"][0]["schedules"][0].update(days=[2, 2]),
     "areas[0].schedules[0].days", "list"),
    (lambda d: d["areas"][0]["schedules"][0].update(close_at="09:00"),
     "areas[0].schedules[0].close_at", "next day"),
    (lambda d: d["areas"][0]["schedules"].append(
        {"days": [6, 7], "open_at": "20:00", "close_at": "23:00"}),
     "areas[0].schedules[1].open_at", "one opening"),
    (lambda d: d.update(timezone="Asia/Shanghia"), "timezone", "timedatectl"),
    (lambda d: d.update(timezone="../etc/passwd"), "timezone", "timedatectl"),
    (lambda d: (users(d), d.pop("code_salt")), "code_salt", "openssl"),
    (lambda d: (users(d), d.update(code_salt="00" * 16)), "code_salt", "openssl"),
    (lambda d: (users(d), d["users"][1].update(code_hash=HASH)),
     "users[1].code_hash", "users[0].code_hash"),
    (lambda d: (users(d), d["users"][1].update(duress_hash="cd" * 32)),
     "users[1].duress_hash", "users[0].duress_hash"),
    (lambda d: (users(d), d["users"][0].update(areas=[1, 9])), "users[0].areas[1]", "area"),
    (lambda d: d["mqtt"].update(ca="nowhere.pem"), "mqtt.ca", "No such file"),
    (lambda d: d["mqtt"].update(key="."), "mqtt.key", "directory"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "key", "mend"), SHAPE + RULES)
def test_each_mistake_is_told_at_its_key_with_a_remedy(
    tmp_path: Path, change: Change, key: str, mend: str
) -> None:
    problem = only(tmp_path, change)
    assert problem.key == key
    assert mend in problem.mend
    assert problem.file == "panel.toml"
    assert problem.value
    assert problem.expected
    for language in ("en", "zh"):
        text = problem.text(language)
        assert text.startswith(f"panel.toml: {key} = ")
    assert "应为" in problem.text("zh")
    assert problem.mend_zh != problem.mend


def test_all_mistakes_are_told_at_once_shape_and_rules_alike(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["zones"][0]["area"] = 5
        data["zones"][1]["loop"]["wiring"] = "quadruple"
        data["zones"][3]["loop"]["input"] = "gpio:17"
        data["areas"][0]["entry_delay_s"] = 20
        data["mqtt"]["port"] = 0
        data["mqtt"]["cert"] = "gone.pem"
        data["hardwear"] = {}

    found = problems(tmp_path, change)
    assert {problem.key for problem in found} == {
        "zones[0].area",
        "zones[1].loop.wiring",
        "zones[3].loop.input",
        "zones[3].loop.wiring",
        "areas[0].entry_delay_s",
        "mqtt.port",
        "mqtt.cert",
        "hardwear",
    }
    assert next(one for one in found if one.key == "hardwear").mend == "did you mean `hardware`?"
    text = str(ConfigError(found))
    assert all(problem.key in text for problem in found)


def test_a_mistake_in_an_area_does_not_make_its_zones_wrong_too(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["areas"][0]["exit_delay_s"] = 1

    assert only(tmp_path, change).key == "areas[0].exit_delay_s"


def test_secrets_are_not_shown(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        users(data)
        data["code_salt"] = "not-hex-secret"
        data["users"][0]["code_hash"] = "314159"
        data["users"][1]["code_hash"] = "cd" * 32

    found = problems(tmp_path, change)
    assert {problem.key for problem in found} == {
        "code_salt",
        "users[0].code_hash",
        "users[1].code_hash",
    }
    text = str(ConfigError(found)) + ConfigError(found).text("zh")
    for secret in ("not-hex-secret", "314159", "cdcd"):
        assert secret not in text


def test_a_value_cannot_write_to_the_terminal(tmp_path: Path) -> None:
    def change(data: dict[str, Any]) -> None:
        data["name"] = "\u001b[2J\u202e\nok"

    assert only(tmp_path, change).key == "name"
    assert "\u001b" not in only(tmp_path, change).text()
    assert "\u202e" not in only(tmp_path, change).text()


WARNINGS: list[tuple[Change, str, str]] = [
    (lambda d: d["points"].pop(3), "points", "R104"),
    (lambda d: d["points"].pop(0), "points", "R104"),
    (lambda d: d["points"].pop(1), "points", "R38"),
    (lambda d: d["zones"][1].update(technology="PIR"), "zones[1].technology", "R103"),
]


@pytest.mark.parametrize(("change", "key", "clause"), WARNINGS)
def test_what_may_run_but_breaks_a_clause_is_warned_of(
    tmp_path: Path, change: Change, key: str, clause: str
) -> None:
    data = example()
    change(data)
    warnings = config_file.load_checked(write(tmp_path, data)).warnings
    assert [(warning.key, warning.clause) for warning in warnings] == [(key, clause)]
    assert clause in str(warnings[0])


PHONE: dict[str, Any] = {
    "account": "1234",
    "numbers": ["82001"],
    "policy": "dual",
    "line": {"driver": "socket", "address": "127.0.0.1:9092"},
}


def test_a_bank_must_report_on_both_paths_always(tmp_path: Path) -> None:
    data = example()
    data["site_class"] = "finance"
    with pytest.raises(ConfigError) as caught:
        config_file.load(write(tmp_path, data))
    (problem,) = caught.value.problems
    assert (problem.key, problem.clause) == ("phone", "R102")
    assert "dual" in problem.mend
    assert "两路" in problem.expected_zh
    for policy in ("fallback", "phone-only"):
        data["phone"] = {**PHONE, "policy": policy}
        with pytest.raises(ConfigError) as caught:
            config_file.load(write(tmp_path, data))
        assert ("phone.policy", "R102") in [(p.key, p.clause) for p in caught.value.problems]
    data["phone"] = PHONE
    checked = config_file.load_checked(write(tmp_path, data))
    assert {warning.clause for warning in checked.warnings} == {"R100"}
    assert config_file.check(checked.config).warnings == checked.warnings


def phone_wrong(**fields: object) -> Change:
    def change(data: dict[str, Any]) -> None:
        data["phone"] = {**PHONE, **fields}

    return change


def _no_mqtt(data: dict[str, Any]) -> None:
    del data["mqtt"]


def _no_mqtt_but_dual(data: dict[str, Any]) -> None:
    del data["mqtt"]
    data["phone"] = PHONE


@pytest.mark.parametrize(
    ("change", "key"),
    [
        (phone_wrong(account="123A"), "phone.account"),
        (phone_wrong(account="12345"), "phone.account"),
        (phone_wrong(numbers=[]), "phone.numbers"),
        (phone_wrong(numbers=["82-001"]), "phone.numbers"),
        (phone_wrong(line={"driver": "modem"}), "phone.line.device"),
        (phone_wrong(line={"driver": "socket"}), "phone.line.address"),
        (phone_wrong(line={"driver": "socket", "address": "9092"}), "phone.line.address"),
        (phone_wrong(line={"driver": "smoke"}), "phone.line.driver"),
        (phone_wrong(polcy="dual"), "phone.polcy"),
        (phone_wrong(policy="phone-only"), "phone.policy"),
        (phone_wrong(redial_max_s=1800), "phone.redial_max_s"),
        (_no_mqtt, "mqtt"),
        (_no_mqtt_but_dual, "mqtt"),
    ],
)
def test_mistakes_in_the_phone_path(tmp_path: Path, change: Change, key: str) -> None:
    problem = only(tmp_path, change)
    assert problem.key == key
    assert problem.mend_zh


def test_phone_only_needs_no_mqtt(tmp_path: Path) -> None:
    data = example()
    del data["mqtt"]
    data["phone"] = {**PHONE, "policy": "phone-only"}
    config = config_file.load(write(tmp_path, data))
    assert config.mqtt is None
    assert config.phone is not None
    assert config.phone.wait_holdup_s == 3


def test_a_pir_beside_another_kind_of_detector_is_no_single_pir(tmp_path: Path) -> None:
    data = example()
    data["zones"][1].update(technology="pir", overlaps=[3])
    assert config_file.load_checked(write(tmp_path, data)).warnings == ()


def test_secrets_that_others_can_read_are_warned_of(tmp_path: Path) -> None:
    data = example()
    users(data)
    path = write(tmp_path, data)
    assert config_file.load_checked(path).warnings == ()
    path.chmod(0o644)
    (tmp_path / "panel.key").chmod(0o640)
    warnings = config_file.load_checked(path).warnings
    assert [warning.key for warning in warnings] == ["mqtt.key", ""]
    assert config_file.load_checked(path, files=False).warnings == ()


def test_certificates_are_not_looked_for_when_asked_not_to(tmp_path: Path) -> None:
    path = write(tmp_path, example())
    (tmp_path / "ca.pem").unlink()
    assert config_file.load(path, files=False).id == "panel-1"
    (tmp_path / "ca.pem").touch()
    with pytest.raises(ConfigError, match="empty"):
        config_file.load(path)


@pytest.mark.parametrize(
    ("content", "where"),
    [
        (b'id = "a"\nname = \n', "line 2, column 8"),
        (b'id = "a"\nid = "b"\n', "line 2, column 9"),
        (b'id = "a"\nname = "\xff"\n', "line 2, column 9"),
        (b'id = "a\n', "line 1, column 8"),
        (b"[mqtt\n", "line 1, column 6"),
        (b"x = " + b"[" * 100_000, ""),
        (b"x = " + b"9" * 10_000, ""),
        (b"x = 2026-02-30", "line 1, column 5"),
    ],
)
def test_broken_toml_is_told_by_line_and_column(tmp_path: Path, content: bytes, where: str) -> None:
    path = tmp_path / "panel.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        config_file.load(path)
    assert [problem.key for problem in caught.value.problems] == [where]


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    for path in (tmp_path / "gone.toml", tmp_path, Path("nul\0byte"), tmp_path / ("x" * 300)):
        with pytest.raises(ConfigError, match="readable file"):
            config_file.load(path)
    big = tmp_path / "big.toml"
    big.write_bytes(b"#" * (config_file.FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="right file"):
        config_file.load(big)
