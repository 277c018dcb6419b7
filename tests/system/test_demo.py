"""What a newcomer types first: the demo, whole, and its account."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.system
@pytest.mark.slow
def test_the_demo_ends_with_an_account_that_holds(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hil", "demo", "--json", "--dir", str(tmp_path / "demo")],
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    account = json.loads(done.stdout)
    assert account["ok"]
    assert [claim for claim in account["claims"] if not claim["holds"]] == []
    assert len(account["claims"]) >= 12


def test_an_unknown_scenario_is_refused_with_what_there_is(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hil", "demo", "--scenario", "flood", "--dir", str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 2
    assert "burglary" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
