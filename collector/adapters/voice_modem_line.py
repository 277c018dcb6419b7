"""A telephone line behind a serial voice modem at the centre: it rings, is answered, is heard.

Two ways, by what the modem takes (protocols/voice_modem): full duplex (+VTR), or half duplex,
where it listens (+VRX) except while it plays (+VTX). Everything runs in the receiver's event loop
and never waits in it; a call is the same LineCall as on an AudioSocket line. While a half-duplex
modem plays, the call machine's time goes on by silence.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from collector.adapters.receiver_config import ModemConfig
from collector.adapters.reception_call import SILENCE, LineCall
from collector.adapters.voice_modem_hearing import FRAME_S, Hearing
from collector.adapters.voice_modem_port import ModemGoneError, VoiceModemPort
from protocols.tones.elements import RATE_HZ
from protocols.voice_modem.answers import Reply, Result
from protocols.voice_modem.bringing_up import Abilities, Wanted
from protocols.voice_modem.device import DRAIN_S, STALL_S
from protocols.voice_modem.samples import Coding, Pcm, to_bytes
from protocols.voice_modem.stream import (
    CANCEL,
    END,
    LEAVE_ANY,
    LEAVE_DUPLEX,
    LEAVE_HEARING,
    shield,
)

LEAD: Final = np.zeros(RATE_HZ // 10, np.int16)
"""Samples the modem has in hand in full duplex, so that a late beat makes no hole."""
AHEAD_S: Final = 0.4
"""So much is written ahead in half duplex."""
FILL_AFTER_S: Final = 0.2
"""Audio that does not come for so long is replaced by silence."""
POLL_S: Final = 10.0
"""So often an idle modem is asked for its line, and whether it is there."""
NO_VOLTS: Final = 3.0
RING_GAP_S: Final = 10.0
"""Longer than the pause between two rings in any country's cadence: the caller gave up."""
ANSWER_S: Final = 10.0
END_S: Final = 1.0
MUTE_CALLS: Final = 3
"""So many calls in a row in which it would not play: it cannot."""
RETRY_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Pauses between attempts to open the modem; the last one for ever."""
OpenCall = Callable[[str, str, str], LineCall]
"""(line, call's id, caller) -> the driver of the call that begins."""
OnState = Callable[[str, bool, str], None]
"""(line, up, cause)."""


class VoiceModemLine:
    """One modem. `on_state` is told when the line is there and when not; `on_fault` what a person
    should know. Must be started in the event loop that owns the calls.
    """

    def __init__(
        self,
        config: ModemConfig,
        open_call: OpenCall,
        on_state: OnState,
        *,
        on_fault: Callable[[str], None] = lambda _text: None,
        poll_s: float = POLL_S,
    ) -> None:
        self.name = config.name
        self.device = config.device
        self.state = "starting"
        """For a status line: idle, ringing, busy, or `down: <cause>`."""
        self.counts: Counter[str] = Counter()
        """Calls taken and what went wrong, by reason; `slowest switch ms`: half duplex, from
        hearing to playing or back.
        """
        self.abilities = Abilities()
        self._config = config
        self._wanted = Wanted(
            config.device, config.baud, config.init, duplex=config.duplex, caller_id=True
        )
        self._open_call = open_call
        self._on_state = on_state
        self._on_fault = on_fault
        self._poll_s = poll_s
        self._told: bool | None = None
        self._mute = 0
        self._tried = 0
        self._hearing: Hearing | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """A call is in progress."""
        return self._hearing is not None

    def start(self) -> None:
        """Open the modem, for ever retrying, until `stop`."""
        self._loop = asyncio.get_running_loop()
        self._task = self._loop.create_task(self._run(), name=f"modem-{self.name}")

    async def stop(self) -> None:
        """End the call, hang up, let go of the device."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    # --- the device ---

    async def _run(self) -> None:
        while True:
            try:
                await self._serve()
            except ModemGoneError as gone:
                self._down(gone.cause, str(gone))
            except Exception as error:  # noqa: BLE001 - a fault of ours must not silence the line
                self.counts["faults of ours"] += 1
                self._down("adapter_fault", f"adapter_fault: {error!r}")
            await asyncio.sleep(RETRY_S[min(self._tried, len(RETRY_S) - 1)])
            self._tried += 1

    async def _serve(self) -> None:
        """From opening the device to its loss."""
        port = await VoiceModemPort.open(self._config.device, self._config.baud)
        ended = "the modem is gone"
        try:
            self.abilities = await port.bring_up(self._wanted)
            self._tried = 0
            await self._look(port)
            while True:
                caller = await self._rung(port)
                await self._take(port, caller)
        except asyncio.CancelledError:
            ended = "the receiver stops"
            with contextlib.suppress(ModemGoneError):
                port.write(LEAVE_ANY + b"ATH\r")
            raise
        finally:
            self._end_call(ended)
            await port.close()

    def _up(self) -> None:
        if not self.busy:
            self.state = "idle"
        if self._told is not True:
            self._told = True
            self._on_state(self.name, True, "")

    def _down(self, cause: str, text: str) -> None:
        self.state = f"down: {cause}"
        if self._told is not False:
            self._told = False
            self.counts["times down"] += 1
            self._on_state(self.name, False, cause)
            self._on_fault(f"modem {self.name}: {text}")

    async def _look(self, port: VoiceModemPort) -> None:
        """Is the line there, and is the modem?"""
        volts = (await port.command("AT-TRV")).volts if self.abilities.volts else None
        if volts is not None:
            if volts >= NO_VOLTS:
                self._up()
            else:
                self._down("no_voltage", f"{volts} V: no telephone line at the modem")
            return
        if not ((await port.command("AT")).ok or (await port.command("AT")).ok):
            raise ModemGoneError("modem_gone", f"{self.device}: does not answer")
        if not self.abilities.volts:
            self._up()

    # --- ringing and answering ---

    async def _rung(self, port: VoiceModemPort) -> str:
        """Wait for a call; the caller's number, empty when it did not come."""
        rings, caller = 0, ""
        now = self._loop.time()
        rang_at, look_at = now, now + self._poll_s
        while True:
            fresh, number = port.rung()
            if fresh:
                rings, rang_at = rings + fresh, self._loop.time()
                self.state = "ringing"
            caller = caller if number is None else number
            if rings >= self._config.rings:
                return caller
            now = self._loop.time()
            if rings and now - rang_at > RING_GAP_S:
                self.counts["rang in vain"] += 1
                rings, caller, self.state = 0, "", "idle"
            if not rings and now >= look_at:
                await self._look(port)
                look_at = self._loop.time() + self._poll_s
            else:
                await port.more(RING_GAP_S if rings else look_at - now)

    async def _take(self, port: VoiceModemPort, caller: str) -> None:
        """One call from answering to hanging up."""
        if not await self._answered(port):
            self.counts["not answered"] += 1
            await self._hang_up(port)
            return
        self.counts["calls"] += 1
        self._up()  # who rings has a line
        self.state = "busy"
        call = self._open_call(self.name, secrets.token_hex(8), caller)
        hearing = self._hearing = Hearing(call, self.abilities.coding, self._loop.time())
        call.answered()
        try:
            cause = await self._begin(port, hearing)
            while not cause and not hearing.over:
                sound = None if self.abilities.duplex else call.sound()
                if sound is None:
                    cause = await self._listen(port, hearing)
                else:
                    cause = await self._play(port, hearing, sound)
        except ModemGoneError:
            raise
        except Exception as error:  # noqa: BLE001 - it ends this call only
            self.counts["faults of ours"] += 1
            self._on_fault(f"a call on modem {self.name} failed: {error!r}")
            cause = "fault of the receiver"
        self._end_call(cause)
        await self._hang_up(port)
        self.state = "idle"

    async def _answered(self, port: VoiceModemPort) -> bool:
        """Off-hook, in voice."""
        if (await port.command("AT+VLS=1")).ok:
            return True
        for text in self.abilities.voice_mode:
            await port.command(text)
        return (await port.command("AT+VLS=1")).ok or (await port.command("ATA", ANSWER_S)).ok

    def _end_call(self, cause: str) -> None:
        if self._hearing is not None:
            self._hearing.call.hung_up(cause)
            self._hearing = None

    async def _hang_up(self, port: VoiceModemPort) -> None:
        if port.streaming:
            await self._leave(port)
        if (await port.command("ATH")).ok or (await port.command("ATH")).ok:
            return
        raise ModemGoneError("modem_gone", f"{self.device}: does not hang up")

    # --- audio; these return why the call is over, or nothing ---

    async def _begin(self, port: VoiceModemPort, hearing: Hearing) -> str:
        """Begin a stream in which the line is heard."""
        duplex = self.abilities.duplex
        reply = await port.command("AT+VTR" if duplex else "AT+VRX")
        if duplex and reply.result is Result.ERROR:
            duplex = False
            reply = await port.command("AT+VRX")
        if reply.result is not Result.CONNECT:
            return _refused(reply)
        self.abilities = replace(self.abilities, duplex=duplex)
        hearing.stream_begins()
        if duplex and self.abilities.coding is not Coding.LINEAR_8:
            self._write(port, LEAD)
        return ""

    async def _leave(self, port: VoiceModemPort) -> None:
        """Out of the stream, whichever it is."""
        for escape in LEAVE_DUPLEX if self.abilities.duplex else LEAVE_HEARING:
            port.write(escape)
            if await port.pass_over_stream(END_S):
                await port.answer(END_S)
                return
        port.leave_stream()

    async def _listen(self, port: VoiceModemPort, hearing: Hearing) -> str:
        audio, codes, ended = await port.stream(FILL_AFTER_S)
        now = self._loop.time()
        if audio:
            frames = hearing.audio(audio, now)
            if hearing.coding is not self.abilities.coding:
                self.abilities = replace(self.abilities, coding=hearing.coding)
                if self.abilities.duplex:  # now that its zero is known
                    self._write(port, LEAD)
            for frame in frames:
                hearing.frame(frame)
                if self.abilities.duplex:
                    sound = hearing.call.sound()
                    self._write(port, SILENCE if sound is None else sound)
            if hearing.too_fast:
                raise ModemGoneError("modem_error", f"{self.device}: audio faster than time")
        elif now - hearing.came_at > STALL_S:
            last = port.last_words()
            if last.result is not None:  # back to words without saying so
                return _refused(last)
            raise ModemGoneError("modem_gone", f"{self.device}: no audio in a call")
        else:
            hearing.quiet(now - FILL_AFTER_S)
        cause = self._events(codes, hearing)
        if ended and not cause:
            cause = _refused(await port.answer(END_S))
        return cause

    async def _play(self, port: VoiceModemPort, hearing: Hearing, first: Pcm) -> str:
        """Half duplex: all that is to be sounded now, then hearing again."""
        turned_at = self._loop.time()
        await self._leave(port)
        reply = await port.command("AT+VTX")
        began = self._loop.time()
        if reply.result is not Result.CONNECT:
            return self._mute_or(reply)
        self._mute = 0
        self._switched(began - turned_at)
        sound: Pcm | None = first
        written_s, cause = 0.0, ""
        while sound is not None and not cause and not hearing.over:
            self._write(port, sound)
            written_s += FRAME_S
            early_s = written_s - AHEAD_S - (self._loop.time() - began)
            if early_s > 0:
                _, codes, ended = await port.stream(early_s)
                cause = self._events(codes, hearing)
                if ended:
                    return cause or _refused(await port.answer(END_S))
            hearing.quiet(self._loop.time())
            sound = hearing.call.sound()
        port.write(CANCEL + END if cause else END)
        port.leave_stream()
        # It has played what it had in hand: <DLE><ETX> and OK, or VCON alone.
        reply = await port.answer(max(0.0, written_s - (self._loop.time() - began)) + DRAIN_S)
        if cause or not reply.ok:
            return cause or _refused(reply)
        turned_at = self._loop.time()
        cause = await self._begin(port, hearing)
        self._switched(self._loop.time() - turned_at)
        hearing.quiet(self._loop.time())
        hearing.came_at = self._loop.time()
        return cause

    def _mute_or(self, reply: Reply) -> str:
        """+VTX was refused: why the call is over, unless this modem never plays at all."""
        self._mute += reply.result is Result.ERROR
        if self._mute >= MUTE_CALLS:
            self._mute = 0
            raise ModemGoneError("modem_error", f"{self.device}: plays neither by +VTR nor +VTX")
        return _refused(reply)

    def _write(self, port: VoiceModemPort, pcm: Pcm) -> None:
        port.write(shield(to_bytes(pcm, self.abilities.coding)))

    def _events(self, codes: bytes, hearing: Hearing) -> str:
        for code in codes.decode("latin-1"):
            match code:
                case "o" | "u":
                    self.counts["audio lost by the modem"] += 1
                case "l":
                    return "the line's current was interrupted"
                case "b":
                    hearing.suspected = "the caller hung up: busy tone"
                case "d":
                    hearing.suspected = "the caller hung up: dial tone"
                case "s" | "q" if hearing.call.record.stored:
                    # before anything came, a panel may well wait in silence for its handshake
                    hearing.suspected = "silence"
        return "" if hearing.lately else hearing.suspected

    def _switched(self, took_s: float) -> None:
        name = "slowest switch ms"
        self.counts[name] = max(self.counts[name], round(took_s * 1000))


def _refused(reply: Reply) -> str:
    match reply.result:
        case Result.NO_CARRIER | Result.BUSY:
            return f"the caller hung up: {reply.result.value}"
        case None:
            return "the modem gave no answer"
        case _:
            return f"the modem ended the audio: {reply.result.value}"
