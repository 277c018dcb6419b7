"""One phone call: from off-hook to on-hook, any number of Contact ID blocks in between.

The caller decides what goes next, at each `Ready`: the call knows digits, tones and times only.
"""

from __future__ import annotations

from typing import Final

from edge.reporting.phone.call_types import (
    Block,
    CallEffect,
    CallTimes,
    Cause,
    Ended,
    Kissed,
    Note,
    Order,
    Ready,
    Sending,
    Step,
)
from edge.reporting.phone.ear import HandshakeEar, KissOffEar
from edge.reporting.phone.line import (
    Busy,
    Connected,
    Dial,
    Dialled,
    Dropped,
    Failed,
    LineInput,
    LineStatus,
    NoLine,
    Play,
    Played,
    Release,
    Released,
    Seize,
    Seized,
    Voice,
)
from protocols.contact_id.message import keys_of
from protocols.instants import NS_PER_MS, NS_PER_S, Instant, later
from protocols.tones.elements import DigitHeard, Digits, Progress, ProgressHeard, ToneHeard

SEIZE_S: Final = 6.0
DIAL_S: Final = 40.0
PLAY_SLACK_S: Final = 5.0
RELEASE_S: Final = 6.0
SPEAK_S: Final = 4.0
"""So long after a block at the latest it is repeated, whatever tones there are."""
PLAYED_SLACK_MS: Final = 120
"""How late a line may tell that it has played: frames and buffers on the way out."""
RELEASE_KEY: Final = "#"
"""What the operator presses when listening-in may end."""
GONE_TONES: Final = (Progress.BUSY, Progress.CONGESTION, Progress.DIAL_TONE)
"""What the exchange plays when the far end has hung up."""


class Call:
    """A line's calls, one after the other. `up` between `start` and `Ended`."""

    def __init__(self, times: CallTimes) -> None:
        self._times = times
        self.step = Step.IDLE
        self._number = ""
        self._pulse = False
        self._due: Instant | None = None
        self._block: Block | None = None
        self._again = False
        self._tries = 0
        self._began = Instant(0)
        self._speak_at = Instant(0)
        self._ear = HandshakeEar()
        self._kiss = KissOffEar(times.kiss_heard_ms, times.kiss_longest_ms, PLAYED_SLACK_MS)
        self._tone_on = False
        self._talk_heard = False
        self._voice_heard = False
        self._rang = False
        self._answered = False
        self._end = Ended(Cause.GIVEN_UP)

    @property
    def up(self) -> bool:
        """A call is under way."""
        return self.step is not Step.IDLE

    # -- orders of the caller --------------------------------------------------------------------

    def start(
        self, number: str, now: Instant, *, force: bool = False, pulse: bool = False
    ) -> list[CallEffect]:
        """Go off-hook and dial; without a number: only see whether there is a dial tone."""
        self._number, self._pulse = number, pulse
        self._block, self._again, self._tries = None, False, 0
        self._ear = HandshakeEar()
        self._kiss.forget()
        self._tone_on = self._talk_heard = False
        self._voice_heard = self._rang = self._answered = False
        self._to(Step.SEIZING, later(now, SEIZE_S))
        return [Order(Seize(force))]

    def send(self, block: Block, now: Instant) -> list[CallEffect]:
        """After `Ready`: this block goes next, when the pause is over."""
        self._block, self._tries, self._again = block, 0, False
        return self.tick(now) if self.step is Step.READY else []

    def listen_in(self, until: Instant) -> list[CallEffect]:
        """After `Ready`: keep the line for voice, until then at the longest."""
        self._to(Step.VOICE, until)
        return [Note("voice"), Order(Voice(True))]

    def hang_up(
        self, now: Instant, cause: Cause = Cause.DONE, detail: str = ""
    ) -> list[CallEffect]:
        """End the call in whatever step it is."""
        if self.step in (Step.IDLE, Step.RELEASING):
            return []
        effects: list[CallEffect] = [Order(Voice(False))] if self.step is Step.VOICE else []
        self._end = Ended(cause, detail, self.step)
        self._to(Step.RELEASING, later(now, RELEASE_S))
        return [*effects, Order(Release())]

    # -- the line --------------------------------------------------------------------------------

    def receive(self, given: LineInput, now: Instant) -> list[CallEffect]:
        """What the line tells; nothing matters while no call is up."""
        if self.step is Step.IDLE:
            return []
        match given:
            case Released():
                return self._over() if self.step is Step.RELEASING else []
            case NoLine() | Dropped() | Failed():
                return self._lost(given, now)
            case LineStatus(present=False, cause=cause):
                return self.hang_up(now, Cause.LINE_CUT, cause or "absent")
            case Busy():
                return self._busy(now, "signalled")
            case ToneHeard():
                return self._tone(given, now)
            case DigitHeard(key=key) if self.step is Step.VOICE and key == RELEASE_KEY:
                return self.hang_up(now, Cause.DONE, f"listen-in ended: {key} heard")
            case ProgressHeard(progress=progress):
                return self._progress(progress, now)
            case Seized() | Dialled() | Connected() | Played():
                return self._advance(given, now)
            case _:
                return []

    def tick(self, now: Instant) -> list[CallEffect]:
        """Let time pass."""
        due = self.deadline()
        if due is None or now < due:
            return []
        match self.step:
            case Step.SEIZING:
                return self.hang_up(now, Cause.LINE_SILENT, "seize")
            case Step.DIAL_TONE:
                return self._no_dial_tone(now)
            case Step.DIALLING:
                return self.hang_up(now, Cause.LINE_SILENT, "dial")
            case Step.ANSWER:
                return self._unanswered(now)
            case Step.PAUSE:
                self._to(Step.READY, None)
                return self._play(now) if self._block is not None else []
            case Step.READY:
                return self._play(now)
            case Step.SENDING:
                return self.hang_up(now, Cause.LINE_SILENT, "play")
            case Step.KISS:
                return self._no_kiss(now)
            case Step.VOICE:
                return self.hang_up(now, Cause.DONE, "listen-in over")
            case _:  # RELEASING
                return self._over("not released")

    def deadline(self) -> Instant | None:
        """When `tick` is needed."""
        if self.step is Step.KISS:
            return self._kiss.stuck_at() or self._due
        if self.step is Step.READY and self._block is not None:
            return Instant(0)
        return self._due

    # -- setting up ------------------------------------------------------------------------------

    def _advance(
        self, given: Seized | Dialled | Connected | Played, now: Instant
    ) -> list[CallEffect]:
        match given:
            case Seized() if self.step is Step.SEIZING:
                self._to(Step.DIAL_TONE, later(now, self._times.dial_tone_s))
                return [Note("seized")]
            case Dialled() if self.step is Step.DIALLING:
                self._began = now
                self._to(Step.ANSWER, later(now, self._times.answer_s))
                return [Note("dialled", self._number)]
            case Connected() if self.step in (Step.DIALLING, Step.ANSWER) and not self._answered:
                self._answered = True
                self._to(Step.ANSWER, later(now, self._times.handshake_s))
                return [Note("answered")]
            case Played() if self.step is Step.SENDING and self._block is not None:
                self._kiss.block_ended(now)
                self._ear.forget()
                self._speak_at = later(now, SPEAK_S)
                self._to(Step.KISS, later(now, self._times.kiss_start_s))
                return []
            case _:
                return []

    def _no_dial_tone(self, now: Instant) -> list[CallEffect]:
        if self._times.blind and self._number:
            return [Note("dial_tone_missing", "dialled blind"), *self._dial(now)]
        if self._talk_heard:
            return self.hang_up(now, Cause.IN_USE, "somebody talks")
        return self.hang_up(now, Cause.NO_DIAL_TONE)

    def _dial(self, now: Instant) -> list[CallEffect]:
        self._to(Step.DIALLING, later(now, DIAL_S))
        return [Order(Dial(self._number, self._pulse))]

    def _progress(self, progress: Progress, now: Instant) -> list[CallEffect]:
        step = self.step
        if step is Step.DIAL_TONE:
            if progress is Progress.DIAL_TONE:
                if not self._number:
                    return [Note("dial_tone"), *self.hang_up(now, Cause.DONE, "checked")]
                return [Note("dial_tone"), *self._dial(now)]
            if progress in (Progress.BUSY, Progress.CONGESTION):
                return self.hang_up(now, Cause.NO_DIAL_TONE, progress.value)
            # A modem that cannot measure the line goes off-hook beside whoever telephones.
            self._talk_heard = self._talk_heard or progress is Progress.VOICE
            return []
        if step is Step.ANSWER:
            match progress:
                case Progress.BUSY | Progress.CONGESTION:
                    return self._busy(now, progress.value)
                case Progress.RINGING if not self._rang:
                    self._rang = True
                    return [Note("ringing")]
                case Progress.VOICE if not self._voice_heard:
                    self._voice_heard = True
                    patience = later(now, self._times.voice_s)
                    self._due = patience if self._due is None else min(self._due, patience)
                    return [Note("voice_heard")]
                case _:
                    return []
        if step in (Step.PAUSE, Step.READY, Step.KISS, Step.VOICE) and progress in GONE_TONES:
            if step is Step.VOICE:
                return self.hang_up(now, Cause.DONE, f"listen-in ended: {progress.value}")
            return self._drop(now, progress.value, release=True)
        return []

    def _busy(self, now: Instant, detail: str) -> list[CallEffect]:
        if self.step in (Step.SEIZING, Step.DIAL_TONE, Step.DIALLING, Step.ANSWER):
            return self.hang_up(now, Cause.BUSY, detail)
        return []

    def _unanswered(self, now: Instant) -> list[CallEffect]:
        if self._ear.singles:
            return self.hang_up(now, Cause.WRONG_HANDSHAKE, "single tones only")
        if self._voice_heard:
            return self.hang_up(now, Cause.VOICE_ANSWER)
        if self._answered:
            return self.hang_up(now, Cause.WRONG_HANDSHAKE, "silence")
        return self.hang_up(now, Cause.NO_ANSWER, "rang" if self._rang else "")

    # -- tones -----------------------------------------------------------------------------------

    def _tone(self, tone: ToneHeard, now: Instant) -> list[CallEffect]:
        self._tone_on = tone.on
        if self.step is Step.ANSWER:
            if not self._ear.hears(tone):
                return []
            waited_s = (now - self._began) / NS_PER_S
            self._pause(now)
            return [Note("handshake", f"{waited_s:.1f} s after dialling"), Ready()]
        if self.step not in (Step.SENDING, Step.KISS):
            return []
        if tone.on:
            self._kiss.began(tone, now)
            return []
        if self.step is Step.SENDING:
            self._kiss.forget()
            return []
        if self._kiss.ended(tone):
            return self._kissed(now, f"{tone.lasted_ms} ms")
        if self._ear.hears(tone):
            # It begins anew: it has heard nothing of our block.
            return [Note("handshake_again"), *self._repeat(now)]
        return self._no_kiss(now) if self._due is not None and now >= self._due else []

    def _kissed(self, now: Instant, detail: str) -> list[CallEffect]:
        block, self._block = self._block, None
        assert block is not None
        self._pause(now)
        return [Note("kiss_off", detail), Kissed(block), Ready()]

    def _no_kiss(self, now: Instant) -> list[CallEffect]:
        if self._kiss.under_way:
            # 1400 Hz without end is no kiss-off; the line is worth nothing like this.
            self._kiss.forget()
            return self.hang_up(now, Cause.NO_KISS_OFF, "tone without end")
        if (self._ear.under_way or self._tone_on) and now < self._speak_at:
            # The receiver is speaking: do not speak over it.
            self._due = min(later(now, 0.8), self._speak_at)
            return []
        return self._repeat(now)

    def _repeat(self, now: Instant) -> list[CallEffect]:
        if self._tries >= self._times.tries:
            return self.hang_up(now, Cause.NO_KISS_OFF, f"{self._tries} tries")
        self._pause(now)
        return []

    def _pause(self, now: Instant) -> None:
        self._ear.forget()
        self._kiss.forget()
        self._to(Step.PAUSE, later(now, self._times.before_block_s))

    def _play(self, now: Instant) -> list[CallEffect]:
        block = self._block
        if block is None:
            return []
        self._tries += 1
        times = self._times
        digits = Digits(keys_of(block.digits), times.digit_ms, times.gap_ms)
        self._began = now
        self._kiss.block_begins()
        length_s = len(block.digits) * (times.digit_ms + times.gap_ms) / 1000
        self._to(Step.SENDING, later(now, length_s + PLAY_SLACK_S))
        again = [Note("repeat", f"try {self._tries}")] if self._tries > 1 else []
        return [*again, Sending(block, self._tries), Order(Play((digits,)))]

    # -- ending ----------------------------------------------------------------------------------

    def _lost(self, given: NoLine | Dropped | Failed, now: Instant) -> list[CallEffect]:
        if self.step is Step.RELEASING:
            return self._over()
        match given:
            case NoLine(cause="in_use"):
                ended = Ended(Cause.IN_USE, "", self.step)
            case NoLine(cause="no_dial_tone"):
                ended = Ended(Cause.NO_DIAL_TONE, "", self.step)
            case NoLine(cause=cause):
                begun = self.step is not Step.SEIZING
                ended = Ended(Cause.LINE_CUT if begun else Cause.NO_LINE, cause, self.step)
            case Dropped(cause=cause):
                return self._drop(now, cause, release=False)
            case Failed(cause=cause):
                ended = Ended(Cause.FAILED, cause, self.step)
        self._end = ended
        return self._over()

    def _drop(self, now: Instant, cause: str, *, release: bool) -> list[CallEffect]:
        """The far end is gone. A kiss-off that was long enough by then counts."""
        if self.step is Step.VOICE:  # who listened has heard enough
            self._end = Ended(Cause.DONE, f"listen-in ended: {cause or 'far end'}", self.step)
            return self._over()
        effects: list[CallEffect] = []
        detail = cause
        if self.step is Step.KISS and self._kiss.long_enough(now) and self._block is not None:
            effects += [Note("kiss_off", "cut short"), Kissed(self._block)]
            self._block = None
        elif self.step is Step.SENDING and self._block is not None:
            each_ms = self._times.digit_ms + self._times.gap_ms
            digit = min((now - self._began) // (each_ms * NS_PER_MS) + 1, len(self._block.digits))
            detail = f"{cause or 'gone'} at digit {digit}".strip()
        if release:
            return effects + self.hang_up(now, Cause.DROPPED, detail)
        self._end = Ended(Cause.DROPPED, detail, self.step)
        return effects + self._over()

    def _over(self, detail: str = "") -> list[CallEffect]:
        end = self._end
        self._to(Step.IDLE, None)
        self._block = None
        if detail and not end.detail:
            end = Ended(end.cause, detail, end.at)
        return [end]

    def _to(self, step: Step, due: Instant | None) -> None:
        self.step, self._due = step, due
