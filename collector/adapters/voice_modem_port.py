"""The port of a voice modem that answers, in the event loop: commands, answers, voice streams.

Opening and closing a serial device may take seconds and is done in a thread. A device that is gone
(unplugged, dead, stuck) is ModemGoneError.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import termios
from typing import Final

import serial

from protocols.voice_modem.answers import Reply
from protocols.voice_modem.bringing_up import Abilities, Unfit, Wanted, bring_up
from protocols.voice_modem.device import ANSWER_S, LATE_S, STUCK_S, why_not_open
from protocols.voice_modem.dialogue import MOST_UNREAD_BYTES, Dialogue
from protocols.voice_modem.stream import LEAVE_ANY

AT_ONCE: Final = 8192
"""Bytes of a stream given at once (0.5 s of audio): the other lines must not wait for this one."""


class ModemGoneError(Exception):
    """The modem is not there or not to be used. `cause` in a word, as in LineState."""

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause


class VoiceModemPort:
    """An open device. Every method but `close` raises ModemGoneError when it is gone."""

    def __init__(self, opened: serial.Serial) -> None:
        self._serial = opened
        self._fd: int = opened.fileno()
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()
        self._dialogue = Dialogue()
        self._unsent = bytearray()
        self._unsent_since = 0.0
        self._gone = ""
        os.set_blocking(self._fd, False)
        self._loop.add_reader(self._fd, self._readable)

    @classmethod
    async def open(cls, device: str, baud: int) -> VoiceModemPort:
        """Raises ModemGoneError when it cannot be opened."""
        try:
            return cls(await asyncio.to_thread(_opened, device, baud))
        except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
            number = error.errno if isinstance(error, OSError) else None
            why = why_not_open(number, str(error))
            raise ModemGoneError("modem_gone", f"{device}: {why}") from error

    async def close(self) -> None:
        """Let go; DTR falls, which hangs up."""
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        await asyncio.to_thread(_closed, self._serial)

    @property
    def streaming(self) -> bool:
        """Between a CONNECT and the end of its stream."""
        return self._dialogue.streaming

    async def bring_up(self, wanted: Wanted) -> Abilities:
        """Raises ModemGoneError: "modem_gone" without an answer, "modem_error" for a refusal."""
        self.write(LEAVE_ANY)
        await self.answer(0.3)
        asking = bring_up(wanted)
        text = next(asking)
        while True:
            reply = await self.command(text)
            try:
                text = asking.send(reply)
            except StopIteration as over:
                outcome: Abilities | Unfit = over.value
                if isinstance(outcome, Unfit):
                    raise ModemGoneError(outcome.cause, outcome.text) from None
                return outcome

    # --- commands ---

    async def command(self, text: str, within_s: float = ANSWER_S) -> Reply:
        """Send `AT...` and wait for its result. CONNECT begins a stream."""
        if self._dialogue.owed:
            await self.answer(LATE_S)
        self._dialogue.commanded()
        self.write(text.encode("ascii") + b"\r")
        return await self.answer(within_s)

    async def answer(self, within_s: float = ANSWER_S) -> Reply:
        """The next final result code, and the lines before it."""
        until = self._loop.time() + within_s
        while True:
            reply = self._dialogue.reply()
            if reply is not None:
                return reply
            left = until - self._loop.time()
            if left <= 0:
                return self._dialogue.given_up()
            await self.more(left)

    def rung(self) -> tuple[int, str | None]:
        """(rings since last asked, the caller's number where it came)."""
        return self._dialogue.rung()

    # --- streams ---

    async def stream(self, timeout_s: float) -> tuple[bytes, bytes, bool]:
        """(audio, codes, ended) of a stream. At the end the port is in command mode again and the
        result code still to come; see `answer`.
        """
        if self._dialogue.unread:
            await asyncio.sleep(0)
        else:
            await self.more(timeout_s)
        return self._dialogue.stream(AT_ONCE)

    async def pass_over_stream(self, within_s: float) -> bool:
        """Forget what it still brings; whether its end came in time."""
        until = self._loop.time() + within_s
        while (left := until - self._loop.time()) > 0:
            if (await self.stream(left))[2]:
                return True
        return False

    def last_words(self) -> Reply:
        """Of a stream that has fallen silent; see Dialogue."""
        return Reply(self._dialogue.last_words())

    def leave_stream(self) -> None:
        """Take what comes as lines again, though no end of stream was seen."""
        self._dialogue.leave_stream()

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
        if len(self._unsent) > MOST_UNREAD_BYTES:
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
        self._dialogue.feed(data)
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


def _opened(device: str, baud: int) -> serial.Serial:
    return serial.Serial(device, baud, timeout=0, rtscts=True, exclusive=True)
