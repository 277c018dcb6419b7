"""A receiver's port against who reads nothing, pours in bytes, or is not the receiver; and our own
faults: none of it ends or holds up reception.
"""

from __future__ import annotations

import contextlib
import queue
import select
import socket
import time

import pytest

from collector.adapters.automation_port import AutomationPort
from collector.adapters.automation_tcp import TcpClient, TcpServer
from protocols.automation.dialect import Reading
from protocols.automation.effects import Arrived
from protocols.automation.encoding import SurGardEncoder
from protocols.automation.machine import Policy
from protocols.automation.surgard import SurGard

POLICY = Policy(lost_s=0.6, gone_s=0.3, ack_s=0.3, repeat_s=2.0, frame_s=0.15)


def test_a_receiver_that_reads_no_answers_holds_up_nobody() -> None:
    """Answers leave from the thread that commits for all lines: none of them may wait there."""
    ours = TcpServer("127.0.0.1", 0)
    slowest_s = 0.0

    def answer_for_ever() -> None:
        nonlocal slowest_s
        while True:
            began = time.monotonic()
            ours.write(b"\x06" * 64)
            slowest_s = max(slowest_s, time.monotonic() - began)

    def read_all(foe: socket.socket) -> None:
        while foe.recv(65_536):
            pass

    with socket.create_connection(("127.0.0.1", ours.port)) as foe:
        foe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        assert ours.open(5)
        with pytest.raises(ConnectionResetError, match="takes no answer"):
            answer_for_ever()
        ours.close()
        with pytest.raises(ConnectionResetError):  # cut off, not left half open
            read_all(foe)
    ours.shut()
    assert slowest_s < 1.0


def test_an_answer_that_cannot_be_sent_begins_the_link_anew() -> None:
    class Full(TcpServer):
        def write(self, data: bytes) -> None:
            raise ConnectionResetError("takes no answer")

    ours = Full("127.0.0.1", 0)
    port = AutomationPort("one", SurGard(), ours, lambda *_: None, lambda *_: None, policy=POLICY)
    port.start()
    for _ in range(2):
        with socket.create_connection(("127.0.0.1", ours.port)) as receiver:
            receiver.settimeout(10)
            receiver.sendall(SurGardEncoder().beat(1))
            assert receiver.recv(1) == b""
    port.stop()
    ours.shut()


def test_an_acknowledgement_that_could_not_be_sent_is_no_reason_to_tell_twice() -> None:
    class Breaking(TcpServer):
        broken = False

        def write(self, data: bytes) -> None:
            if not self.broken:
                self.broken = True
                raise ConnectionResetError("gone in this moment")
            super().write(data)

    ours = Breaking("127.0.0.1", 0)
    taken: queue.Queue[Arrived] = queue.Queue()
    port = AutomationPort("one", SurGard(), ours, lambda _, one: taken.put(one), lambda *_: None)
    port.start()
    for answer in (b"", b"\x06"):
        with socket.create_connection(("127.0.0.1", ours.port)) as receiver:
            receiver.settimeout(10)
            receiver.sendall(b"5011 181234E13001005\x14")
            if not answer:
                port.stored(taken.get(timeout=10).token)
            assert receiver.recv(1) == answer
    assert taken.empty()
    port.stop()
    ours.shut()


def test_who_pours_in_heartbeats_is_answered_at_a_measured_pace() -> None:
    """As fast as they could be answered they would take a whole processor from the calls."""
    ours = TcpServer("127.0.0.1", 0)
    port = AutomationPort("one", SurGard(), ours, lambda *_: None, lambda *_: None)
    port.start()
    beats = 4096 * SurGardEncoder().beat(1)
    answers = 0
    with socket.create_connection(("127.0.0.1", ours.port)) as foe:
        foe.setblocking(False)
        end = time.monotonic() + 1.0
        while time.monotonic() < end:
            readable, writable, _ = select.select([foe], [foe], [], 0.1)
            if readable:
                answers += len(foe.recv(65_536))
            if writable:
                with contextlib.suppress(BlockingIOError):
                    foe.send(beats)
    port.stop()
    ours.shut()
    assert 0 < answers < 6000


def test_only_the_receivers_address_may_connect_and_others_disturb_nobody(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours = TcpServer("127.0.0.1", 0, ["127.0.0.2/32", "192.168.7.0/24"])
    here = ("127.0.0.1", ours.port)
    with socket.create_connection(here, source_address=("127.0.0.2", 0)) as receiver:
        assert ours.open(5)
        for _ in range(3):
            with socket.create_connection(here) as foe:
                assert ours.read(5) == b""
                assert foe.recv(1) == b""
        receiver.sendall(b"x")
        assert ours.read(5) == b"x"
    assert ours.refused == 3
    assert caplog.text.count("a connection from 127.0.0.1 was refused") == 2
    ours.shut()
    with pytest.raises(ValueError, match="localhost"):
        TcpServer("127.0.0.1", 0, ["localhost"])


def test_a_receiver_started_anew_is_called_again_though_nobody_hung_up() -> None:
    """Its power failed: our end of the old connection never hears that."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(10)
    port = AutomationPort(
        "one",
        SurGard(),
        TcpClient("127.0.0.1", listener.getsockname()[1]),
        lambda *_: None,
        lambda *_: None,
        policy=POLICY,
    )
    port.start()
    before, _ = listener.accept()
    after, _ = listener.accept()  # with the first still open and silent
    after.sendall(SurGardEncoder().beat(1))
    after.settimeout(10)
    assert after.recv(1) == b"\x06"
    port.stop()
    for one in (before, after, listener):
        one.close()


def test_a_fault_of_ours_does_not_end_reception() -> None:
    class Faulty(SurGard):
        def read(self, frame: bytes) -> Reading:
            if frame == b"?":
                raise ValueError("a fault of ours")
            return super().read(frame)

    ours = TcpServer("127.0.0.1", 0)
    states: list[tuple[bool, str]] = []
    port = AutomationPort(
        "one", Faulty(), ours, lambda *_: None, lambda _, up, cause: states.append((up, cause)),
        policy=POLICY,
    )  # fmt: skip
    port.start()
    for data, answer in ((b"?\x14", b""), (SurGardEncoder().beat(1), b"\x06")):
        with socket.create_connection(("127.0.0.1", ours.port)) as plain:
            plain.settimeout(10)
            plain.sendall(data)
            assert plain.recv(1) == answer
    port.stop()
    ours.shut()
