"""The files of tests/shared on the real MicroPython with a board's heap: the same tests pass."""

from __future__ import annotations

import ast
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / "tests/shared").glob("test_*.py"))
MICROPYTHON = Path(sys.executable).parent / "micropython"
HEAP = "192k"
# Its wheel exists for x86-64 only; elsewhere the runner is checked with the Python at hand.
ON_X86 = platform.machine() == "x86_64"
SECOND = [str(MICROPYTHON), "-X", f"heapsize={HEAP}"] if ON_X86 else [sys.executable]


def passed_on(command: list[str], path: Path) -> list[str]:
    """Names that passed; fails the test with the runtime's own words when any did not."""
    environment = {**os.environ, "MICROPYPATH": f"{ROOT}:.frozen", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "tests/shared/run.py", str(path)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, f"{command[0]}:\n{done.stdout}{done.stderr}"
    return [line.split()[1] for line in done.stdout.splitlines() if line.startswith("passed ")]


def written_in(path: Path) -> list[str]:
    """What pytest collects from the file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return sorted(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    )


def test_micropython_is_here() -> None:
    """Missing, the node's code would pass untested where it runs: that is a failure, not a skip."""
    assert MICROPYTHON.exists() or not ON_X86, "install requirements-dev.lock with Python 3.11"
    assert len(FILES) >= 4


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_same_tests_pass_on_micropython(path: Path) -> None:
    names = written_in(path)
    assert names
    assert passed_on(SECOND, path) == names


def test_a_failing_test_fails_the_runner(tmp_path: Path) -> None:
    bad = tmp_path / "test_bad.py"
    bad.write_text("def test_wrong():\n    assert 1 == 2\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="FAILED test_wrong"):
        passed_on(SECOND, bad)
    with pytest.raises(AssertionError, match="FAILED test_wrong"):
        passed_on([sys.executable], bad)
