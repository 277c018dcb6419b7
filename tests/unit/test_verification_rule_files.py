"""Rule files: presets, versions, and refusals that say what to mend."""

from __future__ import annotations

import hashlib
from importlib import resources
from pathlib import Path

import pytest

from collector.adapters.rule_files import PRESETS, load_rules, preset
from collector.verification import Rules, RulesRefused, parse_rules

TEXT = (resources.files("collector.verification") / "presets" / "bs8243.toml").read_text("utf-8")


@pytest.mark.parametrize("name", PRESETS)
def test_presets_load_and_carry_the_digest_of_their_bytes(name: str) -> None:
    packaged = resources.files("collector.verification") / "presets" / f"{name}.toml"
    rules = preset(name)
    assert rules.version.startswith(name)
    assert rules.sha256 == hashlib.sha256(packaged.read_bytes()).hexdigest()


def test_default_is_bs8243_and_a_file_is_read_from_its_path(tmp_path: Path) -> None:
    assert load_rules() == preset("bs8243")
    own = tmp_path / "own.toml"
    own.write_text(TEXT.replace('"bs8243-1"', '"own-7"'), encoding="utf-8")
    rules = load_rules(own)
    assert isinstance(rules, Rules)
    assert rules.version == "own-7"
    assert rules.sha256 != preset("bs8243").sha256


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("window_min = 45", "window_min = 5", "burglary.window_min"),
        ("window_min = 45", "window_min = 61", "burglary.window_min"),
        ("window_min = 45", 'window_min = "45"', "burglary.window_min"),
        ("window_min = 45", "", "missing required field `window_min`"),
        ("window_min = 45", "windw_min = 45", "burglary"),
        ('holdup = "110"', 'holdup = ""', "handover.holdup"),
        ('guards = "never"', 'guards = "maybe"', "handover.guards"),
        ('by = ["cancel", "abort", "disarm"]', 'by = ["whim"]', "cancel.by"),
        ('version = "bs8243-1"', 'version = ""', "version"),
        ("[burglary]", "[burglary", "not TOML"),
        ("trips = 6", "trips = 1", "runaway.trips"),
    ],
)
def test_a_wrong_file_is_refused_with_its_key(old: str, new: str, said: str) -> None:
    assert old in TEXT
    refused = parse_rules(TEXT.replace(old, new).encode(), "own.toml")
    assert isinstance(refused, RulesRefused)
    assert str(refused).startswith("own.toml: ")
    assert said in str(refused)


def test_what_is_no_file_or_no_text_is_refused(tmp_path: Path) -> None:
    missing = load_rules(tmp_path / "none.toml")
    assert isinstance(missing, RulesRefused)
    assert "bs8243" in missing.reason
    assert isinstance(parse_rules(b"\xff\xfe"), RulesRefused)
