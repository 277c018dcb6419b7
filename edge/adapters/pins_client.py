"""Moves the simulated pins of a panel from outside, whether or not the panel is running."""

from __future__ import annotations

import socket
import time
from pathlib import Path
from typing import Final

import msgspec

from edge.adapters import pins_state
from edge.adapters.pins_state import PinsFile, PinsState
from edge.config import Loop, PanelConfig, Wiring
from edge.field.eol import READINGS, LoopState, nominal_mv, normal_level
from edge.field.point import loops
from edge.field.reading import ReadingState

REPLY_S: Final = 5.0
RETRY_S: Final = 0.02


class PinsError(Exception):
    """The panel refused a request, or did not answer in time."""


class PinsReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """Answer on the control socket."""

    ok: bool
    error: str = ""
    outputs: dict[str, bool] | None = None
    pins: dict[int, int] | None = None
    adc: dict[str, int] | None = None
    failed: tuple[str, ...] | None = None


class PinsRequest(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One line on the control socket: exactly one of pin+level, adc+mv, fail, heal, get."""

    pin: pins_state.Gpio | None = None
    level: pins_state.Level | None = None
    adc: pins_state.Channel | None = None
    mv: pins_state.Millivolts | None = None
    fail: pins_state.InputName | None = None
    heal: pins_state.InputName | None = None
    get: str | None = None

    def applied(self, state: PinsState) -> PinsState | None:
        """The state after this request, or None when it changes none."""
        match (self.pin, self.level, self.adc, self.mv, self.fail, self.heal, self.get):
            case (int(gpio), int(level), None, None, None, None, None):
                return state.with_level(gpio, level)
            case (None, None, str(channel), int(mv), None, None, None):
                return state.with_mv(channel, mv)
            case (None, None, None, None, str(name), None, None):
                return state.with_failed(name, failed=True)
            case (None, None, None, None, None, str(name), None):
                return state.with_failed(name, failed=False)
            case _:
                return None


class Pins:
    """Hands on the simulated hardware. Every call returns when the change is kept on file."""

    def __init__(self, socket_path: Path, state_file: Path, timeout_s: float = REPLY_S) -> None:
        self._socket_path = socket_path
        self._file = PinsFile(state_file)
        self._timeout_s = timeout_s

    @classmethod
    def of(cls, config: PanelConfig, directory: Path) -> Pins:
        """The pins of this panel, `directory` as handed to its Field."""
        socket_path = directory / config.hardware.control_socket
        return cls(socket_path, socket_path.parent / "pins.json")

    def set_level(self, gpio: int, level: int) -> None:
        """Drive a pin."""
        self._change(PinsRequest(pin=gpio, level=level))

    def set_mv(self, channel: str, mv: int) -> None:
        """Set the voltage on a converter input."""
        self._change(PinsRequest(adc=channel, mv=mv))

    def fail(self, name: str) -> None:
        """Break an input ("gpio:17", "adc:0.3")."""
        self._change(PinsRequest(fail=name))

    def heal(self, name: str) -> None:
        """Mend it."""
        self._change(PinsRequest(heal=name))

    def set_zone(self, config: PanelConfig, zone: int, state: ReadingState) -> None:
        """Bring a zone's loop into this state. Raises ValueError if its wiring cannot show it."""
        self.set_point(config, f"zone:{zone}", state)

    def set_point(self, config: PanelConfig, point: str, state: ReadingState) -> None:
        """The same by point name ("zone:3", "enclosure")."""
        loop = dict(loops(config)).get(point)
        if loop is None:
            raise ValueError(f"no point {point}")
        if state is ReadingState.LOST:
            self.fail(loop.input)
            return
        move = _move(config, loop, state)
        if move is None:
            raise ValueError(f"{point}: {loop.wiring.value} wiring cannot show {state.value}")
        self.heal(loop.input)
        self._change(move)

    def outputs(self) -> dict[str, bool]:
        """Outputs of the running panel. Raises PinsError when none runs."""
        reply = self._ask(PinsRequest(get="outputs"))
        if reply is None or reply.outputs is None:
            raise PinsError("no panel listens" if reply is None else reply.error)
        return reply.outputs

    def pins(self) -> PinsReply:
        """Levels, millivolts and failures of the running panel. Raises PinsError when none runs."""
        reply = self._ask(PinsRequest(get="pins"))
        if reply is None:
            raise PinsError("no panel listens")
        return reply

    def _change(self, request: PinsRequest) -> None:
        give_up = time.monotonic() + self._timeout_s
        while True:
            with self._file.locked():
                # Under the lock a starting panel cannot yet have read the file, so "nobody listens"
                # is still true when the file has been written.
                plug = pins_state.connect(self._socket_path, self._timeout_s)
                if plug is None:
                    changed = request.applied(self._file.read())
                    if changed is None:
                        raise PinsError("nothing to change in this request")
                    self._file.write(changed)
                    return
            with plug:
                reply = _converse(plug, request)
            if reply is not None:
                if not reply.ok:
                    raise PinsError(reply.error)
                return
            if time.monotonic() > give_up:
                raise PinsError("the panel did not answer")
            time.sleep(RETRY_S)  # killed in mid-request: setting the same again is harmless

    def _ask(self, request: PinsRequest) -> PinsReply | None:
        plug = pins_state.connect(self._socket_path, self._timeout_s)
        if plug is None:
            return None
        with plug:
            return _converse(plug, request)


def _converse(plug: socket.socket, request: PinsRequest) -> PinsReply | None:
    try:
        plug.sendall(msgspec.json.encode(request) + b"\n")
        with plug.makefile("rb") as lines:
            return msgspec.json.decode(lines.readline(), type=PinsReply)
    except (OSError, msgspec.MsgspecError):
        return None


def _move(config: PanelConfig, loop: Loop, state: ReadingState) -> PinsRequest | None:
    if loop.wiring in (Wiring.NC, Wiring.NO):
        if state not in (ReadingState.NORMAL, ReadingState.ALARM):
            return None
        rest = normal_level(loop.wiring)
        level = rest if state is ReadingState.NORMAL else 1 - rest
        return PinsRequest(pin=int(loop.input.removeprefix("gpio:")), level=level)
    for shown in LoopState:
        if READINGS[shown] == (state,):
            mv = nominal_mv(shown, loop.wiring, config.hardware)
            if mv is not None:
                return PinsRequest(adc=loop.input.removeprefix("adc:"), mv=mv)
    return None
