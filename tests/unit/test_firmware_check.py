"""The type check of the firmware against its board's stubs finds what it is there for."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def check(*files: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(ROOT / "firmware" / "check"), *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_firmware_passes_and_a_wrong_pin_does_not(tmp_path: Path) -> None:
    good = tmp_path / "good.py"
    good.write_text("from machine import Pin\n\nled = Pin(2, Pin.OUT, value=0)\nled.value(1)\n")
    done = check(good)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Success") == 2
    bad = tmp_path / "bad.py"
    bad.write_text("from machine import Pin\n\nled = Pin(2, mode='out', pul=1)\nled.values(1)\n")
    done = check(bad)
    assert done.returncode != 0
    assert 'Unexpected keyword argument "pul"' in done.stdout
    assert '"Pin" has no attribute "values"' in done.stdout
    assert "bad.py:3" in done.stdout
