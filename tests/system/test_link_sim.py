"""The line itself: clean when told to be, bad in just the way it was told to be."""

from __future__ import annotations

import json
import random
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from hil.drivers.link_sim import Conditions, LinkSim, Mode, obey
from tests.support.brokers import until

pytestmark = pytest.mark.system

DATA = random.Random(5).randbytes(60_000)


class Echo:
    """Sends back what it gets; remembers what it got, connection by connection."""

    def __init__(self) -> None:
        self.heard: list[bytearray] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _accept(self) -> None:
        while True:
            try:
                peer, _ = self._server.accept()
            except OSError:
                return
            heard = bytearray()
            self.heard.append(heard)
            threading.Thread(target=self._serve, args=(peer, heard), daemon=True).start()

    def _serve(self, peer: socket.socket, heard: bytearray) -> None:
        with peer:
            try:
                while data := peer.recv(4096):
                    heard += data
                    peer.sendall(data)
            except OSError:
                return


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def line(echo: Echo) -> Iterator[LinkSim]:
    with LinkSim(("127.0.0.1", echo.port), seed=3) as link:
        yield link


def dial(line: LinkSim, timeout_s: float = 5) -> socket.socket:
    return socket.create_connection(("127.0.0.1", line.port), timeout_s)


def through(line: LinkSim, data: bytes = DATA) -> bytes:
    """What comes back of `data`, until the end or a reset."""
    back = bytearray()
    with dial(line, 20) as sock:
        sender = threading.Thread(target=_send, args=(sock, data))
        sender.start()
        try:
            while len(back) < len(data) and (chunk := sock.recv(65_536)):
                back += chunk
        except ConnectionError:
            pass
        sender.join()
    return bytes(back)


def meets_a_reset(line: LinkSim) -> None:
    with pytest.raises(ConnectionResetError), dial(line) as sock:
        sock.recv(1)


def _send(sock: socket.socket, data: bytes) -> None:
    try:
        sock.sendall(data)
    except OSError:
        return


@pytest.mark.parametrize(
    "rules",
    [
        Conditions(),
        Conditions(split_bytes=300),
        Conditions(coalesce_ms=5),
        Conditions(delay_ms=10, jitter_ms=10),
        Conditions(bytes_per_s=300_000, split_bytes=5_000),
    ],
    ids=["clean", "split", "coalesce", "delay", "narrow"],
)
def test_bytes_and_their_order_survive(line: LinkSim, rules: Conditions) -> None:
    line.condition(rules, rules)
    assert through(line) == DATA


def test_delay_is_kept_in_each_direction(line: LinkSim) -> None:
    line.condition(up=Conditions(delay_ms=80), down=Conditions(delay_ms=120))
    started = time.monotonic()
    assert through(line, b"x") == b"x"
    assert time.monotonic() - started >= 0.2


def test_narrow_line_takes_its_time(line: LinkSim) -> None:
    line.condition(up=Conditions(bytes_per_s=40_000, split_bytes=1_000))
    started = time.monotonic()
    assert through(line, DATA[:8_000]) == DATA[:8_000]
    assert time.monotonic() - started >= 0.15


def test_end_of_stream_passes(line: LinkSim, echo: Echo) -> None:
    with dial(line) as sock:
        sock.sendall(b"last words")
        sock.shutdown(socket.SHUT_WR)
        back = b""
        while chunk := sock.recv(100):
            back += chunk
    assert back == b"last words"
    until("the line to be empty", lambda: line.connections == 0)


def test_same_seed_same_fault(echo: Echo) -> None:
    results = []
    for seed in (1, 1, 2):
        with LinkSim(("127.0.0.1", echo.port), seed=seed) as line:
            line.condition(up=Conditions(garble_every_bytes=700))
            garbled = through(line)
            line.condition(up=Conditions(drop_every_bytes=9_000))
            assert len(through(line)) < 18_000
            results.append((garbled, line.breaks))
    assert results[0] == results[1]
    assert results[0] != results[2]
    wrong = sum(a != b for a, b in zip(results[0][0], DATA, strict=True))
    assert 40 <= wrong <= 140
    ((direction, count),) = results[0][1]
    assert direction == "up"
    assert 0 <= count < 18_000


def test_reset_and_nobody_home(line: LinkSim) -> None:
    with dial(line) as sock:
        sock.sendall(b"a")
        assert sock.recv(1) == b"a"
        line.set(Mode.CUT)
        with pytest.raises(ConnectionResetError):
            sock.recv(1)
    meets_a_reset(line)
    line.set(Mode.REFUSE)
    with pytest.raises(ConnectionRefusedError):
        dial(line)
    line.set(Mode.OPEN)
    assert through(line, b"b") == b"b"


def test_black_hole_is_silent_and_gives_back_what_was_on_the_way(line: LinkSim) -> None:
    with dial(line, 0.3) as old:
        old.sendall(b"a")
        assert old.recv(1) == b"a"
        line.set(Mode.BLACKHOLE)
        old.sendall(b"b")
        with dial(line, 0.3) as new:
            new.sendall(b"c")
            for sock in (old, new):
                with pytest.raises(TimeoutError):
                    sock.recv(1)
            line.set(Mode.OPEN)
            old.settimeout(5)
            new.settimeout(5)
            assert old.recv(1) == b"b"
            assert new.recv(1) == b"c"


def test_stranded_connection_stays_silent_and_new_ones_work(line: LinkSim) -> None:
    with dial(line, 0.3) as old:
        old.sendall(b"a")
        assert old.recv(1) == b"a"
        line.strand()
        old.sendall(b"b")
        with pytest.raises(TimeoutError):
            old.recv(1)
        assert through(line, b"c") == b"c"
        with pytest.raises(TimeoutError):
            old.recv(1)


def test_target_away_is_a_reset(echo: Echo) -> None:
    with LinkSim(("127.0.0.1", echo.port)) as line, LinkSim(("127.0.0.1", line.port)) as outer:
        line.set(Mode.REFUSE)
        meets_a_reset(outer)


def test_orders_not_understood_are_answered(line: LinkSim) -> None:
    for order in ({"set": "ajar"}, {"do": "dance"}, {"up": {"speed": 1}}, {"up": 3}, {"target": 9}):
        assert "error" in obey(line, order)
    assert obey(line, {"set": "cut", "up": {"delay_ms": 4}})["mode"] == "cut"
    assert line.up == Conditions(delay_ms=4)


def test_command_line(echo: Echo) -> None:
    argv = [sys.executable, "-m", "hil.drivers.link_sim", "--target", f"127.0.0.1:{echo.port}"]
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        port = json.loads(process.stdout.readline())["port"]
        with socket.create_connection(("127.0.0.1", port), 5) as sock:
            sock.sendall(b"z")
            assert sock.recv(1) == b"z"
            process.stdin.write('{"set":"cut"}\nnonsense\n')
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["mode"] == "cut"
            assert "error" in json.loads(process.stdout.readline())
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        process.stdin.close()
        assert process.wait(10) == 0
