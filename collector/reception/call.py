"""The receiver's machine for one call: answer, handshake, read, store, kiss off.

`now` is the line's own clock: the ms of audio heard so far, so that what arrives late is not
judged late. Effects are in the order they are to be carried out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from collector.reception.call_types import (
    Answered,
    Behind,
    Effect,
    HangUp,
    HungUp,
    Input,
    Learned,
    LeaveToVoice,
    Play,
    Preferred,
    Refused,
    Reported,
    Store,
    Stored,
    StoreFailed,
    Unrecognised,
)
from collector.reception.formats import Block, Format, Found
from collector.reception.gathering import Gathering
from collector.reception.inviting import Inviting
from collector.reception.judging import MOST_ALIKE, Alike, Verdict, judge
from collector.reception.profile import SINGLE_2300, Profile
from collector.reception.sounding import lasts_s
from collector.reception.transcript import Transcript
from protocols.instants import Instant, later
from protocols.tones.elements import (
    DigitHeard,
    FskHeard,
    Playable,
    Progress,
    ProgressHeard,
    PulseDigitHeard,
    ToneHeard,
)

__all__ = ["Call"]

STRAY: Final = 3
"""Fewer digits than this are noise: they do not hold up the next handshake."""
STORE_S: Final = 10.0
"""A store that does not answer for so long is taken for failed."""
LEFT_OPEN: Final = 2
"""So many blocks that failed at the end of a call are told, even if others were stored."""
ACCOUNT: Final = 4
"""So many digits show that a block has its beginning."""
MOST_BEGUN: Final = 16
GONE: Final = (Progress.BUSY, Progress.CONGESTION, Progress.DIAL_TONE)
"""Heard on an answered line, the exchange says that the caller has hung up."""


class _Phase(Enum):
    UNANSWERED = auto()
    SILENCE = auto()
    INVITING = auto()
    REPEAT = auto()
    STORING = auto()
    KISSING = auto()
    NEXT = auto()
    VOICE = auto()
    OVER = auto()


@dataclass(frozen=True, slots=True)
class _Pending:
    token: int
    found: Found
    block: Block
    ended: Instant


class Call:
    """One incoming call from Answered to HangUp (effect) or HungUp (input).

    `pins`: format by account; a pinned account's message in another format is refused.
    `preferred`: what this caller's last call used (a `Learned` effect's).
    """

    def __init__(
        self,
        profile: Profile,
        formats: Sequence[Format],
        *,
        caller: str = "",
        preferred: Preferred | None = None,
        pins: Mapping[str, str] | None = None,
    ) -> None:
        self._profile = profile
        self._formats = formats
        self._caller = caller
        self._preferred = preferred
        self._pins = pins or {}
        self._inviting = Inviting(profile, preferred)
        self._phase = _Phase.UNANSWERED
        self._until: Instant | None = None
        self._ends: Instant | None = None
        self._quiet_at: Instant | None = None
        self._behind_ms = 0
        self._gathering = Gathering(profile, self._could_be_kissed)
        self._gathering.usual_digits = preferred.digits if preferred is not None else 0
        self._transcript = Transcript()
        self._pending: _Pending | None = None
        self._token = 0
        self._index = 0
        self._blocks = 0
        self._refused_run = 0
        self._stores = 0
        self._earlier: Alike | None = None
        self._found: Found | None = None
        self._longest = 0
        self._late = False
        self._begun: set[str] = set()
        """How blocks began that came in time and failed."""
        self._account = ""
        self._last_reason = ""

    @property
    def over(self) -> bool:
        """True after HangUp or HungUp: further inputs are ignored."""
        return self._phase is _Phase.OVER

    @property
    def tried(self) -> tuple[str, ...]:
        """Handshakes sounded so far, in order."""
        return self._transcript.tried

    @property
    def heard(self) -> str:
        """What was heard so far, as text."""
        return self._transcript.text

    def receive(self, given: Input, now: Instant) -> list[Effect]:
        """One thing heard or told."""
        if self.over:
            return []
        match given:
            case Answered():
                return self._answered(now)
            case HungUp(cause):
                return self._end(cause or "the caller hung up", hang_up=False, now=now)
            case Stored(token):
                return self._stored(token, now)
            case StoreFailed(token, reason):
                return self._store_failed(token, reason, now)
            case Behind(ms):
                self._behind_ms = ms
                return []
            case DigitHeard() | PulseDigitHeard() | FskHeard():
                return self._signal(given, now)
            case ToneHeard():
                self._tone(given, now)
                return []
            case ProgressHeard():
                return self._progress(given, now)

    def tick(self, now: Instant) -> list[Effect]:
        """Time passed; call at `deadline` or at any other time."""
        effects: list[Effect] = []
        if not self.over and self._gathering.due(now):
            effects += self._block_ended(now)
        if not self.over and self._ends is not None and now >= self._ends:
            return effects + self._end("the call lasted too long", hang_up=True, now=now)
        due = self._until is not None and now >= self._until
        if not self.over and due and not self._gathering.busy:
            effects += self._phase_over(now)
        return effects

    def deadline(self) -> Instant | None:
        """When `tick` has something to do."""
        if self.over:
            return None
        block = self._gathering.deadline
        phase = self._until if block is None else block
        due = [each for each in (phase, self._ends) if each is not None]
        return min(due, default=None)

    # -- phases --------------------------------------------------------------------------------

    def _enter(self, phase: _Phase, now: Instant, seconds: float) -> None:
        self._phase = phase
        self._until = later(now, seconds)

    def _answered(self, now: Instant) -> list[Effect]:
        if self._phase is _Phase.UNANSWERED:
            self._ends = later(now, self._profile.max_call_s)
            self._enter(_Phase.SILENCE, now, self._profile.answer_silence_s)
        return []

    def _phase_over(self, now: Instant) -> list[Effect]:
        match self._phase:
            case _Phase.SILENCE | _Phase.INVITING:
                return self._invite(now)
            case _Phase.REPEAT:
                self._inviting.repeat()
                return self._invite(now)
            case _Phase.STORING:
                assert self._pending is not None
                return self._store_failed(self._pending.token, "no answer from the store", now)
            case _Phase.KISSING:
                return self._kissed(now)
            case _Phase.NEXT:
                return self._end("no further block", hang_up=True, now=now)
            case _Phase.VOICE:
                return self._end("listen-in over", hang_up=True, now=now)
            case _:
                return []

    def _invite(self, now: Instant) -> list[Effect]:
        handshake = self._inviting.following(dtmf=self._longest >= STRAY)
        if isinstance(handshake, str):
            return self._end(handshake, hang_up=True, now=now)
        self._transcript.sounded(handshake.name)
        return self._sound(handshake.sound, _Phase.INVITING, now, handshake.wait_s)

    def _sound(
        self, sound: tuple[Playable, ...], phase: _Phase, now: Instant, then_s: float
    ) -> list[Effect]:
        lasts = lasts_s(sound)
        self._quiet_at = later(now, lasts)
        self._enter(phase, now, lasts + then_s)
        return [Play(sound)]

    # -- what is heard -------------------------------------------------------------------------

    def _signal(self, given: DigitHeard | PulseDigitHeard | FskHeard, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        if self._phase is _Phase.VOICE or self._is_noise(given):
            return effects
        if not self._gathering.takes(given):
            effects += self._block_ended(now)
            if self.over:
                return effects
        if not self._gathering.busy:
            repeats = self._phase is _Phase.REPEAT and not self._stores
            self._late = repeats or self._begins_late(given, now)
        self._gathering.add(given, now)
        inviting = self._phase is _Phase.INVITING and not isinstance(given, FskHeard)
        if inviting and self._quiet_at is not None and now < self._quiet_at:
            self._quiet_at = None
            effects.append(Play(()))
        return effects

    def _begins_late(self, given: DigitHeard | PulseDigitHeard | FskHeard, now: Instant) -> bool:
        if self._phase is not _Phase.INVITING or not isinstance(given, DigitHeard):
            return False
        begun = later(now, (given.start_ms - given.end_ms) / 1000)
        latest = self._profile.late_digit_s
        return self._quiet_at is not None and begun > later(self._quiet_at, latest)

    def _is_noise(self, given: DigitHeard | PulseDigitHeard | FskHeard) -> bool:
        """Bytes that no carrier invited, or pulses and bytes in the midst of DTMF."""
        if isinstance(given, DigitHeard):
            return False
        return self._gathering.of_digits or (
            isinstance(given, FskHeard) and not self._inviting.carrier
        )

    def _tone(self, given: ToneHeard, now: Instant) -> None:
        self._transcript.tone(given)
        if self._phase is _Phase.INVITING and given.on and self._until is not None:
            # A pulse digit is told at its end: what begins late must not be sounded over.
            self._until = max(self._until, later(now, self._profile.pulse_digit_s))

    def _progress(self, given: ProgressHeard, now: Instant) -> list[Effect]:
        self._transcript.progress(given)
        sounding = self._quiet_at is not None and now < self._quiet_at
        answered = self._phase is not _Phase.UNANSWERED
        if given.progress in GONE and answered and not sounding and not self._gathering.busy:
            return self._end(f"{given.progress.value} on the line", hang_up=True, now=now)
        return []

    def _block_ended(self, now: Instant) -> list[Effect]:
        block, ended, overflow = self._gathering.take()
        self._transcript.block(block)
        self._blocks += 1
        verdict = Verdict(None, "more than any format has") if overflow else self._judge(block)
        self._longest = max(self._longest, len(block.digits))
        if verdict.found is None or verdict.reason:
            if verdict.found is not None:
                earlier = self._earlier
                times = 1 if earlier is None else earlier.times_with(verdict.found)
                self._earlier = Alike(verdict.found, times)
            return self._refuse(block, verdict, now)
        # Its repetition, when the kiss-off is lost, is as good as it was.
        self._earlier = Alike(verdict.found, MOST_ALIKE)
        if not verdict.found.events:
            return self._acknowledge(_Pending(0, verdict.found, block, ended), now)
        return self._store(block, verdict.found, ended, now)

    def _judge(self, block: Block) -> Verdict:
        return judge(
            replace(block, account=self._account) if block.fsk else block,
            self._formats,
            pins=self._pins,
            preferred=self._preferred,
            earlier=self._earlier,
            longest=self._longest,
            late=self._late and block.keys[:ACCOUNT] not in self._begun,
            twice=self._profile.short_twice,
        )

    def _could_be_kissed(self, block: Block) -> bool:
        verdict = self._judge(block)
        return verdict.found is not None and not verdict.reason

    def _refuse(self, block: Block, verdict: Verdict, now: Instant) -> list[Effect]:
        if not self._late and len(self._begun) < MOST_BEGUN:
            self._begun.add(block.keys[:ACCOUNT])
        self._refused_run += 1
        self._last_reason = verdict.reason
        effects: list[Effect] = [Refused(verdict.reason, block.text, verdict.format)]
        if self._spent(effects, now):
            return effects
        stray = len(block.heard) < STRAY and self._phase in {_Phase.SILENCE, _Phase.INVITING}
        if self._phase is not _Phase.STORING and not stray:
            self._enter(_Phase.REPEAT, now, self._profile.repeat_wait_s)
        return effects

    def _spent(self, effects: list[Effect], now: Instant) -> bool:
        profile = self._profile
        if self._refused_run >= profile.max_refused:
            effects += self._end("nothing but blocks that fail", hang_up=True, now=now)
        elif self._blocks >= profile.max_blocks:
            effects += self._end("too many blocks in one call", hang_up=True, now=now)
        return self.over

    # -- store, then kiss off ------------------------------------------------------------------

    def _store(self, block: Block, found: Found, ended: Instant, now: Instant) -> list[Effect]:
        self._token += 1
        self._pending = _Pending(self._token, found, block, ended)
        reports = tuple(
            Reported(
                self._index + place, found.account, found.format, found.raw, each.event, each.mark
            )
            for place, each in enumerate(found.events)
        )
        self._index += len(reports)
        self._enter(_Phase.STORING, now, STORE_S)
        return [Store(self._token, reports)]

    def _stored(self, token: int, now: Instant) -> list[Effect]:
        pending = self._pending
        self._stores += 1
        if pending is None or token != pending.token:
            return []  # the panel has begun anew meanwhile: that block will be kissed off
        self._pending = None
        self._refused_run = 0
        self._inviting.answered()
        return self._learn(pending) + self._acknowledge(pending, now)

    def _acknowledge(self, pending: _Pending, now: Instant) -> list[Effect]:
        why_not = self._why_silent(pending, now)
        if why_not:
            self._enter(_Phase.REPEAT, now, self._profile.repeat_wait_s)
            return [Refused(why_not, pending.found.raw, pending.found.format)]
        self._found = pending.found
        if pending.block.fsk:
            self._account = pending.found.account
        return self._sound(self._answer(pending), _Phase.KISSING, now, 0)

    def _answer(self, pending: _Pending) -> tuple[Playable, ...]:
        if pending.found.answer is not None:
            return pending.found.answer
        single = self._inviting.begun and self._inviting.last.name == SINGLE_2300.name
        if pending.block.pulses and single:
            return self._profile.kiss_off_2300
        return self._profile.kiss_off

    def _why_silent(self, pending: _Pending, now: Instant) -> str:
        if self._gathering.busy:
            return "stored too late for a kiss-off: the panel has begun to repeat"
        if now > later(pending.ended, self._profile.kiss_off_latest_s):
            return "stored too late for a kiss-off"
        if self._behind_ms > self._profile.behind_s * 1000:
            return f"heard {self._behind_ms} ms late: a kiss-off could be taken for another's"
        return ""

    def _kissed(self, now: Instant) -> list[Effect]:
        if self._found is not None and self._found.voice:
            self._ends = later(now, self._profile.listen_in_s)
            self._enter(_Phase.VOICE, now, self._profile.listen_in_s)
            return [LeaveToVoice()]
        self._enter(_Phase.NEXT, now, self._profile.next_block_s)
        return []

    def _store_failed(self, token: int, reason: str, now: Instant) -> list[Effect]:
        pending = self._pending
        if pending is None or token != pending.token:
            return []
        self._pending = None
        self._refused_run += 1
        self._last_reason = f"could not be stored: {reason}"
        found = pending.found
        effects: list[Effect] = [Refused(self._last_reason, found.raw, found.format)]
        if not self._spent(effects, now):
            self._enter(_Phase.REPEAT, now, self._profile.repeat_wait_s)
        return effects

    def _learn(self, pending: _Pending) -> list[Effect]:
        if not self._inviting.begun:
            return []
        handshake, digits = self._inviting.last.name, len(pending.block.digits)
        learned = Preferred(handshake, pending.found.format, digits)
        if learned == self._preferred:
            return []
        self._preferred = learned
        self._gathering.usual_digits = learned.digits
        return [Learned(self._caller, learned)] if self._caller else []

    # -- the end -------------------------------------------------------------------------------

    def _end(self, cause: str, *, hang_up: bool, now: Instant) -> list[Effect]:
        effects: list[Effect] = []
        if self._gathering.busy:
            effects += self._block_ended(now)
            if self.over:
                return effects
        answered = self._phase is not _Phase.UNANSWERED
        self._phase = _Phase.OVER
        self._until = None
        kept = self._stores > 0 or self._pending is not None
        if answered and (not kept or self._refused_run >= LEFT_OPEN):
            reason = self._last_reason or "nothing recognised was heard"
            effects.append(Unrecognised(f"{reason}; {cause}", self.tried, self.heard, self._caller))
        if hang_up:
            effects.append(HangUp(cause))
        return effects
