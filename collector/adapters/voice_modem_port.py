"""The port of a voice modem that answers, in the event loop: commands, answers, voice streams.

Opening and closing a serial device may take seconds and is done in a thread. A device that is gone
(unplugged, dead, stuck) is ModemGoneError.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import re
import termios
from dataclasses import dataclass
from typing import Final

import serial

from protocols.voice_modem import Result, Unshield, caller_in, result_of

ANSWER_S: Final = 3.0
STUCK_S: Final = 3.0
"""A modem that takes no data for so long is gone."""
LINE_BYTES: Final = 4096
MOST_UNREAD: Final = 256 * 1024
MOST_UNASKED: Final = 64
AT_ONCE: Final = 8192
"""Bytes of a stream given at once (0.5 s of audio): the other lines must not wait for this one."""
_SHIELDED: Final = re.compile(rb"\x10.", re.DOTALL)
_FINAL: Final = frozenset(Result) - {Result.RING, Result.RINGING}


class ModemGoneError(Exception):
    """The modem is not there or not to be used. `cause` in a word, as in LineState."""

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause


@dataclass(frozen=True, slots=True)
class Reply:
    """What a command was answered with. `result` None: nothing in time."""

    result: Result | None
    lines: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """OK, or VCON which some modems say instead in voice mode."""
        return self.result in {Result.OK, Result.VCON}


class VoiceModemPort:
    """An open device. Every method but `close` raises ModemGoneError when it is gone."""

    def __init__(self, opened: serial.Serial) -> None:
        self._serial = opened
        self._fd: int = opened.fileno()
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()
        self._data = bytearray()
        self._unsent = bytearray()
        self._unsent_since = 0.0
        self._gone = ""
        self._unasked: list[str] = []
        self._unshield: Unshield | None = None
        os.set_blocking(self._fd, False)
        self._loop.add_reader(self._fd, self._readable)

    @classmethod
    async def open(cls, device: str, baud: int) -> VoiceModemPort:
        """Raises ModemGoneError when it cannot be opened."""
        try:
            return cls(await asyncio.to_thread(_opened, device, baud))
        except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
            raise ModemGoneError("modem_gone", f"{device}: {_why(error)}") from error

    async def close(self) -> None:
        """Let go; DTR falls, which hangs up."""
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        await asyncio.to_thread(_closed, self._serial)

    @property
    def streaming(self) -> bool:
        """Between a CONNECT and the end of its stream."""
        return self._unshield is not None

    # --- commands ---

    async def command(self, text: str, within_s: float = ANSWER_S) -> Reply:
        """Send `AT...` and wait for its result. CONNECT begins a stream."""
        while (line := self._line()) is not None:
            self._keep(line)  # a RING that came meanwhile, or an answer that came too late
        self.write(text.encode("ascii") + b"\r")
        return await self.answer(within_s)

    async def answer(self, within_s: float = ANSWER_S) -> Reply:
        """The next final result code, and the lines before it."""
        lines: list[str] = []
        until = self._loop.time() + within_s
        while True:
            while (line := self._line()) is not None:
                result = result_of(line)
                if result is Result.RING or caller_in(line) is not None:
                    self._keep(line)
                    continue
                if result is Result.CONNECT:
                    self._unshield = Unshield()
                if result in _FINAL:
                    return Reply(result, tuple(lines))
                if line:
                    lines.append(line)
            left = until - self._loop.time()
            if left <= 0:
                return Reply(None, tuple(lines))
            await self.more(left)

    def unasked(self) -> list[str]:
        """Lines that came without a command: RING, caller id, NO CARRIER."""
        while (line := self._line()) is not None:
            self._keep(line)
        lines, self._unasked = self._unasked, []
        return lines

    def _keep(self, line: str) -> None:
        if line and len(self._unasked) < MOST_UNASKED:
            self._unasked.append(line)

    def _line(self) -> str | None:
        end = self._data.find(b"\n")
        if end < 0:
            del self._data[:-LINE_BYTES]  # noise; a result code may still come
            return None
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        # an end of stream may stand before its result code
        return _SHIELDED.sub(b"", line).decode("ascii", "replace").strip()

    # --- streams ---

    async def stream(self, timeout_s: float) -> tuple[bytes, bytes, bool]:
        """(audio, codes, ended) of a stream. At the end the port is in command mode again and the
        result code still to come; see `answer`.
        """
        assert self._unshield is not None
        if self._data:
            await asyncio.sleep(0)
        else:
            await self.more(timeout_s)
        data = bytes(self._data[:AT_ONCE])
        del self._data[:AT_ONCE]
        audio, codes, rest = self._unshield.feed(data)
        if rest is not None:
            self._unshield = None
            self._data[:0] = rest
        return audio, codes, rest is not None

    async def pass_over_stream(self, within_s: float) -> bool:
        """Forget what it still brings; whether its end came in time."""
        until = self._loop.time() + within_s
        while (left := until - self._loop.time()) > 0:
            if (await self.stream(left))[2]:
                return True
        return False

    def leave_stream(self) -> None:
        """Take what comes as lines again, though no end of stream was seen."""
        self._unshield = None

    # --- bytes ---

    async def more(self, timeout_s: float) -> bool:
        """Until new bytes have come; False: not in time."""
        if not self._came.is_set():
            if self._gone:
                raise ModemGoneError("modem_gone", self._gone)
            if self._unsent and self._loop.time() - self._unsent_since > STUCK_S:
                raise ModemGoneError("modem_gone", "takes no data")
            try:
                # not wait_for, which may lose a cancellation that meets the event (Python 3.11)
                async with asyncio.timeout(max(0.0, timeout_s)):
                    await self._came.wait()
            except TimeoutError:
                return False
        self._came.clear()
        return True

    def write(self, data: bytes) -> None:
        """Send, now or as soon as the device takes it."""
        if self._gone:
            raise ModemGoneError("modem_gone", self._gone)
        if len(self._unsent) > MOST_UNREAD:
            raise ModemGoneError("modem_gone", "takes no data")
        if not self._unsent:
            self._unsent_since = self._loop.time()
        self._unsent += data
        self._writable()

    def _writable(self) -> None:
        try:
            while self._unsent:
                del self._unsent[: os.write(self._fd, self._unsent)]
                self._unsent_since = self._loop.time()
            self._loop.remove_writer(self._fd)
        except BlockingIOError:
            self._loop.add_writer(self._fd, self._writable)
        except OSError as error:
            self._lost(str(error))

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, 65_536)
        except BlockingIOError:
            return
        except OSError as error:
            self._lost(str(error))
            return
        if not data:  # ready to be read, and nothing there
            self._lost("unplugged")
            return
        if len(self._data) < MOST_UNREAD:
            self._data += data
        self._came.set()

    def _lost(self, why: str) -> None:
        self._gone = why
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._came.set()


def _closed(opened: serial.Serial) -> None:
    with contextlib.suppress(OSError, termios.error):
        opened.reset_output_buffer()  # else the kernel waits for a dead modem to take it
    with contextlib.suppress(OSError):
        opened.close()


def _why(error: OSError | ValueError | termios.error) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EACCES:
        return "permission denied; add the receiver's user to the device's group (dialout)"
    return os.strerror(number) if number else str(error)


def _opened(device: str, baud: int) -> serial.Serial:
    return serial.Serial(device, baud, timeout=0, rtscts=True, exclusive=True)
