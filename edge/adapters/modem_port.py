"""A voice modem's port: commands and answers, voice streams, over pyserial. Blocks only in `wait`.

Whatever goes wrong with the device itself (unplugged, dead, stuck) is LineGoneError("modem_gone").
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

import serial

from edge.adapters.line_audio import LineGoneError
from protocols.voice_modem import Result, Unshield, result_of

ANSWER_S: Final = 3.0
STUCK_S: Final = 3.0
"""A modem that takes no data for so long is gone."""
LINE_BYTES: Final = 4096
_SHIELDED: Final = re.compile(rb"\x10.", re.DOTALL)
FINAL: Final = frozenset(Result) - {Result.RING, Result.RINGING}


class Wait(Protocol):
    """LineThread.wait."""

    def __call__(self, fd: int | None, timeout_s: float, *, writing: bool = False) -> bool:
        """Until readable, writable, hurried or late; True when readable."""
        ...


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command was answered with. `result` None: nothing in time, or not waited for."""

    result: Result | None
    lines: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """OK, or VCON which some modems say instead in voice mode."""
        return self.result in {Result.OK, Result.VCON}


class ModemPort:
    """The open device. Raises LineGoneError from every method when it is not there (any more)."""

    def __init__(self, device: str, baud: int, wait: Wait) -> None:
        self._wait = wait
        self._text = bytearray()
        self._unshield: Unshield | None = None
        self.unfinished = False
        """A command's result has not come: waiting for it was given up."""
        try:
            self._serial = serial.Serial(device, baud, timeout=0, rtscts=True, exclusive=True)
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise LineGoneError("modem_gone", f"{device}: {error}") from error
        self._fd: int = self._serial.fileno()

    def close(self) -> None:
        """Let go; DTR falls, which hangs up."""
        with contextlib.suppress(OSError):
            self._serial.close()

    @property
    def streaming(self) -> bool:
        """Between a CONNECT and the end of its stream."""
        return self._unshield is not None

    # --- commands ---

    def command(
        self,
        text: str,
        within_s: float = ANSWER_S,
        give_up: Callable[[], bool] | None = None,
    ) -> Reply:
        """Send `AT...` and wait for its result. CONNECT begins a stream."""
        self._drain()
        self.write(text.encode("ascii") + b"\r")
        return self.answer(within_s, give_up)

    def answer(
        self, within_s: float = ANSWER_S, give_up: Callable[[], bool] | None = None
    ) -> Reply:
        """The next final result code, and the lines before it."""
        lines: list[str] = []
        until = time.monotonic() + within_s
        self.unfinished = True
        while True:
            while (line := self._line()) is not None:
                result = result_of(line)
                if result is Result.CONNECT:
                    self._unshield = Unshield()
                if result in FINAL:
                    self.unfinished = False
                    return Reply(result, tuple(lines))
                if line:
                    lines.append(line)
            left = until - time.monotonic()
            if left <= 0 or (give_up is not None and give_up()):
                return Reply(None, tuple(lines))
            self._text += self._read(left)
            if len(self._text) > LINE_BYTES:
                del self._text[:-LINE_BYTES]  # noise; a result code may still come

    def unasked(self) -> list[str]:
        """Lines that came without a command (RING, NO CARRIER)."""
        self._text += self._read(0)
        lines = []
        while (line := self._line()) is not None:
            if line:
                lines.append(line)
        del self._text[:-LINE_BYTES]
        return lines

    def _line(self) -> str | None:
        end = self._text.find(b"\n")
        if end < 0:
            return None
        line = bytes(self._text[:end])
        del self._text[: end + 1]
        # an end of stream may stand before its result code
        return _SHIELDED.sub(b"", line).decode("ascii", "replace").strip()

    def _drain(self) -> None:
        self._text.clear()
        self._read(0)

    # --- streams ---

    def stream(self, timeout_s: float) -> tuple[bytes, bytes, bool]:
        """(audio, codes, ended) of a stream. At the end the port is in command mode again and the
        result code still to come; see `answer`.
        """
        assert self._unshield is not None
        data = bytes(self._text)
        self._text.clear()
        if not data:
            data = self._read(timeout_s)
        audio, codes, rest = self._unshield.feed(data)
        if rest is not None:
            self._unshield = None
            self._text += rest
        return audio, codes, rest is not None

    def pass_over_stream(self, within_s: float) -> bool:
        """Forget what it still brings; whether its end came in time."""
        until = time.monotonic() + within_s
        while (left := until - time.monotonic()) > 0:
            if self.stream(left)[2]:
                return True
        return False

    def leave_stream(self) -> None:
        """Take what comes as lines again, though no end of stream was seen."""
        self._unshield = None

    # --- bytes ---

    @property
    def fd(self) -> int:
        """For `wait`."""
        return self._fd

    def write(self, data: bytes) -> None:
        """All of it."""
        until = time.monotonic() + STUCK_S
        while data:
            try:
                data = data[os.write(self._fd, data) :]
            except BlockingIOError:
                if time.monotonic() > until:
                    raise LineGoneError("modem_gone", "takes no data") from None
                self._wait(self._fd, 0.05, writing=True)
            except OSError as error:
                raise LineGoneError("modem_gone", str(error)) from error

    def _read(self, timeout_s: float) -> bytes:
        if not self._wait(self._fd, timeout_s):
            return b""
        try:
            data = os.read(self._fd, 65_536)
        except BlockingIOError:
            return b""
        except OSError as error:
            raise LineGoneError("modem_gone", str(error)) from error
        if not data:  # ready to be read, and nothing there
            raise LineGoneError("modem_gone", "unplugged")
        return data
