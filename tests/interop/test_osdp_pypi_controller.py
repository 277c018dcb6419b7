"""Our node on a pty under the PyPI `osdp` controller, a second reading of the standard."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
import tty
from pathlib import Path
from typing import Any

import pytest

from protocols.osdp import codes
from protocols.osdp.peripheral import Peripheral
from tests.support.osdp_board import IDENTITY, Board

ROOT = Path(__file__).resolve().parents[2]
PEERS = ROOT / ".peers"
SCRIPT = ROOT / "tests/support/osdp_pypi_peer.py"


def talk(node: Peripheral, mode: str) -> dict[str, Any]:
    """Answer on a pty until the controller's process ends; what it learned."""
    assert (PEERS / "osdp").is_dir(), (
        "scripts/test installs .peers from tests/interop/osdp_peers.lock"
    )
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", str(SCRIPT), os.ttyname(theirs), mode],
        env={**os.environ, "PYTHONPATH": str(PEERS)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        end = time.monotonic() + 20
        while process.poll() is None and time.monotonic() < end:
            if select.select([ours], [], [], 0.02)[0]:
                now_ms = time.monotonic_ns() // 1_000_000
                reply = node.receive(os.read(ours, 512), now_ms)
                if reply:
                    os.write(ours, reply)
    finally:
        if process.poll() is None:
            process.kill()
        out, errors = process.communicate()
        os.close(ours)
        os.close(theirs)
    assert out, errors
    told: dict[str, Any] = json.loads(out.splitlines()[-1])
    return told


def expect_all(told: dict[str, Any], board: Board) -> None:
    assert told["online"]
    assert told["serial"] == 0x01020304
    assert told["firmware"] == [1, 2, 3]
    assert [codes.CAPABILITY_INPUTS, 4, 8] in told["capabilities"]
    assert [codes.CAPABILITY_OUTPUTS, 2, 2] in told["capabilities"]
    assert told["local"] == [True, False]
    # It keeps only whether a state is other than 0.
    assert told["inputs"] == [False, True, True, True, True, True, True, False]
    assert told["polled"]
    assert told["set"]
    assert told["outputs"] == [False, True]
    assert board.did == [("output", 1, 2, 0)]


def node_with(board: Board, key: bytes | None, clear: bool = False) -> Peripheral:
    node = Peripheral(IDENTITY, board, 5, key, os.urandom, clear=clear)
    node.report_inputs(bytes((0, 1, 2, 3, 4, 5, 6, 0)))
    node.report_local(True, False)
    return node


@pytest.mark.parametrize("mode", ["clear", "checksum"])
def test_in_clear_text_by_either_check(mode: str) -> None:
    board = Board()
    expect_all(talk(node_with(board, None, clear=True), mode), board)


def test_it_installs_a_key_and_keeps_a_session_under_it() -> None:
    board = Board()
    node = node_with(board, None)
    told = talk(node, "install")
    assert told["keyset"]
    assert bytes.fromhex(told["cuid"]) == IDENTITY.encode()[:8]
    assert board.keys == [bytes.fromhex(told["scbk"])]
    told = talk(node, "keyed")
    assert told["secure"]
    expect_all(told, board)
    assert node.secure
    assert node.counts.bad_macs == 0
