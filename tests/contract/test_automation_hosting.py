"""Hardware receivers of a receiver process: from their line to the spool, ACK after the commit."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from collector.adapters.automation_hosting import (
    DIALECTS,
    MOST_NOTES,
    HardwareError,
    HardwareReceivers,
    Notes,
    dialect_of,
    policy_of,
)
from collector.adapters.automation_sim import PtyTransport, ReceiverSim
from collector.adapters.automation_tcp import TcpClient, TcpServer
from collector.adapters.receiver_config import HardwareConfig
from collector.adapters.spool_frames import Frame
from collector.adapters.spool_sqlite import Spool, What
from collector.adapters.spool_writer import SpoolWriter
from protocols.automation.effects import Malformed
from protocols.automation.encoding import Ademco685Encoder, BoschEncoder, SurGardEncoder
from protocols.automation.machine import Policy
from protocols.automation.reports import Accounts
from protocols.automation.sending import Habits
from protocols.contact_id.message import Message
from protocols.instants import UtcTime
from protocols.mqtt.reception import Report
from tests.support.collector_rig import until

POLICY = Policy(lost_s=5, ack_s=0.5, repeat_s=3)
HABITS = Habits(ack_s=0.5, beat_s=0.5)


def now() -> UtcTime:
    return UtcTime(time.time_ns() // 1000)


@contextlib.contextmanager
def spool_in(folder: Path) -> Iterator[tuple[Spool, SpoolWriter]]:
    spool = Spool(folder, "receiver-1", now())
    writer = SpoolWriter(spool, lambda: None)
    writer.start()
    try:
        yield spool, writer
    finally:
        writer.close()
        spool.close()


def alarm(zone: int) -> Message:
    return Message("1234", "1", "130", "01", f"{zone:03d}")


def test_three_receivers_into_one_spool(tmp_path: Path) -> None:
    pty = PtyTransport()
    listener = TcpServer("127.0.0.1", 0)
    configs = [
        HardwareConfig("mlr2", "sur-gard-3", device=pty.device, baud=19200, mode="8N1"),
        HardwareConfig("685", "ademco-685", connect=f"127.0.0.1:{listener.port}"),
        HardwareConfig("bosch", "bosch-sia", listen="127.0.0.1:0"),
    ]
    states: list[tuple[str, bool]] = []
    with spool_in(tmp_path) as (spool, writer):
        hosts = HardwareReceivers(
            configs,
            Accounts(),
            writer.store,
            lambda name, up, _: states.append((name, up)),
            now,
            POLICY,
        )
        hosts.start()
        sims = [
            ReceiverSim(SurGardEncoder(), pty, HABITS),
            ReceiverSim(Ademco685Encoder(), listener, HABITS),
            ReceiverSim(BoschEncoder(), TcpClient("127.0.0.1", hosts.listening()[0]), HABITS),
        ]
        try:
            until(lambda: hosts.states()["mlr2"] == "open")
            for sim in sims:
                sim.start()
            for zone in range(1, 21):
                for sim in sims:
                    sim.put(lambda n, sim=sim, zone=zone: sim.encoder.contact_id(alarm(zone), n))  # type: ignore[misc]
            until(lambda: all(sim.done == 20 for sim in sims))
            until(lambda: hosts.states() == {"mlr2": "up", "685": "up", "bosch": "up"})
            entries = spool.read(0, 1000)
        finally:
            for sim in sims:
                sim.stop()
            hosts.stop()
            pty.shut()
            listener.shut()
    kept = [(one.line, one.what.event.zone) for one in entries if isinstance(one.what, Report)]
    for name in ("mlr2", "685", "bosch"):
        assert [zone for line, zone in kept if line == name] == list(range(1, 21))
        assert (name, True) in states


def test_nothing_is_acknowledged_that_the_spool_refused(tmp_path: Path) -> None:
    refusing = [True]
    asked: list[int] = []
    with spool_in(tmp_path) as (spool, writer):

        def keep(
            items: Sequence[tuple[UtcTime, str, What]],
            done: Callable[[str], None],
            *,
            frame: Frame | None = None,
        ) -> None:
            asked.append(len(items))
            if refusing[0]:
                done("disk full")
            else:
                writer.store(items, done, frame=frame)

        hosts = HardwareReceivers(
            [HardwareConfig("bosch", "bosch-sia", listen="127.0.0.1:0")],
            Accounts(),
            keep,
            lambda *_: None,
            now,
            POLICY,
        )
        hosts.start()
        sim = ReceiverSim(BoschEncoder(), TcpClient("127.0.0.1", hosts.listening()[0]), HABITS)
        sim.start()
        try:
            sim.put(lambda n: sim.encoder.contact_id(alarm(5), n))
            until(lambda: len(asked) >= 3)  # it repeats, and each time it is asked anew
            assert sim.done == 0
            refusing[0] = False
            until(lambda: sim.done == 1)
            (entry,) = spool.read(0, 10)
            assert isinstance(entry.what, Report)
            assert entry.what.event.zone == 5
        finally:
            sim.stop()
            hosts.stop()


def test_a_configuration_that_cannot_work_says_how_to_mend_it() -> None:
    with pytest.raises(HardwareError, match="expected one of sur-gard-3, sur-gard-5, ademco-685"):
        dialect_of(HardwareConfig("x", "surgard"), Accounts())
    for name in DIALECTS:
        assert dialect_of(HardwareConfig("x", name), Accounts()).framing.end in {0x14, 0x0D}
    taken = TcpServer("127.0.0.1", 0)
    try:
        for given, text in (
            (
                HardwareConfig("x", "bosch-sia", listen="127.0.0.1:0", allow=("localhost",)),
                "'localhost' does not appear to be an IPv4 or IPv6 network; write addresses",
            ),
            (HardwareConfig("x", "bosch-sia"), "give `device`, or `connect` or `listen`"),
            (
                HardwareConfig("x", "bosch-sia", listen=f"127.0.0.1:{taken.port}"),
                "cannot listen on 127.0.0.1",
            ),
        ):
            with pytest.raises(HardwareError, match=text):
                HardwareReceivers([given], Accounts(), lambda *_, **__: None, lambda *_: None, now)
    finally:
        taken.shut()


def test_times_are_as_configured() -> None:
    serial = policy_of(HardwareConfig("x", "sur-gard-3", device="/dev/ttyS0", ack_s=10))
    assert (serial.lost_s, serial.gone_s, serial.ack_s) == (95, 10, 10)
    calling = policy_of(HardwareConfig("x", "sur-gard-3", listen="127.0.0.1:0", silent_s=300))
    assert (calling.lost_s, calling.gone_s, calling.ack_s) == (300, 300, None)


def test_noise_is_logged_for_a_while_and_then_counted(caplog: pytest.LogCaptureFixture) -> None:
    notes = Notes("mlr2")
    for number in range(1000):
        notes.take(Malformed(f"piece {number}", "Sur-Gard line", b"?"), 100.0)
    assert len(caplog.records) == MOST_NOTES
    notes.take(Malformed("later", "Sur-Gard line", b"?"), 161.0)
    assert "990 more pieces could not be read" in caplog.text
    assert "later" in caplog.text


def test_a_status_shows_what_a_port_counted(tmp_path: Path) -> None:
    with spool_in(tmp_path) as (_, writer):
        config = HardwareConfig("x", "sur-gard-3", listen="127.0.0.1:0", allow=("127.0.0.2",))
        hosts = HardwareReceivers([config], Accounts(), writer.store, lambda *_: None, now, POLICY)
        hosts.start()
        here = ("127.0.0.1", hosts.listening()[0])
        with socket.create_connection(here) as foe:
            assert foe.recv(1) == b""
        with socket.create_connection(here, source_address=("127.0.0.2", 0)) as receiver:
            receiver.sendall(b"nonsense\x14")
            assert receiver.recv(1) == b"\x15"
        assert hosts.counts("x") == {"malformed": 1, "refused": 1}
        hosts.stop()
