"""One contract over both boards: pins moved from outside, and gpiozero's own pins and SPI.

The second runs the code a Pi runs, down to the bits of the MCP3008 on gpiozero's SPI; only the pin
factory underneath is gpiozero's mock one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from gpiozero.devices import Device
from gpiozero.exc import BadPinFactory
from gpiozero.input_devices import InputDevice
from gpiozero.pins.mock import MockFactory, MockPin, MockSPIDevice

from edge.adapters.converter_mcp3008 import counts, millivolts
from edge.adapters.gpio_board import Board, BoardError
from edge.adapters.gpio_field import Field
from edge.adapters.gpio_zero import GpiozeroBoard, default_factory
from edge.adapters.pins_client import Pins
from edge.adapters.pins_sim import SimBoard
from edge.config import (
    AreaConfig,
    Hardware,
    Loop,
    MqttConfig,
    OutputConfig,
    PanelConfig,
    Wiring,
    ZoneConfig,
    ZoneType,
)
from edge.field.eol import LoopState, nominal_mv
from edge.field.reading import Reading, ReadingState
from protocols.instants import Instant

DOOR, WINDOW, HALL, REAR = "zone:1", "zone:2", "zone:3", "zone:4"


def zone(number: int, wired: str, wiring: Wiring) -> ZoneConfig:
    loop = Loop(input=wired, wiring=wiring, debounce_ms=10, min_pulse_ms=40)
    return ZoneConfig(
        number=number, name=f"Z{number}", area=1, type=ZoneType.INSTANT, loop=loop
    )  # fmt: skip


def site(driver: str = "sim", socket: str = "pins.sock") -> PanelConfig:
    return PanelConfig(
        id="p",
        name="Site",
        areas=(AreaConfig(number=1, name="All"),),
        zones=(
            zone(1, "gpio:17", Wiring.NC),
            zone(2, "gpio:27", Wiring.NO),
            zone(3, "adc:0.3", Wiring.TRIPLE_EOL),
            zone(4, "adc:1.5", Wiring.DOUBLE_EOL),
        ),
        outputs=(
            OutputConfig(role="siren", gpio=20),
            OutputConfig(role="relay:door", gpio=21, active_high=False),
        ),
        hardware=Hardware(driver=driver, adc_sample_ms=5, control_socket=socket),
        mqtt=MqttConfig(host="h", ca="ca", cert="cert", key="key"),
    )


class BitwiseMcp3008(MockSPIDevice):
    """The converter's side of the wire, bit by bit (DS21295 figure 6-1)."""

    def __init__(self, *pins: int, factory: MockFactory, supply_mv: int) -> None:
        super().__init__(*pins, pin_factory=factory)
        self.select_pin.drive_high()  # idle, as its pull-up holds it
        self.stage = "start"
        self.mv = [0.0] * 8
        self.supply_mv = supply_mv
        self.gone = False

    def on_start(self) -> None:
        super().on_start()
        self.stage = "start"

    def on_bit(self) -> None:
        if self.gone:
            self.tx_buf = [1] * 32  # nobody drives the line: it idles high
        elif self.stage == "start" and self.rx_buf[-1]:
            self.stage, self.rx_buf = "mode", []
        elif self.stage == "mode":
            assert self.rx_buf == [True], "single-ended is asked for"
            self.stage, self.rx_buf = "channel", []
        elif self.stage == "channel" and len(self.rx_buf) == 3:
            self.stage = "result"
            self.tx_word(counts(self.mv[self.rx_word()], self.supply_mv), 12)


class SimRig:
    """Moved through the control socket, as a demo or a test rig does."""

    def __init__(self, config: PanelConfig, directory: Path) -> None:
        self.board: Board = SimBoard(config, directory)
        self.pins = Pins.of(config, directory)
        self.level = self.pins.set_level
        self.mv = self.pins.set_mv
        self.fail = self.pins.fail
        self.heal = self.pins.heal

    def driven(self, gpio: int) -> bool:
        return self.pins.outputs()[{20: "siren", 21: "relay:door"}[gpio]]


class ZeroRig:
    """Moved at the pins under gpiozero."""

    def __init__(self, config: PanelConfig, directory: Path) -> None:
        self.factory = MockFactory(pin_class=MockPin)
        Device.pin_factory = self.factory  # gpiozero's software SPI bus knows no other
        self.chips = [
            BitwiseMcp3008(11, 10, 9, select, factory=self.factory, supply_mv=3300)
            for select in (8, 7)
        ]
        for item in config.zones:
            kind, _, which = item.loop.input.partition(":")
            if kind == "adc":
                normal = nominal_mv(LoopState.NORMAL, item.loop.wiring, config.hardware)
                assert normal is not None
                self.mv(which, normal)
        self.busy: InputDevice | None = None
        rest = {17: 0, 27: 1}

        class Rested(GpiozeroBoard):
            def prepare_input(self, gpio: int, pin: Any) -> None:
                (pin.drive_high if rest[gpio] else pin.drive_low)()

        self.rest = rest
        self.board: Board = Rested(lambda: self.factory, 3300, config.hardware.adc_sample_ms)

    def level(self, gpio: int, level: int) -> None:
        self.rest[gpio] = level
        pin = self.factory.pin(gpio)
        (pin.drive_high if level else pin.drive_low)()

    def mv(self, channel: str, mv: float) -> None:
        chip, number = channel.split(".")
        self.chips[int(chip)].mv[int(number)] = mv

    def fail(self, name: str) -> None:
        if name.startswith("adc:"):
            self.chips[int(name[4])].gone = True
        else:  # other software takes the pin
            self.busy = InputDevice(int(name[5:]), pin_factory=self.factory)

    def heal(self, name: str) -> None:
        if name.startswith("adc:"):
            self.chips[int(name[4])].gone = False
        elif self.busy is not None:
            self.busy.close()

    def driven(self, gpio: int) -> bool:
        return bool(self.factory.pin(gpio).state) is (gpio == 20)


class Told:
    """What the field delivered, and a way to await it."""

    def __init__(self) -> None:
        self.readings: list[tuple[Reading, Instant]] = []

    def take(self, reading: Reading, at: Instant) -> None:
        self.readings.append((reading, at))

    def of(self, point: str) -> list[ReadingState]:
        return [reading.state for reading, _ in self.readings if reading.point == point]

    async def until(self, met: Callable[[], bool], what: object, within_s: float = 5) -> None:
        end = time.monotonic() + within_s
        while not met():
            assert time.monotonic() < end, f"{what}: told {self.readings}"
            await asyncio.sleep(0.002)

    async def state(self, point: str, state: ReadingState) -> None:
        await self.until(lambda: self.of(point)[-1:] == [state], (point, state))


@asynccontextmanager
async def running(config: PanelConfig, directory: Path, rig: Any) -> AsyncIterator[Any]:
    told = Told()
    field = Field(config, directory, asyncio.get_running_loop(), told.take, rig.board)
    field.start()
    try:
        yield field, told
    finally:
        field.stop()


@pytest.fixture(autouse=True)
def no_factory_left_behind() -> Iterator[None]:
    yield
    Device.pin_factory = None


RIGS = pytest.mark.parametrize("make", [SimRig, ZeroRig])


def plays(make: Any, directory: Path, scene: Any, config: PanelConfig | None = None) -> None:
    config = config or site()
    rig = make(config, directory)

    async def run() -> None:
        async with running(config, directory, rig) as (field, told):
            await scene(rig, field, told)

    asyncio.run(run())


@RIGS
def test_every_point_is_told_once_at_the_start(make: Any, tmp_path: Path) -> None:
    async def scene(_rig: Any, field: Field, told: Told) -> None:
        await told.until(lambda: len(told.readings) == 4, "four points")
        assert {point: told.of(point) for point in (DOOR, WINDOW, HALL, REAR)} == {
            point: [ReadingState.NORMAL] for point in (DOOR, WINDOW, HALL, REAR)
        }
        assert field.faults() == []

    plays(make, tmp_path, scene)


@RIGS
def test_contacts_and_loops_tell_what_they_show(make: Any, tmp_path: Path) -> None:
    async def scene(rig: Any, _field: Field, told: Told) -> None:
        for point in (DOOR, WINDOW, HALL, REAR):
            await told.state(point, ReadingState.NORMAL)
        rear = told.of(REAR)
        await asyncio.to_thread(rig.level, 17, 1)
        await told.state(DOOR, ReadingState.ALARM)
        await asyncio.to_thread(rig.level, 17, 0)
        await told.state(DOOR, ReadingState.NORMAL)
        await asyncio.to_thread(rig.level, 27, 0)
        await told.state(WINDOW, ReadingState.ALARM)
        for shown, state in (
            (LoopState.ALARM, ReadingState.ALARM),
            (LoopState.MASKED, ReadingState.MASKED),
            (LoopState.SHORT, ReadingState.SHORT),
            (LoopState.OPEN, ReadingState.OPEN),
            (LoopState.UNDEFINED, ReadingState.TAMPER),
            (LoopState.NORMAL, ReadingState.NORMAL),
        ):
            mv = nominal_mv(shown, Wiring.TRIPLE_EOL, Hardware())
            assert mv is not None
            await asyncio.to_thread(rig.mv, "0.3", mv)
            await told.state(HALL, state)
        assert told.of(REAR) == rear, "what happens to one point moves another"
        instants = [at for _, at in told.readings]
        assert instants == sorted(instants)

    plays(make, tmp_path, scene)


@RIGS
def test_a_pulse_counts_by_its_length_even_when_the_loop_is_busy(make: Any, tmp_path: Path) -> None:
    """Edges keep their own time: the event loop stands still for the whole of both pulses."""

    async def scene(rig: Any, field: Field, told: Told) -> None:
        await told.until(lambda: len(told.readings) == 4, "four points")
        counters = field.machine.counters()[DOOR]

        def pulse(width_s: float) -> None:
            rig.level(17, 1)
            time.sleep(width_s)
            rig.level(17, 0)

        pulse(0.005)
        await told.until(lambda: counters.pulses_short == 1, "short")
        assert told.of(DOOR) == [ReadingState.NORMAL]
        pulse(0.06)
        await told.state(DOOR, ReadingState.NORMAL)
        await told.until(lambda: len(told.of(DOOR)) == 3, "a pulse")
        assert told.of(DOOR) == [ReadingState.NORMAL, ReadingState.ALARM, ReadingState.NORMAL]
        assert [r.pulse for r, _ in told.readings if r.state is ReadingState.ALARM] == [True]

    plays(make, tmp_path, scene)


@RIGS
def test_a_converter_that_does_not_answer_is_lost_and_comes_back(make: Any, tmp_path: Path) -> None:
    async def scene(rig: Any, field: Field, told: Told) -> None:
        await told.until(lambda: len(told.readings) == 4, "four points")
        await asyncio.to_thread(rig.fail, "adc:0.3")
        await told.state(HALL, ReadingState.LOST)
        assert [fault for fault in field.faults() if HALL in fault]
        await asyncio.to_thread(rig.level, 17, 1)
        await told.state(DOOR, ReadingState.ALARM)
        await asyncio.to_thread(rig.heal, "adc:0.3")
        await told.state(HALL, ReadingState.NORMAL)
        await told.until(lambda: field.faults() == [], "healed")
        assert told.of(HALL) == [ReadingState.NORMAL, ReadingState.LOST, ReadingState.NORMAL]
        assert told.of(REAR) == [ReadingState.NORMAL]

    plays(make, tmp_path, scene)


@RIGS
def test_a_busy_pin_is_lost_and_the_rest_goes_on(make: Any, tmp_path: Path) -> None:
    """users.md I3."""
    config = site()
    rig = make(config, tmp_path)
    rig.fail("gpio:17")

    async def run() -> None:
        async with running(config, tmp_path, rig) as (field, told):
            await told.until(lambda: len(told.readings) == 4, "four points")
            assert told.of(DOOR) == [ReadingState.LOST]
            assert any("gpio:17" in fault for fault in field.faults())
            await asyncio.to_thread(rig.level, 27, 0)
            await told.state(WINDOW, ReadingState.ALARM)
            await asyncio.to_thread(rig.heal, "gpio:17")
            await told.state(DOOR, ReadingState.NORMAL)
            assert field.faults() == []

    asyncio.run(run())


@RIGS
def test_outputs_follow_their_role_and_are_off_after_stop(make: Any, tmp_path: Path) -> None:
    config = site()
    rig = make(config, tmp_path)
    written: list[tuple[int, bool, bool]] = []
    write = rig.board.write

    def watched(gpio: int, *, on: bool, active_high: bool) -> None:
        write(gpio, on=on, active_high=active_high)
        written.append((gpio, on, active_high))

    rig.board.write = watched

    async def run() -> None:
        async with running(config, tmp_path, rig) as (field, _told):
            for gpio, role in ((20, "siren"), (21, "relay:door")):
                assert await asyncio.to_thread(rig.driven, gpio) is False
                field.set_output(role, True)
                assert await asyncio.to_thread(rig.driven, gpio) is True
            field.set_output("siren", False)
            assert await asyncio.to_thread(rig.driven, 20) is False
            field.set_output("strobe", True)  # not wired here: nothing happens
            written.clear()

    asyncio.run(run())
    assert sorted(written) == [(20, False, True), (21, False, False)]


@RIGS
def test_a_burst_ends_in_the_state_of_the_pin(make: Any, tmp_path: Path) -> None:
    async def scene(rig: Any, _field: Field, told: Told) -> None:
        await told.until(lambda: len(told.readings) == 4, "four points")

        def burst() -> None:
            for count in range(301):
                rig.level(17, (count + 1) % 2)

        await asyncio.to_thread(burst)
        await told.state(DOOR, ReadingState.ALARM)
        await asyncio.to_thread(rig.level, 17, 0)
        await told.state(DOOR, ReadingState.NORMAL)

    plays(make, tmp_path, scene)


def test_an_edge_the_kernel_dropped_is_found_by_reading_again(tmp_path: Path) -> None:
    config = site()
    rig = ZeroRig(config, tmp_path)

    async def run() -> None:
        async with running(config, tmp_path, rig) as (field, told):
            await told.until(lambda: len(told.readings) == 4, "four points")
            rig.factory.pin(17).edges = "none"
            rig.level(17, 1)
            await told.state(DOOR, ReadingState.ALARM)
            assert field.machine.counters()[DOOR].edges_lost == 1

    asyncio.run(run())


def test_the_lost_last_edge_of_a_burst_is_found_within_the_debounce_time(tmp_path: Path) -> None:
    """users.md I1: the kernel's queue overflows and drops the newest edge."""
    config = site()
    rig = ZeroRig(config, tmp_path)

    async def run() -> None:
        async with running(config, tmp_path, rig) as (field, told):
            await told.until(lambda: len(told.readings) == 4, "four points")
            counters = field.machine.counters()[DOOR]
            rig.level(17, 1)
            rig.factory.pin(17).edges = "none"
            rig.level(17, 0)
            began = time.monotonic()
            await told.until(lambda: counters.edges_lost == 1, "read again")
            assert time.monotonic() - began < 0.5  # far from the scan at 1 s
            await told.until(lambda: counters.pulses_short == 1, "over")
            assert told.of(DOOR) == [ReadingState.NORMAL]

    asyncio.run(run())


def test_the_kernels_time_of_an_edge_is_kept_when_it_is_monotonic(tmp_path: Path) -> None:
    rig = ZeroRig(site(), tmp_path)
    arrived: list[int] = []
    rig.board.open(lambda _arrival, at: arrived.append(at))
    rig.board.claim_input(17)
    watcher = rig.factory.pin(17).when_changed
    before = time.monotonic_ns()
    watcher(before / 1e9 - 0.2, 1)  # told late by a busy thread
    watcher(time.time(), 0)  # an old kernel's wall clock
    watcher(before / 1e9 + 5, 1)
    after = time.monotonic_ns()
    rig.board.close()
    assert arrived[0] == pytest.approx(before - 200_000_000, abs=2000)
    assert all(before <= at <= after for at in arrived[1:])


def test_both_converters_give_the_same_millivolts(tmp_path: Path) -> None:
    """Bits on gpiozero's SPI against the simulated converter, over the whole scale."""
    config = site()
    zero, sim = ZeroRig(config, tmp_path), SimRig(config, tmp_path)
    sim.board.open(lambda _arrival, _at: None)
    zero.board.open(lambda _arrival, _at: None)
    try:
        for mv in (*range(0, 3301, 37), 3299, 3300, 4000):
            for channel in ("0.3", "1.5"):
                zero.mv(channel, mv)
                sim.mv(channel, mv)
                read = zero.board.read_mv(channel)
                assert read == sim.board.read_mv(channel) == millivolts(counts(mv, 3300), 3300)
                assert abs(read - min(mv, 3300)) <= 4
    finally:
        sim.board.close()
        zero.board.close()


def test_a_converter_nobody_fitted_is_a_fault_and_not_a_value(tmp_path: Path) -> None:
    rig = ZeroRig(site(), tmp_path)
    rig.chips[0].gone = True
    with pytest.raises(BoardError, match="does not answer"):
        rig.board.read_mv("0.3")
    with pytest.raises(BoardError, match="no converter 7"):
        rig.board.read_mv("7.0")
    rig.board.close()


def test_a_machine_without_pins_tells_every_point_as_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "nonesuch")
    monkeypatch.setenv("LG_WD", str(tmp_path))
    with pytest.raises(BadPinFactory):
        default_factory(tmp_path)()

    async def run() -> None:
        told = Told()
        field = Field(site("gpio"), tmp_path, asyncio.get_running_loop(), told.take)
        field.start()
        try:
            await told.until(lambda: len(told.readings) == 4, "four points")
            assert {reading.state for reading, _ in told.readings} == {ReadingState.LOST}
            field.set_output("siren", True)
            assert len(field.faults()) == 6
            assert any("siren" in fault for fault in field.faults())
        finally:
            field.stop()

    asyncio.run(run())
