"""A voice modem's port: commands and answers, voice streams, over pyserial. Blocks only in `wait`.

Whatever goes wrong with the device itself (unplugged, dead, stuck) is LineGoneError("modem_gone").
"""

from __future__ import annotations

import contextlib
import os
import termios
import time
from collections.abc import Callable
from typing import Protocol

import serial

from edge.adapters.line_audio import LineGoneError
from protocols.voice_modem.answers import Reply
from protocols.voice_modem.bringing_up import Abilities, Unfit, Wanted, bring_up
from protocols.voice_modem.device import ANSWER_S, LATE_S, STUCK_S, why_not_open
from protocols.voice_modem.dialogue import Dialogue
from protocols.voice_modem.stream import LEAVE_ANY


class Wait(Protocol):
    """LineThread.wait."""

    def __call__(self, fd: int | None, timeout_s: float, *, writing: bool = False) -> bool:
        """Until readable, writable, hurried or late; True when readable."""
        ...


class ModemPort:
    """The open device. Raises LineGoneError from every method when it is not there (any more).
    `answer_s` as ANSWER_S.
    """

    def __init__(self, device: str, baud: int, wait: Wait, answer_s: float = ANSWER_S) -> None:
        self._wait = wait
        self._answer_s = answer_s
        self._dialogue = Dialogue()
        try:
            self._serial = serial.Serial(device, baud, timeout=0, rtscts=True, exclusive=True)
        except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
            number = error.errno if isinstance(error, OSError) else None
            why = why_not_open(number, str(error))
            raise LineGoneError("modem_gone", f"{device}: {why}") from error
        self._fd: int = self._serial.fileno()

    def close(self) -> None:
        """Let go; DTR falls, which hangs up."""
        with contextlib.suppress(OSError, termios.error):
            self._serial.reset_output_buffer()  # else the kernel waits for a dead modem to take it
        with contextlib.suppress(OSError):
            self._serial.close()

    @property
    def streaming(self) -> bool:
        """Between a CONNECT and the end of its stream."""
        return self._dialogue.streaming

    @property
    def owed(self) -> bool:
        """A command's result has not come: waiting for it was given up."""
        return self._dialogue.owed

    def bring_up(self, wanted: Wanted, give_up: Callable[[], bool]) -> Abilities:
        """Raises LineGoneError: "modem_gone" without an answer, "modem_error" for a refusal."""
        self.write(LEAVE_ANY)
        self.answer(0.3, give_up)
        asking = bring_up(wanted)
        text = next(asking)
        while True:
            reply = self.command(text, give_up=give_up)
            try:
                text = asking.send(reply)
            except StopIteration as over:
                outcome: Abilities | Unfit = over.value
                if isinstance(outcome, Unfit):
                    raise LineGoneError(outcome.cause, outcome.text) from None
                return outcome

    # --- commands ---

    def command(
        self,
        text: str,
        within_s: float | None = None,
        give_up: Callable[[], bool] | None = None,
    ) -> Reply:
        """Send `AT...` and wait for its result. CONNECT begins a stream."""
        if self.owed:
            self.answer(LATE_S, give_up)
        self._dialogue.feed(self._read(0))
        self._dialogue.commanded()
        self.write(text.encode("ascii") + b"\r")
        return self.answer(within_s, give_up)

    def answer(
        self, within_s: float | None = None, give_up: Callable[[], bool] | None = None
    ) -> Reply:
        """The next final result code, and the lines before it."""
        until = time.monotonic() + (self._answer_s if within_s is None else within_s)
        while True:
            reply = self._dialogue.reply()
            if reply is not None:
                return reply
            left = until - time.monotonic()
            if left <= 0 or (give_up is not None and give_up()):
                return self._dialogue.given_up()
            self._dialogue.feed(self._read(left))

    def rang(self) -> bool:
        """Whether somebody has rung since this was asked last."""
        self._dialogue.feed(self._read(0))
        return self._dialogue.rung()[0] > 0

    # --- streams ---

    def stream(self, timeout_s: float) -> tuple[bytes, bytes, bool]:
        """(audio, codes, ended) of a stream. At the end the port is in command mode again and the
        result code still to come; see `answer`.
        """
        if not self._dialogue.unread:
            self._dialogue.feed(self._read(timeout_s))
        return self._dialogue.stream()

    def pass_over_stream(self, within_s: float) -> bool:
        """Forget what it still brings; whether its end came in time."""
        until = time.monotonic() + within_s
        while (left := until - time.monotonic()) > 0:
            if self.stream(left)[2]:
                return True
        return False

    def last_words(self) -> Reply:
        """Of a stream that has fallen silent; see Dialogue."""
        return Reply(self._dialogue.last_words())

    def leave_stream(self) -> None:
        """Take what comes as lines again, though no end of stream was seen."""
        self._dialogue.leave_stream()

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
