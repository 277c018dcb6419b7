"""The wire with its ptys: pacing as a program sees it, and the faults at a drop."""

from __future__ import annotations

import errno
import os
import statistics
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hil.drivers.bus_wire import BusWire
from hil.drivers.process import wait_for
from tests.support.bus_terminal import Answering, Terminal

CHAR_S = 10 / 38_400


@pytest.fixture
def wire() -> Iterator[BusWire]:
    with BusWire(38_400, seed=1) as wire:
        yield wire


@pytest.fixture
def quick() -> Iterator[BusWire]:
    with BusWire(0, seed=1) as wire:
        yield wire


def test_a_program_hears_a_frame_after_its_time_on_the_wire_and_little_later(wire: BusWire) -> None:
    with Terminal(wire, "a") as a, Terminal(wire, "b") as b:
        late_s = []
        for size in (1, 15, 31, 100) * 3:
            at_s = a.write(bytes(size))
            pieces = b.read(size)
            assert sum(len(data) for _, data in pieces) == size
            heard = 0
            for when_s, data in pieces:
                heard += len(data)
                assert when_s - at_s >= heard * CHAR_S
            late_s.append(pieces[-1][0] - at_s - size * CHAR_S)
        assert statistics.median(late_s) < 0.008


def test_an_exchange_with_a_station_takes_what_the_arithmetic_says(wire: BusWire) -> None:
    """protocols.md 6.4: 15 + 15 characters, two silent ones, 3 ms in the device."""
    with Terminal(wire, "panel") as panel:
        wire.attach_station("n", Answering(b"P", b"R" * 15))
        took_s = []
        for _ in range(15):
            at_s = panel.write(b"P" * 15)
            took_s.append(panel.read(15)[-1][0] - at_s)
        due_s = (15 + 2 + 15) * CHAR_S + 0.003
        assert due_s - 0.0004 < statistics.median(took_s) < due_s + 0.008


def test_all_others_hear_and_the_sender_does_not(quick: BusWire) -> None:
    with Terminal(quick, "a") as a, Terminal(quick, "b") as b, Terminal(quick, "c") as c:
        a.write(b"question")
        assert b.hear(8) == c.hear(8) == b"question"
        assert a.hear(1, 0.02) == b""


def test_echo_lets_the_sender_hear_itself(quick: BusWire) -> None:
    with Terminal(quick, "a") as a:
        quick.drop("a", echo=True)
        a.write(b"question")
        assert a.hear(8) == b"question"


def test_two_programs_at_once_garble_each_other(wire: BusWire) -> None:
    with Terminal(wire, "a") as a, Terminal(wire, "b") as b, Terminal(wire, "c") as c:
        a.write(b"A" * 40)
        b.write(b"B" * 40)
        heard = c.hear(80, 0.1)
        assert b"A" * 40 not in heard
        assert b"B" * 40 not in heard
        assert heard
        assert wire.state()["collisions"] > 0


def test_two_nodes_with_one_address_collide(wire: BusWire) -> None:
    with Terminal(wire, "panel") as panel:
        for name in ("n1", "n2"):
            wire.attach_station(name, Answering(b"P", b"R" * 15))
        panel.write(b"P" * 15)
        assert panel.hear(30, 0.1) != b"R" * 15
        wait_for("both said", lambda: len(wire.said()) == 3, 2)
        assert all(said.garbled for said in wire.said("n1") + wire.said("n2"))


def test_drops_beyond_a_cut_hear_nothing_and_are_not_heard(quick: BusWire) -> None:
    with Terminal(quick, "panel") as panel:
        near, far = Answering(b"P", b"near"), Answering(b"Q", b"far")
        quick.attach_station("near", near, 0.1)
        quick.attach_station("far", far, 0.1)
        quick.set(cut_after=1)
        panel.write(b"Q?")
        assert panel.hear(1, 0.03) == b""
        panel.write(b"P?")
        assert panel.hear(4) == b"near"
        assert far.heard == []
        quick.set(cut_after=None)
        panel.write(b"Q?")
        assert panel.hear(3) == b"far"


def test_a_short_silences_everybody_until_it_is_cleared(quick: BusWire) -> None:
    with Terminal(quick, "panel") as panel:
        node = Answering(b"P", b"here")
        quick.attach_station("n", node, 0.1)
        quick.set(short=True)
        panel.write(b"P?")
        assert panel.hear(1, 0.03) == b""
        quick.set(short=False)
        panel.write(b"P?")
        assert panel.hear(4) == b"here"
        assert node.heard == [b"P?"]


@pytest.mark.parametrize(("fault", "reached"), [("deaf", False), ("mute", True)])
def test_a_deaf_node_hears_not_and_a_mute_one_says_not(
    quick: BusWire, fault: str, reached: bool
) -> None:
    with Terminal(quick, "panel") as panel:
        node = Answering(b"P", b"here")
        quick.attach_station("n", node, 0.1)
        quick.drop("n", **{fault: True})
        panel.write(b"P?")
        assert panel.hear(1, 0.03) == b""
        assert bool(node.heard) == reached


def test_a_late_node_answers_as_late_as_set(quick: BusWire) -> None:
    with Terminal(quick, "panel") as panel:
        quick.attach_station("n", Answering(b"P", b"here"), 0.1)
        quick.drop("n", late_ms=(60, 80))
        at_s = panel.write(b"P?")
        when_s, data = panel.read(4)[-1]
        assert data == b"here"
        assert 0.06 <= when_s - at_s < 0.15


def test_a_babbling_node_garbles_the_bus_until_it_stops(wire: BusWire) -> None:
    with Terminal(wire, "panel") as panel:
        wire.attach_station("n", Answering(b"P", b"R" * 15))
        wire.attach_station("mad", Answering(b"?", b""))
        wire.drop("mad", babble_ms=0)
        panel.write(b"P" * 15)
        heard = panel.hear(200, 0.1)
        assert len(heard) >= 200
        assert b"R" * 15 not in heard
        wire.drop("mad", babble_ms=None)
        wait_for("silence", lambda: panel.hear(1000, 0.01) == b"", 2)
        panel.write(b"P" * 15)
        assert panel.hear(15) == b"R" * 15


def test_batches_reach_the_reader_only_at_multiples_of_the_batch(wire: BusWire) -> None:
    with Terminal(wire, "panel") as panel, Terminal(wire, "a") as a:
        wire.drop("panel", batch_ms=50)
        at_s = a.write(bytes(range(100)))
        pieces = panel.read(100)
        assert b"".join(data for _, data in pieces) == bytes(range(100))
        # 26 ms of characters touch two boundaries at most; unbatched they come in seven pieces.
        assert len({int(when_s / 0.05) for when_s, _ in pieces}) <= 2
        whole_s = 100 * CHAR_S
        assert pieces[-1][0] - at_s >= whole_s


def test_split_reads_keep_their_order(quick: BusWire) -> None:
    with Terminal(quick, "panel") as panel, Terminal(quick, "a") as a:
        quick.drop("panel", split=True, batch_ms=3)
        sent = b""
        for number in range(3):
            word = bytes(range(number, number + 30))
            sent += word
            a.write(word)
        pieces = panel.read(len(sent))
        assert b"".join(data for _, data in pieces) == sent
        assert len(pieces) > 8


def test_dials_turned_back_in_the_middle_overtake_nothing(quick: BusWire) -> None:
    with Terminal(quick, "panel") as panel, Terminal(quick, "a") as a:
        quick.drop("panel", batch_ms=50)
        a.write(b"first")
        wait_for("it to be said", lambda: quick.said(), 2, 0.001)
        quick.drop("panel", batch_ms=0)
        a.write(b"second")
        assert panel.hear(11) == b"firstsecond"


def test_an_injected_frame_is_heard_by_all(quick: BusWire) -> None:
    with Terminal(quick, "panel") as panel:
        node = Answering(b"P", b"here")
        quick.attach_station("n", node, 0.1)
        quick.inject(b"P forged")
        assert panel.hear(12) == b"P forgedhere"
        assert [said.sender for said in quick.said()] == ["~intruder", "n"]


def test_who_stands_in_line_answers_instead_of_the_node(quick: BusWire) -> None:
    poll = b"\xff\x53\x05\x08\x00\x04\x60\x00\x00"
    with Terminal(quick, "panel") as panel:
        quick.attach_station("n", Answering(b"\xff\x53\x05", b"true"), 0.1)
        panel.write(poll)
        assert panel.hear(4) == b"true"
        recorded = quick.said("n")[-1].data
        quick.answer_for(5, b"forged " + recorded, delay_ms=0.1)
        panel.write(poll.replace(b"\x05", b"\x06"))
        assert panel.hear(1, 0.02) == b""
        panel.write(poll)
        assert panel.hear(20, 0.07) == b"forged true"
        panel.write(poll)
        assert panel.hear(4) == b"true"


def test_unplugged_port_ends_its_reader_and_the_link_leads_to_the_new_one(
    quick: BusWire, tmp_path: Path
) -> None:
    link = tmp_path / "bus"
    path = quick.attach("panel", link)
    assert path == str(link)
    with Terminal(quick, "b") as b:
        with Terminal(quick, "panel", path) as panel:
            quick.unplug("panel")
            assert not link.exists()
            with pytest.raises(OSError) as lost:
                panel.write(b"x")
            assert lost.value.errno == errno.EIO
        quick.plug("panel")
        with Terminal(quick, "panel", path) as panel:
            panel.write(b"again")
            assert b.hear(5) == b"again"
            b.write(b"yes")
            assert panel.hear(3) == b"yes"


def test_what_is_said_while_a_port_is_closed_is_lost_not_kept(quick: BusWire) -> None:
    with Terminal(quick, "b") as b:
        path = quick.attach("panel")
        with Terminal(quick, "panel", path):
            b.write(b"unread")
            wait_for("it to be said", lambda: quick.said(), 2, 0.001)
        wait_for("the port to be seen closed", lambda: not quick.open("panel"), 2, 0.002)
        b.write(b"nobody there")
        with Terminal(quick, "panel", path) as panel:
            assert panel.hear(1, 0.03) == b""
            b.write(b"now")
            assert panel.hear(3) == b"now"


def test_a_program_at_the_wrong_speed_understands_nothing() -> None:
    with BusWire(9600, seed=1, honour_speed=True) as wire:
        path = wire.attach("panel")
        wire.attach_station("n", Answering(b"P", b"R" * 9))
        with Terminal(wire, "panel", path) as panel:
            file = os.open(path, os.O_RDWR | os.O_NOCTTY)
            settings = termios.tcgetattr(file)
            for speed, understood in ((termios.B38400, False), (termios.B9600, True)):
                settings[4] = settings[5] = speed
                termios.tcsetattr(file, termios.TCSANOW, settings)
                panel.write(b"P" * 9)
                assert (panel.hear(9, 0.1) == b"R" * 9) == understood
            os.close(file)


def test_an_idle_wire_costs_next_to_nothing(wire: BusWire) -> None:
    node = Answering(b"P", b"R")
    wire.attach_station("n", node)
    before_s, began_s = wire.state()["cpu_s"], time.monotonic()
    wait_for("25 ticks", lambda: node.ticks >= 25, 5)
    share = (wire.state()["cpu_s"] - before_s) / (time.monotonic() - began_s)
    assert share < 0.05


KILLED = """
import fcntl, os, signal, sys, termios
from pathlib import Path
from hil.drivers.bus_wire import BusWire
from hil.drivers.process import wait_for
with BusWire() as wire:
    path = wire.attach("panel", Path(sys.argv[1]))
    child = os.fork()
    if not child:
        fcntl.ioctl(os.open(path, os.O_RDWR | os.O_NOCTTY), termios.TIOCEXCL)
        signal.pause()
    wait_for("the port to be open", lambda: wire.open("panel"), 5)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)

    def again():
        try:
            return os.open(path, os.O_RDWR | os.O_NOCTTY) + 1
        except OSError:
            return 0

    wait_for("the port to be free", again, 5)
"""


def test_a_port_whose_program_was_killed_is_free_again_without_privileges(tmp_path: Path) -> None:
    """Root opens even what another holds exclusively, and would see nothing of it."""
    unprivileged = ["setpriv", "--bounding-set=-sys_admin"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*unprivileged, sys.executable, "-c", KILLED, str(tmp_path / "bus")],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
