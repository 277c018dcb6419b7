"""Simulated hardware: gpiozero's mock pins, moved from outside through a unix control socket.

One JSON request a line, one JSON reply a line (PinsRequest, PinsReply in pins_client.py):

    {"pin":17,"level":1}   {"adc":"0.3","mv":1650}   {"fail":"gpio:17"}   {"heal":"adc:0.3"}
    {"get":"outputs"} -> {"ok":true,"outputs":{"siren":false}}   {"get":"pins"}

Mode 0600. A change is on file (pins_state.py) before it moves a pin and before it is answered. The
socket is served by a thread of its own, as real edges come from one: they keep their time even
when the panel is busy.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import socket
import threading
from pathlib import Path
from typing import Any, Final

import msgspec

from edge.adapters import pins_state
from edge.adapters.converter_mcp3008 import counts, millivolts
from edge.adapters.gpio_board import Arrived, BoardError, instant
from edge.adapters.gpio_zero import GpiozeroBoard
from edge.adapters.pins_client import PinsReply, PinsRequest
from edge.adapters.pins_state import PinsFile, PinsState
from edge.config import PanelConfig, Wiring
from edge.field.eol import LoopState, nominal_mv, normal_level
from edge.field.point import Lost, Sample, loops

LINE_BYTES: Final = 4096
BACKLOG: Final = 64


def _mock_factory() -> Any:
    from gpiozero.pins.mock import MockFactory, MockPin

    return MockFactory(pin_class=MockPin)


class SimBoard(GpiozeroBoard):
    """Board whose pins are moved from outside. Tells every converter change by itself."""

    def __init__(self, config: PanelConfig, directory: Path) -> None:
        super().__init__(_mock_factory, config.hardware.supply_mv, sample_ms=0)
        self._socket_path = directory / config.hardware.control_socket
        self._file = PinsFile(self._socket_path.parent / "pins.json")
        self._roles = {output.gpio: output.role for output in config.outputs}
        self._rest = _at_rest(config)
        self._state = self._rest
        self._driven: dict[str, bool] = dict.fromkeys(self._roles.values(), False)
        self._lines = _Lines(self._answer)
        self._bound: tuple[int, int] | None = None
        self.trouble = ""

    def open(self, arrived: Arrived) -> None:
        """Listen, then read the file: see pins_state.py. `trouble` says why not."""
        super().open(arrived)
        try:
            self._socket_path.parent.mkdir(parents=True, exist_ok=True)
            with self._file.locked():
                self._lines.start(self._listen())
                self._merge(self._file.read())
        except OSError as error:
            self.trouble = f"control socket {self._socket_path}: {error}"

    def close(self) -> None:
        """Stop listening and let go of everything."""
        self._lines.stop()
        with contextlib.suppress(OSError):
            found = self._socket_path.stat()
            if (found.st_dev, found.st_ino) == self._bound:
                self._socket_path.unlink()
        super().close()

    def prepare_input(self, gpio: int, pin: Any) -> None:
        """Put the pin where it stands; refuse a failed one."""
        if f"gpio:{gpio}" in self._state.failed:
            raise BoardError(f"pin {gpio}: made to fail")
        _drive(pin, self._state.pins[gpio])

    def read_mv(self, channel: str) -> int:
        """What the converter makes of the voltage; see Board."""
        with self._lock:
            if f"adc:{channel}" in self._state.failed:
                raise BoardError(f"converter input {channel}: made to fail")
            return self._converted(self._state.adc[channel])

    def write(self, gpio: int, *, on: bool, active_high: bool) -> None:
        """Drive an output and remember it for `get outputs`."""
        super().write(gpio, on=on, active_high=active_high)
        self._driven[self._roles[gpio]] = on

    def _listen(self) -> socket.socket:
        other = pins_state.connect(self._socket_path, timeout_s=1)
        if other is not None:
            other.close()
            raise OSError("another panel listens there")
        self._socket_path.unlink(missing_ok=True)
        plug = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with pins_state.socket_address(self._socket_path) as address:
                plug.bind(address)
                self._socket_path.chmod(0o600)
                plug.listen(BACKLOG)
        except OSError:
            plug.close()
            raise
        found = self._socket_path.stat()
        self._bound = (found.st_dev, found.st_ino)
        return plug

    def _merge(self, kept: PinsState) -> None:
        rest = self._rest
        self._state = PinsState(
            {gpio: kept.pins.get(gpio, level) for gpio, level in rest.pins.items()},
            {channel: kept.adc.get(channel, mv) for channel, mv in rest.adc.items()},
            tuple(name for name in kept.failed if self._known(name)),
        )

    def _known(self, name: str) -> bool:
        kind, _, which = name.partition(":")
        return int(which) in self._rest.pins if kind == "gpio" else which in self._rest.adc

    def _answer(self, line: bytes) -> PinsReply:
        try:
            request = msgspec.json.decode(line, type=PinsRequest)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            return PinsReply(ok=False, error=f"bad request: {error}")
        match request.get:
            case "outputs":
                return PinsReply(ok=True, outputs=dict(self._driven))
            case "pins":
                state = self._state
                return PinsReply(ok=True, pins=state.pins, adc=state.adc, failed=state.failed)
            case _:
                pass
        for name in (
            f"gpio:{request.pin}" if request.pin is not None else None,
            f"adc:{request.adc}" if request.adc is not None else None,
            request.fail,
            request.heal,
        ):
            if name is not None and not self._known(name):
                return PinsReply(ok=False, error=f"{name} is no input of this panel")
        if request.applied(self._state) is None:
            return PinsReply(ok=False, error="bad request: pin+level, adc+mv, fail, heal or get")
        try:
            with self._file.locked():
                self._file.write(request.applied(self._file.read()) or PinsState())
        except OSError as error:
            return PinsReply(ok=False, error=f"not kept: {error}")
        self._move(request)
        return PinsReply(ok=True)

    def _move(self, request: PinsRequest) -> None:
        with self._lock:
            self._state = request.applied(self._state) or self._state
            if request.pin is not None:
                pin = self.pin_of(request.pin)
                if pin is not None:
                    _drive(pin, self._state.pins[request.pin])
            elif request.adc is not None:
                if f"adc:{request.adc}" not in self._state.failed:
                    mv = self._converted(self._state.adc[request.adc])
                    self._arrived(Sample(request.adc, mv), instant())
            elif request.fail is not None:
                if request.fail.startswith("gpio:"):
                    self.drop_input(int(request.fail.removeprefix("gpio:")))
                self._arrived(Lost(request.fail, "made to fail"), instant())

    def _converted(self, mv: int) -> int:
        return millivolts(counts(mv, self._supply_mv), self._supply_mv)


def _at_rest(config: PanelConfig) -> PinsState:
    state = PinsState()
    for _, loop in loops(config):
        kind, _, which = loop.input.partition(":")
        if kind == "gpio":
            state = state.with_level(int(which), normal_level(loop.wiring))
        elif loop.wiring not in (Wiring.NC, Wiring.NO):
            mv = nominal_mv(LoopState.NORMAL, loop.wiring, config.hardware)
            state = state.with_mv(which, mv or 0)
    return state


def _drive(pin: Any, level: int) -> None:
    if level:
        pin.drive_high()
    else:
        pin.drive_low()
    pin.states.clear()  # gpiozero's mock keeps every change for ever


class _Lines:
    """Serves requests line by line to any number of peers, in one thread."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer
        self._thread: threading.Thread | None = None
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = -1, -1

    def start(self, listening: socket.socket) -> None:
        listening.setblocking(False)
        self._wake_in, self._wake_out = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._selector.register(self._wake_in, selectors.EVENT_READ, None)
        self._selector.register(listening, selectors.EVENT_READ, None)
        self._thread = threading.Thread(
            target=self._serve, args=(listening,), name="pins", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        if self._thread is None:
            return
        os.write(self._wake_out, b"x")
        self._thread.join()
        self._thread = None
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()
        os.close(self._wake_in)
        os.close(self._wake_out)

    def _serve(self, listening: socket.socket) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj == self._wake_in:
                    return
                if key.fileobj is listening:
                    with contextlib.suppress(OSError):
                        peer, _ = listening.accept()
                        peer.settimeout(1.0)
                        self._selector.register(peer, selectors.EVENT_READ, bytearray())
                elif isinstance(key.fileobj, socket.socket) and not self._hear(
                    key.fileobj, key.data
                ):
                    self._selector.unregister(key.fileobj)
                    key.fileobj.close()

    def _hear(self, peer: socket.socket, buffer: bytearray) -> bool:
        """False when the peer is gone or talks nonsense without end."""
        try:
            more = peer.recv(LINE_BYTES)
            buffer += more
            while (end := buffer.find(b"\n")) >= 0:
                line = bytes(buffer[:end])
                del buffer[: end + 1]
                peer.sendall(msgspec.json.encode(self._answer(line)) + b"\n")
            if len(buffer) > LINE_BYTES:
                reply = PinsReply(ok=False, error="bad request: line too long")
                peer.sendall(msgspec.json.encode(reply) + b"\n")
                return False
        except OSError:
            return False
        return bool(more)
