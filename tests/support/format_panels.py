"""Panels of every phone format as audio: they hear handshake and acknowledgement by their own ear,
send by their own voice, and repeat what was not acknowledged. `Speaking` is one end of a sample
clock's call; `over_audiosocket` takes the same end to a receiver process, by the clock.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from collector.reception.sounding import lasts_s
from protocols.audiosocket import Kind, Reader, call_id, encode
from protocols.contact_id import dc03, message, pulse
from protocols.tones.ear import Ear
from protocols.tones.elements import (
    FRAME_MS,
    FRAME_SAMPLES,
    Digits,
    Fsk,
    FskHeard,
    FskKind,
    Heard,
    Playable,
    Pulses,
    Silence,
    ToneHeard,
)
from protocols.tones.listening import Listen
from protocols.tones.synthesis import NOMINAL, Player, Voicing

Samples = NDArray[np.int16]
Sound = tuple[Playable, ...]
TRIES = 4
ANSWERING = {
    FskKind.BELL103_ORIGINATE: FskKind.BELL103_ANSWER,
    FskKind.V21_ORIGINATE: FskKind.V21_ANSWER,
}


class FormatPanel(Protocol):
    """`acknowledged` and `sent` count messages and sendings; `over`: nothing more to do."""

    acknowledged: int
    sent: int
    over: bool

    @property
    def listens(self) -> Listen: ...

    def hear(self, heard: Heard, now_ms: int) -> None: ...

    def tick(self, now_ms: int) -> Sound:
        """What begins to sound now."""
        ...


@dataclass
class Repeating:
    """Sends `messages` one after the other, each until it is acknowledged, at most TRIES times."""

    messages: Sequence[Sound]
    patience_ms: int = 1250
    pause_ms: int = 275
    acknowledged: int = 0
    sent: int = 0
    over: bool = False
    _tries: int = 0
    _send_at: int | None = None
    _until: int | None = None

    @property
    def invited(self) -> bool:
        return self.sent > 0 or self._send_at is not None

    @property
    def waiting(self) -> bool:
        return self._until is not None

    def invite(self, now_ms: int) -> None:
        self._send_at = now_ms + self.pause_ms

    def acknowledge(self, now_ms: int) -> None:
        self.acknowledged += 1
        self._tries, self._until = 0, None
        self.over = self.acknowledged == len(self.messages)
        self._send_at = None if self.over else now_ms + self.pause_ms

    def tick(self, now_ms: int) -> Sound:
        if self._until is not None and now_ms >= self._until:
            self._until = None
            self.over = self._tries >= TRIES
            self._send_at = now_ms
        if self.over or self._send_at is None or now_ms < self._send_at:
            return ()
        sound = self.messages[self.acknowledged]
        self.sent += 1
        self._tries += 1
        self._send_at = None
        self._until = now_ms + round(1000 * lasts_s(sound)) + self.patience_ms
        return sound


@dataclass
class TonePanel(Repeating):
    """DTMF and pulse formats: the end of a tone of `invites_hz`, `shortest_ms` to 700 ms long,
    invites; one of `kiss_hz` of 400 ms or more acknowledges.
    """

    invites_hz: int = 2300
    shortest_ms: int = 60
    kiss_hz: int = 1400
    listens: Listen = field(default_factory=lambda: Listen(tones_hz=(1400, 2300)))

    def hear(self, heard: Heard, now_ms: int) -> None:
        if not isinstance(heard, ToneHeard) or heard.on:
            return
        invites = heard.hz == self.invites_hz and self.shortest_ms <= heard.lasted_ms < 700
        if not self.invited and invites:
            self.invite(now_ms)
        elif self.waiting and heard.hz == self.kiss_hz and heard.lasted_ms >= 400:
            self.acknowledge(now_ms)


@dataclass
class SiaPanel(Repeating):
    """SIA DC-03 over FSK: half a second of the answering carrier invites; a block of the receiver,
    or a tone of `ack_hz` where that is set, acknowledges a message.
    """

    kind: FskKind = FskKind.BELL103_ORIGINATE
    baud: int = 300
    setting: dc03.Setting = field(default_factory=dc03.Setting)
    ack_hz: int | None = None
    refusals: list[str] = field(default_factory=list)
    _reader: dc03.Reader = field(default_factory=dc03.Reader)
    _carrier_ms: int | None = None

    def __post_init__(self) -> None:
        functions = self.setting.functions + self.setting.accepted
        self._reader = dc03.Reader(replace(self.setting, functions=functions))

    @property
    def listens(self) -> Listen:
        answer = ANSWERING[self.kind]
        mark_hz, _ = answer.value
        tones = (mark_hz,) if self.ack_hz is None else (mark_hz, self.ack_hz)
        return Listen(tones_hz=tones, fsk=((answer, self.baud),))

    def hear(self, heard: Heard, now_ms: int) -> None:
        mark_hz, _ = ANSWERING[self.kind].value
        match heard:
            case ToneHeard(hz, on) if hz == mark_hz and not self.invited:
                self._carrier_ms = now_ms if on else None
            case ToneHeard(hz, False, _, lasted_ms) if hz == self.ack_hz and lasted_ms >= 100:
                if self.waiting:
                    self.acknowledge(now_ms)
            case FskHeard(data) if self.ack_hz is None:
                for each in self._reader.feed(data):
                    self._block(each, now_ms)

    def _block(self, block: dc03.Block | message.Refusal, now_ms: int) -> None:
        if isinstance(block, message.Refusal):
            self.refusals.append(block.reason)
            self._reader.quiet()
        elif self.waiting and block.function == self.setting.accepted:
            self.acknowledge(now_ms)

    def tick(self, now_ms: int) -> Sound:
        if self._carrier_ms is not None and now_ms >= self._carrier_ms + 500:
            self._carrier_ms = None
            self.invite(now_ms)
        sound = super().tick(now_ms)
        if sound:
            self._reader.quiet()
        return sound


def dtmf(digits: str, on_ms: int = 50, off_ms: int = 50) -> Sound:
    """A block of hex digits."""
    return (Digits(message.keys_of(digits), on_ms, off_ms),)


def pulsed(rounds: Sequence[str], hz: int, per_s: int) -> Sound:
    """Rounds of pulse digits; 400 ms or six pulses between digits, thrice that between rounds."""
    gap_ms = max(400, 6000 // per_s)
    sounds: list[Playable] = []
    for digits in rounds:
        for count in pulse.pulses_of(digits):
            sounds += [Pulses(count, hz, per_s), Silence(gap_ms)]
        sounds.append(Silence(2 * gap_ms))
    while sounds and isinstance(sounds[-1], Silence):
        sounds.pop()
    return tuple(sounds)


def sia(
    blocks: Sequence[tuple[str, bytes]],
    kind: FskKind = FskKind.BELL103_ORIGINATE,
    baud: int = 300,
    setting: dc03.Setting | None = None,
) -> Sound:
    """Blocks (function, payload) in one transmission."""
    whole = (setting or dc03.Setting()).parity
    data = b"".join(dc03.encode(dc03.Block(letter, text), whole) for letter, text in blocks)
    return (Fsk(data, kind, baud, lead_ms=300),)


class Speaking:
    """A FormatPanel with ear and voice, 20 ms at a time."""

    def __init__(self, panel: FormatPanel, voicing: Voicing = NOMINAL) -> None:
        self.panel = panel
        self._ear = Ear(panel.listens)
        self._player = Player(voicing)
        self._now_ms = 0
        self._gone = False

    @property
    def over(self) -> bool:
        """It has hung up."""
        return self._gone or (self.panel.over and self._player.idle)

    def hung_up(self) -> None:
        """The receiver has."""
        self._gone = True

    def frame(self, heard: Samples) -> Samples:
        """20 ms."""
        self._now_ms += FRAME_MS
        for each in self._ear.feed(heard):
            self.panel.hear(each, self._now_ms)
        self._player.play(self.panel.tick(self._now_ms))
        return self._player.read(FRAME_SAMPLES)


async def over_audiosocket(end: Speaking, port: int, caller: str, most_s: float = 60.0) -> None:
    """One call to a receiver on this machine."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard: deque[bytes] = deque()
    listening = asyncio.create_task(_listen(reader, end, heard))
    writer.write(encode(Kind.ID, call_id(caller, os.urandom(8)).bytes))
    due = time.monotonic()
    latest = due + most_s
    try:
        while not end.over and not listening.done() and due < latest:
            frame = heard.popleft() if heard else bytes(2 * FRAME_SAMPLES)
            said = end.frame(np.frombuffer(frame, "<i2").astype(np.int16))
            writer.write(encode(Kind.AUDIO, said.astype("<i2").tobytes()))
            due += FRAME_MS / 1000
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        if not writer.is_closing():
            writer.write(encode(Kind.HANGUP))
            await writer.drain()
    except ConnectionError:
        end.hung_up()
    finally:
        listening.cancel()
        writer.close()


async def _listen(reader: asyncio.StreamReader, end: Speaking, heard: deque[bytes]) -> None:
    frames = Reader()
    while data := await reader.read(65_536):
        for frame in frames.feed(data):
            if frame.kind == Kind.AUDIO:
                heard.append(frame.payload)
            elif frame.kind == Kind.HANGUP:
                end.hung_up()
