"""Pins and converter through gpiozero: lgpio on a Raspberry Pi, or any factory handed in."""

from __future__ import annotations

import contextlib
import os
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from edge.adapters import converter_mcp3008
from edge.adapters.gpio_board import Arrived, BoardError, instant
from edge.field.point import PinEdge
from protocols.instants import NS_PER_S, Instant

EDGE_AGE_MAX_NS: Final = NS_PER_S


class GpiozeroBoard:
    """One gpiozero factory. `make_factory` is asked again while it fails."""

    def __init__(self, make_factory: Callable[[], Any], supply_mv: int, sample_ms: int) -> None:
        self.sample_ms = sample_ms
        self._make_factory = make_factory
        self._supply_mv = supply_mv
        self._arrived: Arrived = _nobody
        self._factory: Any = None
        self._inputs: dict[int, tuple[Any, Any]] = {}
        self._outputs: dict[int, Any] = {}
        self._chips: dict[int, Any] = {}
        self._lock = threading.RLock()

    def open(self, arrived: Arrived) -> None:
        """Remember who is told. Pins are had one by one, at their claim."""
        self._arrived = arrived

    def close(self) -> None:
        """Outputs off, everything given back."""
        with self._lock:
            self._arrived = _nobody
            for output in self._outputs.values():
                with contextlib.suppress(Exception):
                    output.off()
            devices = [*self._outputs.values(), *self._chips.values()]
            devices += [device for device, _ in self._inputs.values()]
            for device in devices:
                with contextlib.suppress(Exception):
                    device.close()
            self._inputs.clear()
            self._outputs.clear()
            self._chips.clear()
            if self._factory is not None:
                with contextlib.suppress(Exception):
                    _give_back(self._factory)
                self._factory = None

    def claim_input(self, gpio: int) -> int:
        """Watch this pin; see Board."""
        with self._lock:
            if gpio in self._inputs:
                return self.read_level(gpio)
            with _outside_faults(f"pin {gpio}"):
                from gpiozero import InputDevice

                device = InputDevice(gpio, pull_up=True, pin_factory=self._ready())
                # The pin itself, not the device's own events: these carry the kernel's time and
                # cost half. gpiozero keeps only a weak reference, so the watcher is kept here.
                watcher = self._watcher(gpio)
                try:
                    self.prepare_input(gpio, device.pin)
                    device.pin.bounce = None
                    device.pin.edges = "both"
                    device.pin.when_changed = watcher
                    level = int(bool(device.pin.state))
                except BaseException:
                    device.close()
                    raise
                self._inputs[gpio] = (device, watcher)
                return level

    def prepare_input(self, gpio: int, pin: Any) -> None:
        """Between having a pin and watching it; a simulator sets its level here."""

    def read_level(self, gpio: int) -> int:
        """Level of a claimed pin; see Board."""
        held = self._inputs.get(gpio)
        if held is None:
            raise BoardError(f"pin {gpio} is not open")
        with _outside_faults(f"pin {gpio}"):
            return int(bool(held[0].pin.state))

    def read_mv(self, channel: str) -> int:
        """Converter input; see Board."""
        chip, number = (int(part) for part in channel.split("."))
        if chip >= converter_mcp3008.CHIPS:
            raise BoardError(f"there is no converter {chip} on this board")
        with self._lock, _outside_faults(f"converter {chip}"):
            spi = self._chips.get(chip)
            if spi is None:
                with warnings.catch_warnings():
                    # Without the kernel's SPI driver gpiozero clocks pins itself: slow, but true.
                    warnings.simplefilter("ignore")
                    spi = self._chips[chip] = self._ready().spi(port=0, device=chip)
            return converter_mcp3008.read_mv(spi, number, self._supply_mv)

    def write(self, gpio: int, *, on: bool, active_high: bool) -> None:
        """Drive an output; see Board."""
        with self._lock, _outside_faults(f"pin {gpio}"):
            output = self._outputs.get(gpio)
            if output is None:
                from gpiozero import OutputDevice

                output = self._outputs[gpio] = OutputDevice(
                    gpio, active_high=active_high, initial_value=on, pin_factory=self._ready()
                )
            output.value = on

    def drop_input(self, gpio: int) -> None:
        """Give one pin back, so that the next claim begins anew."""
        with self._lock:
            held = self._inputs.pop(gpio, None)
            if held is not None:
                with contextlib.suppress(Exception):
                    held[0].close()

    def pin_of(self, gpio: int) -> Any:
        """The gpiozero pin of a claimed input, or None."""
        held = self._inputs.get(gpio)
        return None if held is None else held[0].pin

    def _ready(self) -> Any:
        if self._factory is None:
            self._factory = self._make_factory()
        return self._factory

    def _watcher(self, gpio: int) -> Callable[[float, object], None]:
        def changed(ticks: float, state: object) -> None:
            now = instant()
            at = Instant(round(ticks * NS_PER_S))
            # The kernel stamps line events with CLOCK_MONOTONIC; older ones used the wall clock.
            if not 0 <= now - at <= EDGE_AGE_MAX_NS:
                at = now
            self._arrived(PinEdge(gpio, int(bool(state))), at)

        return changed


def _give_back(factory: Any) -> None:
    from gpiozero import Device

    if Device.pin_factory is factory:
        Device.pin_factory = None
    factory.close()


def _nobody(_arrival: object, _now: Instant) -> None:
    pass


@contextlib.contextmanager
def _outside_faults(what: str) -> Any:
    """Whatever a pin library raises is a fault of the outside world: lgpio.error, GPIOPinInUse,
    PermissionError and others share no base class.
    """
    try:
        yield
    except BoardError:
        raise
    except Exception as error:
        raise BoardError(f"{what}: {type(error).__name__}: {error}") from error


def default_factory(directory: Path) -> Callable[[], Any]:
    """What gpiozero chooses by itself (GPIOZERO_PIN_FACTORY is heeded); fails where none works."""

    def make() -> Any:
        # lgpio drops a pipe into its working directory, which may be read-only for a service.
        os.environ.setdefault("LG_WD", str(directory))
        from gpiozero import Device

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # each unusable library is announced by a warning
            Device.ensure_pin_factory()
        return Device.pin_factory

    return make
