"""A telephone line behind a USB or serial voice modem (V.253, `AT+FCLASS=8`).

Two ways of working, by what the modem takes: full duplex (+VTR), where audio flows both ways all
the time as on the socket line; else half duplex, where the modem listens (+VRX) except while it
plays: digits by +VTS or as samples by +VTX, then +VRX again at once, to hear the kiss-off. What it
refuses in a call is not asked of it again until it is opened anew.

The line's voltage is asked for (-TRV) where the modem can tell it; else a line is present when the
modem is, and the dial tone decides.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, replace
from typing import Final

from edge.adapters.line_audio import LineAudio, LineGoneError, LineThread
from edge.adapters.modem_playing import HalfDuplexPlayer
from edge.adapters.modem_port import ModemPort
from edge.config_phone import PhoneLineConfig
from edge.reporting.phone.line import (
    Busy,
    Deliver,
    Dial,
    Dialled,
    Dropped,
    Failed,
    LineInput,
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
from protocols.voice_modem.answers import Reply, Result
from protocols.voice_modem.bringing_up import Abilities, Wanted
from protocols.voice_modem.device import ANSWER_S, HUNG_UP_S, STALL_S
from protocols.voice_modem.samples import Coding, Unpack, to_bytes
from protocols.voice_modem.stream import LEAVE_DUPLEX, LEAVE_HEARING, shield

log = logging.getLogger(__name__)

LEAD: Final = RATE_HZ // 10
"""Samples the modem has in hand in full duplex (0.1 s), so that a late thread makes no hole."""
NO_VOLTS: Final = 3.0
IN_USE_VOLTS: Final = 20.0
"""On-hook: below, a telephone on the same line is off-hook (48 V idle, 5-15 V in use)."""
DIAL_S: Final = 10.0
DIGIT_S: Final = 1.6
"""A pulse-dialled 0 with its pause takes no longer; a comma takes 2 s."""
END_S: Final = 1.0
RESTARTS: Final = 3
"""So often in one call a stream that ended by itself is begun anew."""
RINGS_S: Final = 6.0
"""After a ring the line is somebody's call for so long."""


@dataclass(frozen=True, slots=True)
class Timing:
    """`poll_s`: so often an idle modem is asked for its line, and whether it is there. `answer_s`
    as ANSWER_S. `speed`: how many times faster than life the samples go (simulated lines only).
    """

    poll_s: float = 10.0
    answer_s: float = ANSWER_S
    speed: float = 1.0


_REFUSED: Final[dict[Result, LineInput]] = {
    Result.NO_DIALTONE: NoLine("no_dial_tone"),
    Result.NO_LINE: NoLine("no_voltage"),
    Result.LINE_IN_USE: NoLine("in_use"),
    Result.NO_CARRIER: Dropped("no_carrier"),
    Result.NO_ANSWER: Failed("no_answer"),
    Result.BLACKLISTED: Failed("blacklisted"),
    Result.BUSY: Busy(),
    Result.ERROR: Failed("modem_error"),
}
"""What a result that is neither OK nor VCON means for a call."""


class ModemLine(LineThread):
    """One modem. `device` and `baud` are the configuration's."""

    name = "modem"

    def __init__(
        self,
        config: PhoneLineConfig,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        timing: Timing | None = None,
    ) -> None:
        super().__init__(loop, deliver)
        self.underruns = 0
        """Times the modem ran out of samples, or of room for them, as it said."""
        self.stalls = 0
        """Times a voice stream stopped without an end."""
        self.abilities = Abilities()
        self._config = config
        self._timing = timing or Timing()
        self._lead = round(LEAD * self._timing.speed)
        self._audio = LineAudio(config.level_dbm0, microphone=config.microphone)
        self._player = HalfDuplexPlayer(self, self._audio, self._timing.speed)
        self._next_poll = 0.0
        self._rang_at = -RINGS_S
        self._unpack = Unpack(self.abilities.coding)
        self._begin_call()

    def serve(self) -> None:
        """From opening the device to its loss."""
        config = self._config
        port = ModemPort(config.device, config.baud, self.wait, self._timing.answer_s)
        try:
            wanted = Wanted(config.device, config.baud, config.init, duplex=config.duplex)
            self.abilities = port.bring_up(wanted, lambda: self.stopping)
            self._player.begin(by_modem=config.dtmf_by_modem)
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
        self._next_poll = time.monotonic() + self._timing.poll_s
        volts = port.command("AT-TRV").volts if self.abilities.volts else None
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
        elif self.wait(port.fd, left) and port.rang():
            self._rang_at = time.monotonic()

    # --- orders ---

    def _begin_call(self) -> None:
        self._audio.begin()
        self._restarts = 0
        self._heard_at = 0.0
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
            case Voice(on) if self.abilities.duplex:
                self._audio.voice(on=on)
            case Voice(on):
                if on:
                    log.warning("listen-in without sound: this modem cannot send while it listens")

    def _seize(self, port: ModemPort, *, force: bool) -> None:
        self._begin_call()
        if self.abilities.volts:
            volts = port.command("AT-TRV").volts
            if volts is not None and volts < NO_VOLTS:
                self.tell_status(False, "no_voltage")
                self.tell(NoLine("no_voltage"))
                return
            if volts is not None and volts < IN_USE_VOLTS and not force:
                self.tell(NoLine("in_use"))
                return
        if time.monotonic() - self._rang_at < RINGS_S:
            self._turn_away(port)
        why = self._lift(port)
        if why is not None:
            self.tell(why)
            return
        self.in_call = True
        if self._begin_hearing(port):
            self.tell(Seized())

    def _lift(self, port: ModemPort) -> LineInput | None:
        """Off-hook; else why not."""
        reply = port.command("AT+VLS=1")
        if reply.result is Result.ERROR:
            for text in self.abilities.voice_mode:
                port.command(text)
            reply = port.command("AT+VLS=1")
        if reply.result is Result.ERROR:  # not every modem knows it
            reply = port.command("ATH1")
        if reply.ok:
            return None
        why = _REFUSED.get(reply.result) if reply.result is not None else None
        return why if isinstance(why, NoLine) else NoLine("modem_error")

    def _turn_away(self, port: ModemPort) -> None:
        """Somebody is calling us: to lift is to answer. Hang up on them; the line is ours then."""
        self._rang_at = -RINGS_S
        if self._lift(port) is None:
            self._hang_up(port)
            self._pause(HUNG_UP_S)

    def _dial(self, port: ModemPort, number: str, *, pulse: bool) -> None:
        self._end_hearing(port)
        # the tone that was heard may be waited for again; without one, dialling is the machine's
        # decision and the modem must not refuse it
        tones = "X4" if self._dial_tone else "X3"
        pauses = 2.0 * number.count(",")
        within_s = DIAL_S + DIGIT_S * len(number) + pauses
        text = f"AT{tones}D{'P' if pulse else 'T'}{number};"
        reply = port.command(text, within_s, lambda: self.hurried)
        if reply.ok:
            self._audio.dialled()
            if self._begin_hearing(port):
                self.tell(Dialled())
        elif not self.hurried:
            self._refused(port, reply, Failed("timeout"))

    def _refused(self, port: ModemPort, reply: Reply, otherwise: LineInput) -> None:
        """The call is over by what the modem says."""
        if reply.result is Result.BLACKLISTED:
            log.warning(
                "%s refuses to dial: too many calls failed (rule of its country setting, AT+GCI); "
                "see its manual for how to clear that list",
                self._config.device,
            )
        why = _REFUSED.get(reply.result, otherwise) if reply.result is not None else otherwise
        self._over(port, why)

    def _over(self, port: ModemPort, why: LineInput) -> None:
        self._audio.silence()
        if self.in_call:
            self.in_call = False
            self.tell(why)
        self._next_poll = 0.0  # has the line gone?
        self._hang_up(port)

    def _hang_up(self, port: ModemPort) -> None:
        self._end_hearing(port)
        if port.owed:
            port.write(b"\r")  # breaks off a dialling or +VTS that is under way
            port.answer(END_S)
        if port.command("ATH").ok or port.command("ATH").ok:
            return
        raise LineGoneError("modem_gone", f"{self._config.device}: does not hang up")

    # --- hearing ---

    def _begin_hearing(self, port: ModemPort) -> bool:
        duplex = self.abilities.duplex
        reply = port.command("AT+VTR" if duplex else "AT+VRX")
        if duplex and reply.result is Result.ERROR:
            duplex = False
            reply = port.command("AT+VRX")
        if reply.result is None:
            raise LineGoneError("modem_gone", f"{self._config.device}: no answer in a call")
        if reply.result is not Result.CONNECT:
            self._ended_by_modem(port, reply)
            return False
        self.abilities = replace(self.abilities, duplex=duplex)
        self._unpack = Unpack(self.abilities.coding)
        self._heard_at = time.monotonic()
        if self.abilities.duplex and self.abilities.coding is not Coding.LINEAR_8:
            self._write_samples(port, self._lead)
        return True

    def _end_hearing(self, port: ModemPort) -> None:
        if not port.streaming:
            return
        for escape in LEAVE_DUPLEX if self.abilities.duplex else LEAVE_HEARING:
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
        if not self.in_call:
            return
        if ended:
            self._ended_by_modem(port, port.answer(END_S))
        elif time.monotonic() - self._heard_at > STALL_S:
            # it fell silent, or a broken byte hid the end of its stream
            self.stalls += 1
            last = port.last_words()
            self._end_hearing(port)
            self._ended_by_modem(port, last)

    def _heard(self, port: ModemPort, audio: bytes) -> None:
        self._heard_at = time.monotonic()
        pcm = self._unpack.feed(audio)
        if self._unpack.coding is not self.abilities.coding:
            self.abilities = replace(self.abilities, coding=self._unpack.coding)
            if self.abilities.duplex:  # now that its zero is known
                self._write_samples(port, self._lead)
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
            self._played_at = self._samples + self._lead

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
        if reply.result is Result.NO_ANSWER:
            self._over(port, Dropped("no_carrier"))
        elif reply.result in _REFUSED and reply.result is not Result.ERROR:
            self._refused(port, reply, Failed("modem_error"))
        elif self._restarts < RESTARTS:
            self._restarts += 1
            self._begin_hearing(port)
        else:
            self._over(port, Failed("modem_error"))

    # --- playing ---

    def _play(self, port: ModemPort, what: tuple[Playable, ...]) -> None:
        if self.abilities.duplex:
            self._audio.play(what)
            return
        self._end_hearing(port)
        if self._player.play(port, what, self.abilities.coding):
            if self._begin_hearing(port):
                self.tell(Played())
        elif not self.hurried:
            self._over(port, Failed("modem_error"))

    def _pause(self, seconds: float) -> None:
        """Unless hurried."""
        until = time.monotonic() + seconds / self._timing.speed
        while not self.hurried and (left := until - time.monotonic()) > 0:
            self.wait(None, left)
