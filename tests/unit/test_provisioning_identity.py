"""The installer's look at a panel's identity files: each thing that can be wrong is named."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from collector.adapters.authority import Authority
from collector.adapters.registry import Registry
from protocols.instants import US_PER_S, UtcTime
from provisioning.pairing.identity import Grade, Identity, judge

DAY = 86_400 * US_PER_S
NOW = UtcTime(1_795_000_000 * US_PER_S)
GOOD = Identity(
    common_name="shop-1",
    not_before=UtcTime(NOW - DAY),
    not_after=UtcTime(NOW + 700 * DAY),
    ca_name="Tocsin",
    ca_not_after=UtcTime(NOW + 3000 * DAY),
    signed_by_ca=True,
    key_matches=True,
    key_private=True,
)


def _bad(identity: Identity, panel: str | None = "shop-1") -> list[str]:
    return [f.what for f in judge(identity, panel, NOW) if f.grade is Grade.BAD]


def test_a_good_identity_has_no_complaint() -> None:
    assert {f.grade for f in judge(GOOD, "shop-1", NOW)} == {Grade.GOOD}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"common_name": "shop-2"}, "panel id"),
        ({"common_name": "Shop 1"}, "panel id"),
        ({"signed_by_ca": False}, "signed by the centre"),
        ({"key_matches": False}, "key belongs to it"),
        ({"key_private": False}, "key is private"),
        ({"not_before": UtcTime(NOW + DAY)}, "already valid"),
        ({"not_after": UtcTime(NOW - DAY)}, "not expired"),
    ],
)
def test_what_is_wrong_is_named_with_a_way_to_mend_it(change: dict[str, object], what: str) -> None:
    fields = {name: getattr(GOOD, name) for name in Identity.__slots__}
    wrong = Identity(**{**fields, **change})  # type: ignore[arg-type]
    assert _bad(wrong) == [what]
    assert all(f.mend for f in judge(wrong, "shop-1", NOW) if f.grade is not Grade.GOOD)


def test_an_end_within_a_month_is_a_warning() -> None:
    fields = {name: getattr(GOOD, name) for name in Identity.__slots__}
    soon = Identity(**{**fields, "not_after": UtcTime(NOW + 20 * DAY)})
    assert [f.what for f in judge(soon, None, NOW) if f.grade is Grade.WARNING] == ["good for long"]


def _run(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "provisioning", "identity", str(directory), "--json", *words],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_real_files_of_the_centre(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "centre", Registry(tmp_path / "centre" / "registry.json"))
    authority.issue("shop-1", tmp_path / "one")
    authority.issue("shop-2", tmp_path / "two")
    good = _run(tmp_path / "one", "--panel", "shop-1")
    assert good.returncode == 0, good.stdout + good.stderr
    assert msgspec.json.decode(good.stdout)["ok"] is True
    shutil.copy(tmp_path / "two" / "panel.key", tmp_path / "one" / "panel.key")
    swapped = _run(tmp_path / "one")
    assert swapped.returncode == 1
    wrong = [f["what"] for f in json.loads(swapped.stdout)["findings"] if f["grade"] == "bad"]
    assert wrong == ["key belongs to it"]
    (tmp_path / "one" / "panel.crt").write_text("nonsense")
    broken = _run(tmp_path / "one")
    assert broken.returncode == 2
    assert "panel.crt" in broken.stderr
    assert "Traceback" not in broken.stderr
