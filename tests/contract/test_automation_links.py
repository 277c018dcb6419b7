"""One contract for every dialect over every transport: a played hardware receiver and our port."""

from __future__ import annotations

import queue
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import pytest

from collector.adapters.automation_port import AutomationPort, Transport
from collector.adapters.automation_serial import SerialLine, SerialTransport
from collector.adapters.automation_sim import PtyTransport, ReceiverSim
from collector.adapters.automation_tcp import TcpClient, TcpServer
from protocols.automation.ademco685 import Ademco685
from protocols.automation.bosch import BoschSia
from protocols.automation.dialect import Dialect
from protocols.automation.effects import Arrived, Content
from protocols.automation.encoding import (
    Ademco685Encoder,
    BoschEncoder,
    Encoder,
    RadionicsEncoder,
    SurGardEncoder,
)
from protocols.automation.machine import Policy
from protocols.automation.radionics import Radionics6500
from protocols.automation.sending import Habits
from protocols.automation.surgard import SurGard
from protocols.contact_id.mapping import message_of
from protocols.contact_id.message import Message
from protocols.mqtt.reception import Report
from protocols.panel_event import PanelEvent
from tests.support.collector_rig import until

HABITS = Habits(ack_s=0.3, beat_s=0.4)
POLICY = Policy(lost_s=1.5, gone_s=0.3, ack_s=0.3, repeat_s=2.0, frame_s=0.15)
IMPATIENT = replace(POLICY, lost_s=0.6)
PAIRS: dict[str, tuple[Callable[[], Dialect], Callable[[], Encoder]]] = {
    "sur-gard-3": (SurGard, SurGardEncoder),
    "sur-gard-5": (lambda: SurGard(head_digits=5), lambda: SurGardEncoder("01001")),
    "ademco-685": (Ademco685, Ademco685Encoder),
    "radionics-6500": (Radionics6500, RadionicsEncoder),
    "bosch-sia": (BoschSia, BoschEncoder),
}
MEDIA = ("serial", "tcp-client", "tcp-server")
CASES = [
    *((dialect, "serial") for dialect in PAIRS),
    *((dialect, medium) for dialect in ("sur-gard-3", "bosch-sia") for medium in MEDIA[1:]),
]
"""Every dialect on a wire; by TCP one answered with a byte and one answered with a frame."""


@dataclass
class Link:
    sim: ReceiverSim[Transport]
    port: AutomationPort
    taken: queue.Queue[tuple[tuple[Content, ...], int, bool]]
    states: list[tuple[bool, str]]
    malformed: list[str]
    kept: list[Report] = field(default_factory=list)

    def keep(self) -> Report:
        """Take the next frame into the store, then say so."""
        what, token, _ = self.taken.get(timeout=10)
        for one in what:
            assert isinstance(one, Report)
            self.kept.append(one)
        self.port.stored(token)
        return self.kept[-1]

    def put(self, message: Message) -> None:
        self.sim.put(lambda n: self.sim.encoder.contact_id(message, n))


@contextmanager
def link(
    dialect: str, medium: str, habits: Habits = HABITS, policy: Policy = POLICY
) -> Iterator[Link]:
    make_dialect, make_encoder = PAIRS[dialect]
    theirs: Transport
    ours: Transport
    if medium == "serial":
        theirs = PtyTransport()
        ours = SerialTransport(SerialLine(theirs.device))
    elif medium == "tcp-client":
        theirs = TcpServer("127.0.0.1", 0)
        ours = TcpClient("127.0.0.1", theirs.port)
    else:
        ours = TcpServer("127.0.0.1", 0, ("127.0.0.1",))
        theirs = TcpClient("127.0.0.1", ours.port)
    taken: queue.Queue[tuple[tuple[Content, ...], int, bool]] = queue.Queue()
    states: list[tuple[bool, str]] = []
    malformed: list[str] = []
    port = AutomationPort(
        "one",
        make_dialect(),
        ours,
        lambda _, one: taken.put((one.what, one.token, one.repeat)),
        lambda _, up, cause: states.append((up, cause)),
        on_malformed=lambda _, bad: malformed.append(bad.reason),
        policy=policy,
    )
    sim = ReceiverSim(make_encoder(), theirs, habits)
    port.start()
    if medium == "serial":  # opening a serial port throws away what came before
        until(lambda: port.state == "open")
    sim.start()
    try:
        yield Link(sim, port, taken, states, malformed)
    finally:
        sim.stop()
        port.stop()
        for end in (theirs, ours):
            if isinstance(end, PtyTransport | TcpServer):
                end.shut()


def alarm(number: int) -> Message:
    message = message_of(PanelEvent(130, area=1, zone=number), "1234")
    assert message is not None
    return message


@pytest.mark.parametrize(("dialect", "medium"), CASES)
def test_every_report_arrives_once_and_is_acknowledged_when_stored(
    dialect: str, medium: str
) -> None:
    with link(dialect, medium) as one:
        for number in range(1, 6):
            one.put(alarm(number))
        for number in range(1, 6):
            assert one.keep().event.zone == number
        until(lambda: one.sim.done == 5)
        until(lambda: one.port.state == "up")
        assert [kept.account for kept in one.kept] == ["1234"] * 5
        assert one.taken.empty()
        assert one.states[:1] == [(True, "")]
        assert one.malformed == []


@pytest.mark.parametrize(("dialect", "medium"), CASES)
def test_not_acknowledged_before_it_is_stored_and_never_lost(dialect: str, medium: str) -> None:
    with link(dialect, medium, Habits(ack_s=0.3, repeats=1, beat_s=0.4)) as one:
        one.put(alarm(7))
        what, token, repeat = one.taken.get(timeout=10)
        until(lambda: one.sim.parked)  # sent twice, no answer
        assert not repeat
        assert (one.sim.done, one.sim.waiting) == (0, 1)
        one.port.stored(token)
        until(lambda: one.sim.done == 1)  # at its next try after a heartbeat's ACK
        assert isinstance(what[0], Report)
        # a repeat that came long after is told again rather than swallowed; it is the same report
        while not one.taken.empty():
            assert one.taken.get_nowait()[0] == what


@pytest.mark.parametrize(("dialect", "medium"), CASES)
def test_a_lost_acknowledgement_gives_the_same_report_flagged(dialect: str, medium: str) -> None:
    with link(dialect, medium, Habits(ack_s=0.3, beat_s=30)) as one:
        until(lambda: one.sim.acks == 1)  # the first heartbeat
        one.sim.lose_answers = 1
        one.put(alarm(3))
        first = one.keep()
        if dialect == "bosch-sia":  # numbered frames: certainly the same, not told again
            until(lambda: one.sim.done == 1)
            assert one.taken.empty()
        else:
            what, token, repeat = one.taken.get(timeout=10)
            assert repeat
            assert what == (first,)
            one.port.stored(token)
            until(lambda: one.sim.done == 1)
        assert one.port.counts == {"repeats": 1}


@pytest.mark.parametrize(("dialect", "medium"), CASES)
def test_a_spoilt_frame_is_asked_for_again(dialect: str, medium: str) -> None:
    with link(dialect, medium, Habits(ack_s=2.0, beat_s=30)) as one:
        until(lambda: one.sim.acks == 1)
        one.sim.garble = 1
        one.put(alarm(9))
        assert one.keep().event.zone == 9
        until(lambda: one.sim.done == 1)
        assert one.sim.naks == 1
        assert len(one.malformed) == 1
        one.sim.cut = 1
        one.put(alarm(10))
        assert one.keep().event.zone == 10
        until(lambda: one.sim.done == 2)
        assert len(one.malformed) == 2


@pytest.mark.parametrize("medium", MEDIA)
def test_silence_and_return_are_told(medium: str) -> None:
    with link("sur-gard-3", medium, Habits(ack_s=0.3, beat_s=1.4), IMPATIENT) as one:
        until(lambda: (False, "silent") in one.states)
        until(lambda: one.states[-1] == (True, ""))  # the next heartbeat


def test_a_closed_connection_is_told_and_the_next_one_taken() -> None:
    with link("sur-gard-3", "tcp-server") as one:
        until(lambda: one.port.state == "up")
        transport = one.sim.transport
        assert isinstance(transport, TcpClient)
        address = transport._peer
        one.sim.stop()
        until(lambda: one.states[-1][0] is False)
        assert one.port.state == "down: the receiver hung up"
        with socket.create_connection(address) as plain:
            plain.sendall(b"5011 181234E12101001\x14")
            report = one.keep()
            assert (report.event.code, report.event.user) == (121, 1)
            plain.settimeout(10)
            assert plain.recv(10) == b"\x06"
        assert one.states[-1] == (True, "")


@pytest.mark.parametrize(
    ("dialect", "mode"), [("sur-gard-3", "7E1"), ("sur-gard-3", "8N1"), ("ademco-685", "7E1")]
)
def test_seven_bits_with_parity_on_a_line_set_to_seven_or_eight(dialect: str, mode: str) -> None:
    theirs = PtyTransport()
    line = SerialLine(theirs.device, 19200, int(mode[0]), mode[1])
    for _ in range(2):  # a device may be opened again, though a pty refuses what it already is
        before = SerialTransport(line)
        before.open(1)
        before.close()
    taken: queue.Queue[Arrived] = queue.Queue()
    make_dialect, make_encoder = PAIRS[dialect]
    port = AutomationPort(
        "one",
        make_dialect(),
        SerialTransport(line),
        lambda _, one: taken.put(one),
        lambda *_: None,
    )
    port.start()
    until(lambda: port.state == "open")
    sim = ReceiverSim(make_encoder(), theirs, HABITS)
    sim.seven_bits = True
    sim.start()
    sim.put(lambda n: sim.encoder.contact_id(alarm(7), n))
    one = taken.get(timeout=10)
    assert isinstance(one.what[0], Report)
    assert one.what[0].event.zone == 7
    port.stored(one.token)
    until(lambda: sim.done == 1)
    sim.stop()
    port.stop()
    theirs.shut()
