"""A telephone line behind a USB or serial voice modem (V.253, `AT+FCLASS=8`).

Two ways of working, by what the modem offers: full duplex (+VTR), where audio flows both ways all
the time as on the socket line; else half duplex, where the modem listens (+VRX) except while it
plays: digits by +VTS or as samples by +VTX, then +VRX again at once, to hear the kiss-off.

The line's voltage is asked for (-TRV) where the modem can tell it; else a line is present when the
modem is, and the dial tone decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final

from edge.adapters.line_audio import LineAudio, LineGoneError, LineThread
from edge.adapters.modem_abilities import Abilities, set_up, volts_of
from edge.adapters.modem_playing import Piece, pieces
from edge.adapters.modem_port import ModemPort, Reply
from edge.config_phone import PhoneLineConfig
from edge.reporting.phone.line import (
    Busy,
    Deliver,
    Dial,
    Dialled,
    Dropped,
    Failed,
    LineOrder,
    NoLine,
    Play,
    Played,
    Release,
    Released,
    Seize,
    Seized,
    Voice,
)
from protocols.tones.elements import RATE_HZ, Playable, Progress, ProgressHeard
from protocols.voice_modem import (
    CANCEL,
    END,
    STOP_DUPLEX,
    STOP_HEARING,
    Result,
    Unpack,
    shield,
    to_bytes,
)

LEAD: Final = RATE_HZ // 10
"""Samples the modem has in hand in full duplex (0.1 s), so that a late thread makes no hole."""
AHEAD_S: Final = 0.4
"""So much is written ahead in half duplex."""
CHUNK: Final = 160
POLL_S: Final = 10.0
"""So often an idle modem is asked for its line, and whether it is there."""
NO_VOLTS: Final = 3.0
IN_USE_VOLTS: Final = 20.0
"""On-hook: below, a telephone on the same line is off-hook (48 V idle, 5-15 V in use)."""
DIAL_S: Final = 10.0
DIGIT_S: Final = 1.6
"""A pulse-dialled 0 with its pause takes no longer; a comma takes 2 s."""
END_S: Final = 1.0
RESTARTS: Final = 3
"""So often in one call a stream that ended by itself is begun anew."""
ESCAPES: Final = (STOP_HEARING, b"\x10\x1b", b"\r")
"""Ways out of +VRX: <DLE>! (V.253), <DLE><ESC>, any character (older modems)."""


class ModemLine(LineThread):
    """One modem. `device` and `baud` are the configuration's; `poll_s` as POLL_S."""

    name = "modem"

    def __init__(
        self,
        config: PhoneLineConfig,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        poll_s: float = POLL_S,
    ) -> None:
        super().__init__(loop, deliver)
        self.underruns = 0
        """Times the modem ran out of samples, or of room for them, as it said."""
        self.abilities = Abilities()
        self._config = config
        self._poll_s = poll_s
        self._audio = LineAudio(config.level_dbm0)
        self._next_poll = 0.0
        self._unpack = Unpack(self.abilities.coding)
        self._begin_call()

    def serve(self) -> None:
        """From opening the device to its loss."""
        port = ModemPort(self._config.device, self._config.baud, self.wait)
        try:
            self.abilities = set_up(port, self._config, lambda: self.stopping)
            self._look(port)
            while not self.stopping:
                if self.in_call:
                    self._listen(port)
                else:
                    self._idle(port)
                order = self.next_order()
                if order is not None:
                    self._carry_out(port, order)
            with contextlib.suppress(LineGoneError):
                self._hang_up(port)
        finally:
            port.close()

    # --- the device ---

    def _look(self, port: ModemPort) -> None:
        """Is the line there, and is the modem?"""
        self._next_poll = time.monotonic() + self._poll_s
        volts = volts_of(port) if self.abilities.volts else None
        if volts is not None:
            present = volts >= NO_VOLTS
            self.tell_status(present, "" if present else "no_voltage")
            return
        if port.command("AT").ok or port.command("AT").ok:
            if not self.abilities.volts:
                self.tell_status(True)
            return
        raise LineGoneError("modem_gone", f"{self._config.device}: does not answer")

    def _idle(self, port: ModemPort) -> None:
        left = self._next_poll - time.monotonic()
        if left <= 0:
            self._look(port)
        elif self.wait(port.fd, left):
            port.unasked()

    # --- orders ---

    def _begin_call(self) -> None:
        self._audio.begin()
        self._restarts = 0
        self._dial_tone = False
        self._played_at: int | None = None
        self._samples = 0

    def _carry_out(self, port: ModemPort, order: LineOrder) -> None:
        match order:
            case Seize(force):
                self._seize(port, force=force)
            case Release():
                self._audio.silence()
                self.in_call = False
                self._hang_up(port)
                self.tell(Released())
            case _ if not self.in_call:
                pass  # crossed the end of the call, which has been told
            case Dial(number, pulse):
                self._dial(port, number, pulse=pulse)
            case Play(what):
                self._play(port, what)
            case Voice():
                pass  # no microphone here; the call stays up

    def _seize(self, port: ModemPort, *, force: bool) -> None:
        self._begin_call()
        if self.abilities.volts:
            volts = volts_of(port)
            if volts is not None and volts < NO_VOLTS:
                self.tell_status(False, "no_voltage")
                self.tell(NoLine("no_voltage"))
                return
            if volts is not None and volts < IN_USE_VOLTS and not force:
                self.tell(NoLine("in_use"))
                return
        if not port.command("AT+VLS=1").ok:
            self.tell(NoLine("modem_error"))
            return
        self.in_call = True
        if self._begin_hearing(port):
            self.tell(Seized())

    def _dial(self, port: ModemPort, number: str, *, pulse: bool) -> None:
        self._end_hearing(port)
        # the tone that was heard may be waited for again; without one, dialling is the machine's
        # decision and the modem must not refuse it
        tones = "X4" if self._dial_tone else "X3"
        pauses = 2.0 * number.count(",")
        within_s = DIAL_S + DIGIT_S * len(number) + pauses
        text = f"AT{tones}D{'P' if pulse else 'T'}{number};"
        reply = port.command(text, within_s, lambda: self.hurried)
        match reply.result:
            case None if self.hurried:
                pass
            case Result.OK | Result.VCON:
                self._audio.dialled()
                if self._begin_hearing(port):
                    self.tell(Dialled())
            case Result.BUSY:
                self.in_call = False
                self.tell(Busy())
                self._hang_up(port)
            case Result.NO_DIALTONE:
                self._over(port, NoLine("no_dial_tone"))
            case Result.NO_CARRIER:
                self._over(port, Dropped("no_carrier"))
            case Result.NO_ANSWER:
                self._over(port, Failed("no_answer"))
            case Result.ERROR:
                self._over(port, Failed("modem_error"))
            case _:
                self._over(port, Failed("timeout"))

    def _over(self, port: ModemPort, why: NoLine | Dropped | Failed) -> None:
        self._audio.silence()
        self.end_call(why)
        self._hang_up(port)

    def _hang_up(self, port: ModemPort) -> None:
        self._end_hearing(port)
        if port.unfinished:
            port.write(b"\r")  # breaks off a dialling or +VTS that is under way
            port.answer(END_S)
        if port.command("ATH").ok or port.command("ATH").ok:
            return
        raise LineGoneError("modem_gone", f"{self._config.device}: does not hang up")

    # --- hearing ---

    def _begin_hearing(self, port: ModemPort) -> bool:
        duplex = self.abilities.duplex
        reply = port.command("AT+VTR" if duplex else "AT+VRX")
        if reply.result is not Result.CONNECT:
            self._ended_by_modem(port, reply)
            return False
        self._unpack = Unpack(self.abilities.coding)
        if duplex:
            self._write_samples(port, LEAD)
        return True

    def _end_hearing(self, port: ModemPort) -> None:
        if not port.streaming:
            return
        duplex = self.abilities.duplex
        for escape in (CANCEL + STOP_DUPLEX, CANCEL + END) if duplex else ESCAPES:
            port.write(escape)
            if port.pass_over_stream(END_S):
                port.answer(END_S)
                return
        port.leave_stream()

    def _listen(self, port: ModemPort) -> None:
        if not port.streaming and not self._begin_hearing(port):
            return
        audio, codes, ended = port.stream(1.0)
        if audio:
            self._heard(port, audio)
        for code in codes:
            self._event(port, chr(code))
        if ended and self.in_call:
            self._ended_by_modem(port, port.answer(END_S))

    def _heard(self, port: ModemPort, audio: bytes) -> None:
        pcm = self._unpack.feed(audio)
        self._samples += len(pcm)
        for heard in self._audio.hear(pcm):
            if isinstance(heard, ProgressHeard) and heard.progress is Progress.DIAL_TONE:
                self._dial_tone = True
            self.tell(heard)
        if self.abilities.duplex:
            self._write_samples(port, len(pcm))
        if self._played_at is not None and self._samples >= self._played_at:
            self._played_at = None
            self.tell(Played())

    def _write_samples(self, port: ModemPort, count: int) -> None:
        pcm, ended = self._audio.read(count)
        port.write(shield(to_bytes(pcm, self.abilities.coding)))
        if ended:
            # they leave the modem when as many have come in as it has in hand
            self._played_at = self._samples + LEAD

    def _event(self, port: ModemPort, code: str) -> None:
        if code in "ou":
            self.underruns += 1
        elif code == "l" and self.in_call:
            self._over(port, Dropped("loop_current"))
        elif code == "d" and not self._dial_tone:
            self._dial_tone = True
            self.tell(ProgressHeard(Progress.DIAL_TONE, self._audio.now_ms))

    def _ended_by_modem(self, port: ModemPort, reply: Reply) -> None:
        """The stream ended, or would not begin, though nobody asked for it."""
        if not self.in_call:
            return
        if reply.result is Result.BUSY:
            self.in_call = False
            self.tell(Busy())
            self._hang_up(port)
        elif reply.result in {Result.NO_CARRIER, Result.NO_ANSWER}:
            self._over(port, Dropped("no_carrier"))
        elif self._restarts < RESTARTS:
            self._restarts += 1
            self._begin_hearing(port)
        else:
            self._over(port, Failed("modem_error"))

    # --- playing ---

    def _play(self, port: ModemPort, what: tuple[Playable, ...]) -> None:
        abilities = self.abilities
        if abilities.duplex:
            self._audio.play(what)
            return
        self._end_hearing(port)
        tones = abilities.tones and (self._config.dtmf_by_modem or not abilities.plays)
        for piece in pieces(what, by_tones=tones):
            if not self._play_piece(port, piece):
                if not self.hurried:
                    self._over(port, Failed("modem_error"))
                return
        if self._begin_hearing(port):
            self.tell(Played())

    def _play_piece(self, port: ModemPort, piece: Piece) -> bool:
        if piece.pause_ms:
            return self._pause(piece.pause_ms / 1000)
        if piece.command:
            return port.command(piece.command, END_S + piece.lasts_s, lambda: self.hurried).ok
        if port.command("AT+VTX").result is not Result.CONNECT:
            return False
        self._audio.play(piece.samples)
        began = time.monotonic()
        written = 0
        ended = False
        while not ended and not self.hurried:
            early_s = written / RATE_HZ - (time.monotonic() - began) - AHEAD_S
            if early_s > 0:
                self.wait(None, early_s)
                continue
            pcm, ended = self._audio.read(CHUNK)
            written += len(pcm)
            port.write(shield(to_bytes(pcm, self.abilities.coding)))
        port.write(END if ended else CANCEL + END)
        left_s = max(0.0, written / RATE_HZ - (time.monotonic() - began))
        return self._drained(port, left_s + END_S) and ended

    def _drained(self, port: ModemPort, within_s: float) -> bool:
        """The modem has played its buffer: <DLE><ETX> and OK, or OK (VCON) alone."""
        port.leave_stream()
        return port.answer(within_s).ok

    def _pause(self, seconds: float) -> bool:
        """False when hurried."""
        until = time.monotonic() + seconds
        while not self.hurried:
            left = until - time.monotonic()
            if left <= 0:
                return True
            self.wait(None, left)
        return False
