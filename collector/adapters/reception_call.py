"""One call on one line: the call machine with its audio, player, recording and log entry.

Every kind of line (AudioSocket, modem) drives a LineCall frame by frame; what the machine wants
done that is not sound goes to a Keeper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from collector.reception.call import Call
from collector.reception.call_types import (
    Answered,
    Behind,
    Effect,
    HangUp,
    HungUp,
    Learned,
    LeaveToVoice,
    Play,
    Refused,
    Reported,
    Store,
    Stored,
    StoreFailed,
    Unrecognised,
)
from protocols.audiosocket import Kind
from protocols.instants import NS_PER_MS, Instant, UtcTime
from protocols.tones.elements import FRAME_MS, FRAME_SAMPLES, DigitHeard, Heard
from protocols.tones.synthesis import Player

Samples = NDArray[np.int16]
RECORD_MOST_S: Final = 120
_MOST_FRAMES: Final = RECORD_MOST_S * 1000 // FRAME_MS
SILENCE: Final = np.zeros(FRAME_SAMPLES, np.int16)


@dataclass(slots=True)
class CallRecord:
    """What is known of a call, for the log. `refused` holds the first of them only."""

    call: str
    line: str
    caller: str
    began: UtcTime
    ended: UtcTime | None = None
    cause: str = ""
    tried: tuple[str, ...] = ()
    heard: str = ""
    formats: list[str] = field(default_factory=list)
    stored: int = 0
    kissed: int = 0
    failed: int = 0
    refused: list[str] = field(default_factory=list)
    unrecognised: str = ""
    audio: str = ""


class Keeper(Protocol):
    """Who keeps what a call brings."""

    def store(
        self, record: CallRecord, reports: Sequence[Reported], done: Callable[[str], None]
    ) -> None:
        """Keep durably, then call `done("")`, or `done(why)`, in the line's own thread."""
        ...

    def learned(self, learned: Learned) -> None:
        """Remember what worked for a caller."""
        ...

    def ended(
        self, record: CallRecord, unrecognised: Unrecognised | None, audio: Sequence[bytes]
    ) -> None:
        """The call is over. `audio`: int16 little endian, when nothing was recognised."""
        ...

    def may_record(self, frames: int) -> bool:
        """Whether so much more audio may be held in memory for recording; negative: given back."""
        ...


class LineCall:
    """Drives one Call. All methods in one thread. `left` becomes True when the line is to be let
    go, with a frame of kind `parting`: after HANGUP an exchange goes on with the call as it is set
    to (Asterisk: the next line of the dialplan), after ERROR it ends it. So where listening in is
    to go back to the exchange, only that parts with HANGUP.
    """

    def __init__(
        self,
        call: Call,
        record: CallRecord,
        keeper: Keeper,
        utc: Callable[[], UtcTime],
        *,
        release_to_voice: bool = False,
    ) -> None:
        self._call = call
        self.record = record
        self._keeper = keeper
        self._utc = utc
        self._release = release_to_voice
        self._player = Player()
        self._clock_ms = 0
        self._frames: list[bytes] | None = []
        self._unrecognised: Unrecognised | None = None
        self._behind = False
        self._digit_frames: bool | None = None
        self._over = False
        self.left = False
        self.parting = Kind.ERROR if release_to_voice else Kind.HANGUP

    @property
    def over(self) -> bool:
        """The call is over and was handed to the keeper."""
        return self._over

    def answered(self) -> None:
        """Audio flows."""
        self._do(self._call.receive(Answered(), self._now()))

    def behind(self, ms: int) -> None:
        """The next frame was played so long ago."""
        behind = ms > FRAME_MS * 5
        if behind or self._behind:
            self._behind = behind
            self._do(self._call.receive(Behind(ms if behind else 0), self._now()))

    def frame(self, audio: bytes, heard: Sequence[Heard]) -> None:
        """One frame of 20 ms passed, and what was heard by its end."""
        self._clock_ms += FRAME_MS
        self._keep(audio)
        for each in heard:
            if isinstance(each, DigitHeard):
                if self._digit_frames:
                    continue
                self._digit_frames = False
            self._do(self._call.receive(each, self._now()))
        deadline = self._call.deadline()
        if deadline is not None and deadline <= self._now():
            self._do(self._call.tick(self._now()))

    def digit_frame(self, key: str) -> None:
        """The exchange told a digit by itself instead of leaving it in the audio (AudioSocket kind
        3). Whichever comes first in a call, audio or frames, is used for all of it.
        """
        if self._digit_frames is False:
            return
        self._digit_frames = True
        start = max(0, self._clock_ms - 50)
        self._do(self._call.receive(DigitHeard(key, start, self._clock_ms), self._now()))

    def sound(self) -> Samples | None:
        """The next 20 ms to be sent; None: silence."""
        return None if self._player.idle else self._player.read(FRAME_SAMPLES)

    def hung_up(self, cause: str) -> None:
        """The far end is gone."""
        if not self._over:
            self._do(self._call.receive(HungUp(cause), self._now()))
            self._finish(cause)

    def _now(self) -> Instant:
        return Instant(self._clock_ms * NS_PER_MS)

    def _keep(self, audio: bytes) -> None:
        if self._frames is None:
            return
        if len(self._frames) < _MOST_FRAMES and self._keeper.may_record(1):
            self._frames.append(audio)

    def _forget_audio(self) -> None:
        if self._frames is not None:
            self._keeper.may_record(-len(self._frames))
            self._frames = None

    def _do(self, effects: Sequence[Effect]) -> None:
        record = self.record
        for effect in effects:
            match effect:
                case Play(sound):
                    self._player.clear()
                    self._player.play(sound)
                case Store(token, reports):
                    self._keeper.store(record, reports, self._store_done(token, reports))
                case Learned():
                    self._keeper.learned(effect)
                case Refused(reason, raw, _):
                    record.failed += 1
                    if len(record.refused) < 8:
                        record.refused.append(f"{reason}: {raw[:64]}")
                case Unrecognised():
                    self._unrecognised = effect
                case LeaveToVoice():
                    if self._release:
                        self.left, self.parting = True, Kind.HANGUP
                case HangUp(cause):
                    self.left = True
                    self._finish(cause)

    def _store_done(self, token: int, reports: Sequence[Reported]) -> Callable[[str], None]:
        def done(why: str) -> None:
            if not why:
                self.record.stored += len(reports)
                for each in reports:
                    if each.format not in self.record.formats:
                        self.record.formats.append(each.format)
            if self._over:
                return
            if why:
                self._do(self._call.receive(StoreFailed(token, why), self._now()))
                return
            self._forget_audio()
            effects = self._call.receive(Stored(token), self._now())
            if any(isinstance(each, Play) for each in effects):
                self.record.kissed += len(reports)
            self._do(effects)

        return done

    def _finish(self, cause: str) -> None:
        if self._over:
            return
        self._over = True
        record = self.record
        record.ended, record.cause = self._utc(), cause
        record.tried, record.heard = self._call.tried, self._call.heard
        frames = self._frames or []
        if self._unrecognised is not None:
            record.unrecognised = self._unrecognised.reason
        self._keeper.ended(record, self._unrecognised, frames)
        self._forget_audio()
