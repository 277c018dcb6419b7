"""The control socket of the simulated pins, its file and its client."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.adapters import pins_state
from edge.adapters.gpio_board import BoardError
from edge.adapters.pins_client import Pins, PinsError
from edge.adapters.pins_sim import LINE_BYTES, SimBoard
from edge.adapters.pins_state import PinsFile, PinsState
from edge.config import (
    AreaConfig,
    Hardware,
    Loop,
    MqttConfig,
    OutputConfig,
    PanelConfig,
    SystemPoint,
    Wiring,
    ZoneConfig,
    ZoneType,
)
from edge.field.point import FieldInput, Lost, PinEdge, Sample
from edge.field.reading import ReadingState
from protocols.instants import Instant


def site(control_socket: str = "pins.sock") -> PanelConfig:
    def zone(number: int, wired: str, wiring: Wiring) -> ZoneConfig:
        loop = Loop(input=wired, wiring=wiring)
        return ZoneConfig(number=number, name="Z", area=1, type=ZoneType.INSTANT, loop=loop)

    return PanelConfig(
        id="p",
        name="Site",
        areas=(AreaConfig(number=1, name="All"),),
        zones=(
            zone(1, "gpio:17", Wiring.NC),
            zone(2, "gpio:27", Wiring.NO),
            zone(3, "adc:0.3", Wiring.TRIPLE_EOL),
        ),
        points=(SystemPoint(role="enclosure", loop=Loop(input="gpio:5")),),
        outputs=(OutputConfig(role="siren", gpio=20),),
        hardware=Hardware(driver="sim", control_socket=control_socket),
        mqtt=MqttConfig(host="h", ca="ca", cert="cert", key="key"),
    )


class Panel:
    """A SimBoard with what it told."""

    def __init__(self, directory: Path, config: PanelConfig | None = None) -> None:
        self.config = config or site()
        self.board = SimBoard(self.config, directory)
        self.told: list[FieldInput] = []
        self.socket = directory / self.config.hardware.control_socket

        def arrived(arrival: FieldInput, _at: Instant) -> None:
            self.told.append(arrival)

        self.board.open(arrived)
        self.levels = {gpio: self.claim(gpio) for gpio in (17, 27, 5)}

    def claim(self, gpio: int) -> int | None:
        try:
            return self.board.claim_input(gpio)
        except BoardError:
            return None

    def talk(self, *lines: bytes) -> list[dict[str, Any]]:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plug:
            plug.settimeout(5)
            plug.connect(str(self.socket))
            with plug.makefile("rb") as replies:
                found = []
                for line in lines:
                    plug.sendall(line + b"\n")
                    found.append(json.loads(replies.readline()))
                return found


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[Panel]:
    found = Panel(tmp_path)
    yield found
    found.board.close()


def test_pins_start_at_rest_by_their_wiring(panel: Panel) -> None:
    assert panel.levels == {17: 0, 27: 1, 5: 0}
    assert panel.board.read_mv("0.3") == pytest.approx(1650, abs=4)


def test_the_protocol_as_documented(panel: Panel) -> None:
    replies = panel.talk(
        b'{"pin":17,"level":1}',
        b'{"adc":"0.3","mv":2200}',
        b'{"fail":"gpio:27"}',
        b'{"get":"pins"}',
        b'{"heal":"gpio:27"}',
        b'{"get":"outputs"}',
    )
    assert replies[0] == replies[1] == replies[2] == replies[4] == {"ok": True}
    assert replies[3] == {
        "ok": True,
        "pins": {"17": 1, "27": 1, "5": 0},
        "adc": {"0.3": 2200},
        "failed": ["gpio:27"],
    }
    assert replies[5] == {"ok": True, "outputs": {"siren": False}}
    assert panel.told == [PinEdge(17, 1), Sample("0.3", 2200), Lost("gpio:27", "made to fail")]


BAD = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b'{"pin":17}',
    b'{"pin":17,"level":2}',
    b'{"pin":"17","level":1}',
    b'{"pin":99,"level":1}',
    b'{"pin":4,"level":1}',
    b'{"adc":"0.9","mv":1}',
    b'{"adc":"1.0","mv":1}',
    b'{"adc":"0.3","mv":-1}',
    b'{"adc":"0.3"}',
    b'{"pin":17,"level":1,"adc":"0.3","mv":5}',
    b'{"fail":"pin:17"}',
    b'{"fail":"gpio:26"}',
    b'{"heal":"adc:0.7"}',
    b'{"get":"everything"}',
    b'{"shutdown":true}',
    b"{}",
]


@pytest.mark.parametrize("line", BAD)
def test_bad_requests_are_answered_and_change_nothing(panel: Panel, line: bytes) -> None:
    before, bad, after = panel.talk(b'{"get":"pins"}', line, b'{"get":"pins"}')
    assert bad["ok"] is False
    assert bad["error"]
    assert before == after
    assert panel.told == []


@settings(deadline=None, derandomize=True, max_examples=200)
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_noise_never_stops_the_socket(noise: list[bytes]) -> None:
    panel = fuzzed()
    lines = [line.replace(b"\n", b" ") for line in noise]
    replies = panel.talk(*lines, b'{"get":"outputs"}')
    assert all(isinstance(reply["ok"], bool) for reply in replies)
    assert replies[-1] == {"ok": True, "outputs": {"siren": False}}


_FUZZED: list[Panel] = []


def fuzzed() -> Panel:
    return _FUZZED[0]


@pytest.fixture(autouse=True, scope="module")
def _one_panel_for_all_noise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    _FUZZED.append(Panel(tmp_path_factory.mktemp("fuzz")))
    yield
    _FUZZED.pop().board.close()


def test_an_endless_line_is_refused_and_the_next_peer_served(panel: Panel) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plug:
        plug.settimeout(5)
        plug.connect(str(panel.socket))
        plug.sendall(b"x" * (LINE_BYTES + 1))
        with plug.makefile("rb") as replies:
            assert json.loads(replies.readline())["ok"] is False
            assert replies.readline() == b""
    assert panel.talk(b'{"get":"outputs"}')[0]["ok"]


def test_a_peer_that_says_nothing_holds_nobody_up(panel: Panel) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as plug:
        plug.connect(str(panel.socket))
        plug.sendall(b'{"pin":17,')
        assert panel.talk(b'{"pin":17,"level":1}') == [{"ok": True}]


def test_only_the_owner_may_move_pins(panel: Panel) -> None:
    assert stat.S_IMODE(panel.socket.stat().st_mode) == 0o600


def test_a_move_is_on_file_before_it_is_answered(panel: Panel) -> None:
    panel.talk(b'{"pin":17,"level":1}', b'{"fail":"adc:0.3"}')
    kept = PinsFile(panel.socket.parent / "pins.json").read()
    assert kept == PinsState({17: 1}, {}, ("adc:0.3",))


def test_a_file_that_cannot_be_written_is_said(panel: Panel) -> None:
    (panel.socket.parent / "pins.json.new").mkdir()
    reply = panel.talk(b'{"pin":17,"level":1}')[0]
    assert reply["ok"] is False
    assert panel.told == []


def test_what_was_moved_outlives_the_panel(tmp_path: Path) -> None:
    first = Panel(tmp_path)
    hands = Pins.of(first.config, tmp_path)
    hands.set_level(17, 1)
    hands.set_mv("0.3", 0)
    first.board.close()
    hands.set_level(27, 0)  # while it is down
    hands.fail("gpio:5")
    second = Panel(tmp_path)
    try:
        assert second.levels == {17: 1, 27: 0, 5: None}
        assert second.board.read_mv("0.3") == 0
    finally:
        second.board.close()


@pytest.mark.parametrize("content", [b"", b"{", b'{"pins":{"99":1}}', b"\xff", b'{"pins":[]}'])
def test_a_garbled_file_means_everything_at_rest(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pins.json").write_bytes(content)
    panel = Panel(tmp_path)
    try:
        assert panel.levels == {17: 0, 27: 1, 5: 0}
    finally:
        panel.board.close()


def test_a_file_of_another_panel_moves_only_what_this_one_has(tmp_path: Path) -> None:
    file = PinsFile(tmp_path / "pins.json")
    file.write(PinsState({3: 1, 17: 1}, {"1.1": 5}, ("gpio:9",)))
    panel = Panel(tmp_path)
    try:
        assert panel.levels == {17: 1, 27: 1, 5: 0}
        assert panel.talk(b'{"get":"pins"}')[0]["failed"] == []
    finally:
        panel.board.close()


@pytest.mark.parametrize("depth", [1, 8])
def test_a_path_too_long_for_a_socket_address_still_works(tmp_path: Path, depth: int) -> None:
    directory = tmp_path.joinpath(*["d" * 60] * depth)
    directory.mkdir(parents=True)
    assert len(os.fsencode(directory)) > pins_state.UNIX_PATH_BYTES or depth == 1
    panel = Panel(directory)
    try:
        assert panel.board.trouble == ""
        Pins.of(panel.config, directory).set_level(17, 1)
        assert panel.told == [PinEdge(17, 1)]
    finally:
        panel.board.close()
    assert not panel.socket.exists()


def test_a_second_panel_does_not_take_the_socket_from_the_first(panel: Panel) -> None:
    other = SimBoard(panel.config, panel.socket.parent)
    other.open(lambda _arrival, _at: None)
    assert "another panel" in other.trouble
    other.close()
    assert panel.talk(b'{"get":"outputs"}')[0]["ok"]


def test_a_socket_left_by_a_killed_panel_is_taken_over(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    dead.bind(str(tmp_path / "pins.sock"))
    dead.close()
    panel = Panel(tmp_path)
    try:
        assert panel.board.trouble == ""
        assert panel.talk(b'{"get":"outputs"}')[0]["ok"]
    finally:
        panel.board.close()


def test_zones_are_brought_into_every_state_their_wiring_can_show(panel: Panel) -> None:
    hands = Pins.of(panel.config, panel.socket.parent)
    shown = {
        1: {ReadingState.NORMAL, ReadingState.ALARM, ReadingState.LOST},
        3: set(ReadingState) - {ReadingState.LOW_BATTERY},
    }
    for zone, states in shown.items():
        for state in ReadingState:
            if state in states:
                hands.set_zone(panel.config, zone, state)
            else:
                with pytest.raises(ValueError, match="cannot show"):
                    hands.set_zone(panel.config, zone, state)
    with pytest.raises(ValueError, match="no point"):
        hands.set_zone(panel.config, 99, ReadingState.ALARM)
    hands.set_point(panel.config, "enclosure", ReadingState.ALARM)
    assert panel.told[-1] == PinEdge(5, 1)


def test_the_client_says_when_a_panel_refuses_or_none_runs(panel: Panel, tmp_path: Path) -> None:
    hands = Pins.of(panel.config, panel.socket.parent)
    with pytest.raises(PinsError, match="no input of this panel"):
        hands.set_level(4, 1)
    panel.board.close()
    with pytest.raises(PinsError, match="no panel listens"):
        hands.outputs()
    with pytest.raises(PinsError, match="no panel listens"):
        hands.pins()


_PANEL_PROCESS = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.unit.test_field_pins import Panel
Panel(Path(sys.argv[1]))
print("up", flush=True)
sys.stdin.read()
"""


def _until(met: Callable[[], bool], within_s: float = 10) -> None:
    end = time.monotonic() + within_s
    while not met():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_no_move_is_lost_while_the_panel_is_killed_and_started_again(tmp_path: Path) -> None:
    """Someone keeps moving a pin; the panel is killed and started under it. What was answered
    stands, in the file and in the next panel.
    """
    root = str(Path(__file__).parents[2])
    hands = Pins.of(site(), tmp_path)
    answered: list[int] = []
    stop = threading.Event()

    def move() -> None:
        mv = 0
        while not stop.is_set():
            mv += 1
            hands.set_mv("0.3", mv % 10_000)
            answered.append(mv % 10_000)

    mover = threading.Thread(target=move)
    mover.start()
    try:
        for _ in range(4):
            process = subprocess.Popen(
                [sys.executable, "-c", _PANEL_PROCESS, str(tmp_path), root],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stdout.readline() == b"up\n"
            seen = len(answered)
            _until(lambda seen=seen: len(answered) > seen + 20)  # type: ignore[misc]
            process.kill()
            process.wait()
            process.stdin.close()
            process.stdout.close()
            seen = len(answered)
            _until(lambda seen=seen: len(answered) > seen + 20)  # type: ignore[misc]
    finally:
        stop.set()
        mover.join()
    assert PinsFile(tmp_path / "pins.json").read().adc["0.3"] == answered[-1]
    assert answered == [(index + 1) % 10_000 for index in range(len(answered))]
    panel = Panel(tmp_path)
    try:
        assert panel.talk(b'{"get":"pins"}')[0]["adc"]["0.3"] == answered[-1]
    finally:
        panel.board.close()
