"""A hardware receiver's frame over a restart: its repeat is known, a second event is never lost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from collector.adapters import spool_frames
from collector.adapters.automation_hosting import HardwareReceivers, Keep
from collector.adapters.automation_sim import ReceiverSim
from collector.adapters.automation_tcp import TcpServer
from collector.adapters.receiver_config import HardwareConfig
from collector.adapters.spool_frames import Frame
from collector.adapters.spool_reading import SpoolError
from collector.adapters.spool_sqlite import Spool, What
from collector.adapters.spool_writer import SpoolWriter
from protocols.automation.bosch import BoschSia, framed
from protocols.automation.effects import Arrived, Effect, Kept, Send
from protocols.automation.encoding import SurGardEncoder
from protocols.automation.machine import Automation, Policy
from protocols.automation.reports import Accounts
from protocols.automation.sending import Habits
from protocols.automation.surgard import SurGard
from protocols.contact_id.message import Message
from protocols.instants import Instant, UtcTime, later, utc_later
from protocols.mqtt.reception import Report
from protocols.panel_event import PanelEvent
from tests.support.collector_rig import until

ALARM = b"5011 181234E13001005\x14"
OTHER = b"5011 181234E13001006\x14"
ACK = Send(b"\x06")
START = Instant(10_000_000_000)
NOW = UtcTime(1_790_000_000_000_000)
ITEM = (NOW, "mlr2", Report("1234", "contact-id", "raw", PanelEvent(130)))


def restarted(*kept: Kept) -> Automation:
    one = Automation(SurGard())
    one.remember(kept, START)
    one.connected(START)
    return one


def arrives(effects: list[Effect]) -> bool:
    return any(isinstance(each, Arrived) for each in effects)


def test_a_frame_stored_and_never_acknowledged_is_a_repeat_after_a_restart() -> None:
    one = restarted(Kept(ALARM[:-1], sequence=False, age_s=40))
    effects = one.receive(ALARM, later(START, 30))  # sent again at a heartbeat, protocols.md 3.1
    assert not arrives(effects)
    assert ACK in effects
    assert arrives(one.receive(ALARM, later(START, 31))), "once settled the same is told again"


def test_what_comes_long_after_or_behind_another_frame_is_told() -> None:
    old = restarted(Kept(ALARM[:-1], sequence=False, age_s=100))
    assert arrives(old.receive(ALARM, later(START, 30)))
    one = restarted(Kept(ALARM[:-1], sequence=False, age_s=1))
    assert arrives(one.receive(OTHER, later(START, 1)))
    assert one.stored(1, later(START, 1.1)) == [ACK]
    assert arrives(one.receive(ALARM, later(START, 2)))


def test_a_numbered_frame_is_known_for_ten_minutes_acknowledged_or_not() -> None:
    frame = framed("a00120102[#1234|18113001005]")
    for age_s, known in ((500, True), (700, False)):
        one = Automation(BoschSia())
        one.remember([Kept(frame[1:-1], sequence=True, age_s=age_s)], START)
        assert arrives(one.receive(frame, START)) is not known


def test_frames_are_kept_with_what_they_told_and_settled_without_a_number(tmp_path: Path) -> None:
    spool = Spool(tmp_path, "rx-1", NOW)
    frames = [Frame("mlr2", ALARM, sequence=False), Frame("mlr2", b"n", sequence=True)]
    spool.append([ITEM, ITEM], [(NOW, each) for each in frames])
    assert [each.frame for each in spool.frames("mlr2")] == [ALARM, b"n"]
    assert spool.frames("other") == []
    spool.settle("mlr2")
    spool.close()
    spool = Spool(tmp_path, "rx-1", NOW)
    assert [each.frame for each in spool.frames("mlr2")] == [b"n"]
    for number in range(100):
        spool.append([ITEM], [(NOW, Frame("mlr2", bytes([number]), sequence=True))])
    assert len(spool.frames("mlr2")) == spool_frames.MOST_PER_LINE
    spool._marker.execute("pragma query_only=1")
    with pytest.raises(SpoolError):
        spool.settle("mlr2")
    spool.close()


def test_after_a_restart_of_the_machine_only_numbers_tell_and_no_clock_that_went_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path, "rx-1", NOW)
    for frame in (Frame("mlr2", ALARM, sequence=False), Frame("mlr2", b"n", sequence=True)):
        spool.append([ITEM], [(NOW, frame)])
    found = spool_frames.kept(spool._reader, "mlr2", utc_later(NOW, -1e9))
    assert [each.age_s < 60 for each in found] == [True, True]
    monkeypatch.setattr(spool_frames, "_boot", lambda: "another start of the machine")
    (numbered,) = spool_frames.kept(spool._reader, "mlr2", utc_later(NOW, 30))
    assert (numbered.sequence, numbered.age_s) == (True, 30)
    assert spool_frames.kept(spool._reader, "mlr2", utc_later(NOW, -1)) == []
    spool.close()


@contextlib.contextmanager
def receiving(folder: Path, port: int, *, acknowledges: bool) -> Iterator[Spool]:
    """Our side, from start to end; without `acknowledges` it is as if killed after each commit."""
    spool = Spool(folder, "rx-1", UtcTime(time.time_ns() // 1000))
    writer = SpoolWriter(spool, lambda: None)
    writer.start()

    def keep(
        items: Sequence[tuple[UtcTime, str, What]],
        done: Callable[[str], None],
        *,
        frame: Frame | None = None,
    ) -> None:
        writer.store(items, done if acknowledges else lambda _why: None, frame=frame)

    asked: Keep = keep
    hosts = HardwareReceivers(
        [HardwareConfig("mlr2", "sur-gard-3", connect=f"127.0.0.1:{port}")],
        Accounts(),
        asked,
        lambda *_: None,
        lambda: UtcTime(time.time_ns() // 1000),
        Policy(ack_s=0.3, repeat_s=0.5),
        spool,
    )
    hosts.start()
    try:
        yield spool
    finally:
        hosts.stop()
        writer.close()
        spool.close()


def test_killed_between_commit_and_acknowledgement_the_event_is_told_once(tmp_path: Path) -> None:
    wire = TcpServer("127.0.0.1", 0)
    sim = ReceiverSim(SurGardEncoder(), wire, Habits(ack_s=0.2, beat_s=0.3))
    sim.start()

    def put() -> None:
        sim.put(lambda n: sim.encoder.contact_id(Message("1234", "1", "130", "01", "005"), n))

    try:
        with receiving(tmp_path, wire.port, acknowledges=False) as spool:
            put()
            until(lambda: spool.newest == 1)
            assert sim.done == 0
        with receiving(tmp_path, wire.port, acknowledges=True) as spool:
            until(lambda: sim.done == 1)
            assert spool.newest == 1
            put()  # it happens once more, in the very same words
            until(lambda: sim.done == 2)
            assert spool.newest == 2
        with receiving(tmp_path, wire.port, acknowledges=True) as spool:
            put()
            until(lambda: sim.done == 3)
            assert spool.newest == 3
    finally:
        sim.stop()
        wire.shut()
