"""The phone path: what is owed on it, when to call whom, and whether it is really up.

A Record stays owed until the receiver kisses its block off (rule 3); retries slow down and never
stop (users.md L4). One `Call` at a time; at each block boundary the most urgent goes next.
"""

from __future__ import annotations

from typing import Final

from edge.config_phone import PhoneConfig
from edge.journal.record_types import OwedKey
from edge.reporting.phone.agenda import Asked, Going, Listening, What
from edge.reporting.phone.call import Call
from edge.reporting.phone.call_types import (
    Block,
    CallEffect,
    Cause,
    Ended,
    Kissed,
    Note,
    Order,
    Ready,
    Sending,
    Step,
    times_of,
)
from edge.reporting.phone.dialler_types import (
    CallAsked,
    Calling,
    DiallerEffect,
    DiallerInput,
    DiallerView,
    Elsewhere,
    EndListenIn,
    Forget,
    JournalEvent,
    Keep,
    LineVoltage,
    Memory,
    MqttPath,
    NotCommunicated,
    OwePhone,
    Reportable,
    Settled,
)
from edge.reporting.phone.line import LineStatus
from edge.reporting.phone.marks import Marks, begins_alarm
from edge.reporting.phone.owed_queue import OwedQueue
from edge.reporting.phone.path_truth import PhoneTruth
from edge.reporting.phone.policy import (
    BY_PHONE,
    LISTEN_IN,
    digits_of_event,
    dropped_elsewhere,
    meant_for_phone,
    wait_s,
)
from edge.reporting.phone.redial import URGENT, Redial
from edge.reporting.phone.rhythm import Rhythm
from protocols.contact_id.mapping import mark_message
from protocols.contact_id.message import encode
from protocols.instants import NS_PER_S, Instant, later
from protocols.panel_event import Code, PanelEvent, Priority

RECORD_WAIT_S: Final = 1.0
"""The call waits so long for the journal to number a batch; else the next call's mark covers it."""
AFTER_FAULT_S: Final = 3.0
NOT_COMMUNICATED_AFTER: Final = 6
"""Failed calls in a row with something owed: FAILED_TO_COMMUNICATE."""


class Dialler:
    """The machine of the phone path. `seed` spreads redials and tests; `mqtt`: there is a first
    path that batches go by.
    """

    def __init__(
        self, config: PhoneConfig, seed: int, memory: Memory | None = None, *, mqtt: bool = True
    ) -> None:
        self._config = config
        self._call = Call(times_of(config))
        self._queue = OwedQueue()
        self._redial = Redial(
            config.redial_s, config.redial_max_s, config.failed_calls_per_hour, seed
        )
        self._truth = PhoneTruth()
        self._kept = Memory() if memory is None else memory
        self._marks = Marks(self._kept.unmarked, on=config.marks and mqtt)
        self._mqtt_up = mqtt
        self._number = 0
        self._going: Going | None = None
        self._block = 0
        self._asked: Asked | None = None
        self._ready: Going | None = None
        self._not_now: set[What] = set()
        self._alarmed = False
        self._kisses = 0
        self._checking = False
        self._priority = int(Priority.LOG)
        """Of what the call under way was begun for."""
        self._listening = Listening()
        self._rhythm = Rhythm(config, self._kept.test_at)
        self._untold: bool | None = None
        """FAILED_TO_COMMUNICATE stands. None: from before the start, perhaps."""
        self._last: Ended | None = None

    def owed(self) -> int:
        """How many Records are still to be told by phone, those that wait for MQTT included."""
        return len(self._queue)

    def view(self, now: Instant) -> DiallerView:
        """For people."""
        start_at, test_at = self._start_at(), self._rhythm.test_at
        return DiallerView(
            up=self._truth.up,
            cause=self._truth.cause,
            line_present=self._truth.line_present,
            owed=self.owed(),
            step=self._call.step.value,
            last=self._last,
            failed_in_a_row=self._truth.failed,
            next_call_s=None if start_at is None else max(0.0, (start_at - now) / NS_PER_S),
            next_test_s=None if test_at is None else (test_at - now) / NS_PER_S,
            listening=self._call.step is Step.VOICE,
            kissed=self._truth.kissed_at,
            tested=self._rhythm.told_at,
        )

    def receive(self, given: DiallerInput, now: Instant) -> list[DiallerEffect]:
        """Take one input."""
        effects: list[DiallerEffect] = []
        match given:
            case OwePhone(items):
                effects += self._owe(items, now)
            case Elsewhere(keys):
                gone = self._queue.settle_elsewhere(keys)
                effects += [Settled(tuple(gone), kissed=False)] if gone else []
            case MqttPath(up):
                self._mqtt_up = up
            case Forget(epoch, upto):
                self._queue.forget(epoch, upto)
            case CallAsked(by):
                self._redial.hurry(now)
                effects += self._test(now, Code.MANUAL_TEST, by)
            case EndListenIn(by):
                if self._call.step is Step.VOICE:
                    why = f"released {by}".rstrip()
                    effects += self._from_call(self._call.hang_up(now, detail=why), now)
            case LineVoltage(present):
                if self._truth.monitored(LineStatus(present, "no_voltage"), now):
                    self._line_back(now)
            case LineStatus():
                if self._truth.line(given, now):
                    self._line_back(now)
                effects += self._from_call(self._call.receive(given, now), now)
            case _:
                effects += self._from_call(self._call.receive(given, now), now)
        return effects + self.tick(now)

    def tick(self, now: Instant) -> list[DiallerEffect]:
        """Let time pass."""
        effects: list[DiallerEffect] = []
        if self._rhythm.begin(now, self._redial.jitter):
            self._marks.start(now)
        effects += self._truth.tick(now)
        if self._rhythm.test_due(now):
            effects += self._test(now, Code.PERIODIC_TEST)
        self._mature(now)
        while True:
            done = self._call.tick(now)
            if not done:
                break
            effects += self._from_call(done, now)
        effects += self._in_call(now) if self._call.up else self._begin(now)
        return effects

    def deadline(self) -> Instant | None:
        """When `tick` is needed. None before the first input."""
        times = [self._rhythm.test_at, self._queue.deadline(), self._truth.deadline()]
        if self._call.up:
            times.append(self._call.deadline())
            times.append(self._asked.until if self._asked is not None else None)
            times.append(self._listening.until if self._call.step is Step.VOICE else None)
        else:
            times.append(self._start_at())
            times.append(self._rhythm.check_at)
        return min((time for time in times if time is not None), default=None)

    # -- what is owed ----------------------------------------------------------------------------

    def _owe(self, items: tuple[Reportable, ...], now: Instant) -> list[DiallerEffect]:
        never: list[OwedKey] = []
        for item in items:
            asked = self._asked
            if asked is not None and asked.is_it(item.event):
                self._asked = None
                self._ready = Going(asked.what, item)
                if asked.what is What.MARK:
                    never.append(item.key)
                continue
            patience_s = wait_s(self._config, item.event)  # None for a list that came too late
            if patience_s is None or (item.event.code == LISTEN_IN and meant_for_phone(item.event)):
                never.append(item.key)  # a listen-in announced before a restart is over
                continue
            stays = not dropped_elsewhere(self._config, item.event)
            self._queue.add(item, later(now, patience_s), stays=stays)
        return [Settled(tuple(never), kissed=False)] if never else []

    def _mature(self, now: Instant) -> None:
        for key in self._queue.mature(now, all_at_once=not self._mqtt_up):
            self._redial.fresh(key.priority, now)

    def _test(self, now: Instant, code: Code, by: str = "") -> list[DiallerEffect]:
        """One test at a time: the one that is owed will be told."""
        if not self._rhythm.test_begins(now, asked=code is Code.MANUAL_TEST):
            return self._keep()
        detail = f"{BY_PHONE} {by}".strip()
        return [JournalEvent(PanelEvent(code, detail=detail)), *self._keep()]

    # -- calls -----------------------------------------------------------------------------------

    def _start_at(self) -> Instant | None:
        """When the next call may begin for what is due; None: nothing is."""
        first = self._queue.first()
        if first is not None:
            return self._redial.may_start_at(first[0])
        at = self._marks.call_at
        return None if at is None else max(at, self._redial.may_start_at(Priority.TEST))

    def _begin(self, now: Instant) -> list[DiallerEffect]:
        start_at = self._start_at()
        if start_at is not None and now >= start_at:
            return self._begin_call(now)
        if self._rhythm.check_due(now):
            self._open_call(Priority.LOG, checking=True)
            return [Calling("", "line check"), *self._from_call(self._call.start("", now), now)]
        return []

    def _begin_call(self, now: Instant) -> list[DiallerEffect]:
        first = self._queue.first()
        if first is None:
            self._open_call(Priority.TEST, checking=False)
            why = "mark of an alarm that is told"
        else:
            self._open_call(first[0], checking=False)
            why = f"{first[1].event.code} owed, {self.owed()} in all"
        numbers = self._config.numbers
        number = numbers[self._number % len(numbers)]
        started = self._call.start(
            number, now, force=self._priority <= URGENT, pulse=self._config.pulse
        )
        return [Calling(number, why), *self._from_call(started, now)]

    def _open_call(self, priority: int, *, checking: bool) -> None:
        self._priority = priority
        self._checking = checking
        self._going = self._asked = self._ready = None
        self._not_now.clear()
        self._alarmed = False
        self._kisses = 0
        self._marks.call_begins(alone=not checking and self._queue.first() is None)

    def _in_call(self, now: Instant) -> list[DiallerEffect]:
        """Between blocks: whatever waited for the journal, or for something to say."""
        call = self._call
        if self._asked is not None and now >= self._asked.until:
            late, self._asked = self._asked, None
            self._not_now.add(late.what)
            return [Note("record_missing", late.what.value), *self._in_call(now)]
        if call.step is Step.VOICE:
            first = self._queue.first()
            if self._listening.gives_way(None if first is None else first[0], now):
                return self._from_call(call.hang_up(now, detail="something to tell"), now)
        if self._going is None and call.step in (Step.PAUSE, Step.READY):
            return self._next(now)
        return []

    def _next(self, now: Instant) -> list[DiallerEffect]:
        """The most urgent report, with a mark between them when a list is full; else the mark; else
        listen-in; else the end.
        """
        first = self._queue.first()
        marking = What.MARK not in self._not_now
        if first is not None and not (marking and self._marks.full(first[0])):
            item = first[1]
            digits = digits_of_event(item.event, self._config.account)
            if digits is None:  # `wait_s` asked the same table: cannot be
                self._queue.settle(item.key)
                return [Settled((item.key,), kissed=False)]
            return self._send(What.REPORT, item, digits, now)
        if self._ready is not None:
            ready, self._ready = self._ready, None
            return self._send_ready(ready.what, ready.item, now)
        if self._asked is not None:
            return []  # the pause before the block is the journal's time; then the call waits
        if marking and self._marks.wanted:
            return self._ask(self._marks.event(), What.MARK, now)
        if self._alarmed and self._config.listen_in_s and What.LISTEN_IN not in self._not_now:
            self._not_now.add(What.LISTEN_IN)
            return self._ask(PanelEvent(LISTEN_IN, detail=BY_PHONE), What.LISTEN_IN, now)
        return self._from_call(self._call.hang_up(now), now)

    def _ask(self, event: PanelEvent, what: What, now: Instant) -> list[DiallerEffect]:
        self._asked = Asked(event, what, later(now, RECORD_WAIT_S))
        return [JournalEvent(event)]

    def _send_ready(self, what: What, item: Reportable, now: Instant) -> list[DiallerEffect]:
        if what is What.MARK:
            mark = mark_message(item.key.seq, self._config.account, self._config.mark_code)
            return self._send(what, item, encode(mark), now)
        digits = digits_of_event(item.event, self._config.account)
        return [] if digits is None else self._send(what, item, digits, now)

    def _send(self, what: What, item: Reportable, digits: str, now: Instant) -> list[DiallerEffect]:
        self._block += 1
        self._going = Going(what, item)
        event = item.event
        told = Note("block", f"{what.value} {event.code} q{event.q:d} {digits}")
        return [told, *self._from_call(self._call.send(Block(self._block, digits), now), now)]

    # -- what call and line tell -----------------------------------------------------------------

    def _from_call(self, told: list[CallEffect], now: Instant) -> list[DiallerEffect]:
        effects: list[DiallerEffect] = []
        for each in told:
            match each:
                case Order(order):
                    effects.append(order)
                case Note():
                    effects.append(each)
                case Ready():
                    effects += self._next(now)
                case Sending():
                    effects += self._sending()
                case Kissed():
                    effects += self._kissed(now)
                case Ended():
                    effects += self._ended(each, now)
        return effects

    def _sending(self) -> list[DiallerEffect]:
        going = self._going
        if going is None or going.what is What.MARK:
            return []
        # A list asked for before this block lacks it, and its mark would close what it lacks.
        if self._ready is not None and self._ready.what is What.MARK:
            self._ready = None
        if self._asked is not None and self._asked.what is What.MARK:
            self._asked = None
        self._marks.sending(going.item.key)
        return self._keep()

    def _kissed(self, now: Instant) -> list[DiallerEffect]:
        going, self._going = self._going, None
        assert going is not None
        item = going.item
        self._kisses += 1
        effects: list[DiallerEffect] = [*self._truth.kissed(now)]
        if self._untold is not False:
            self._untold = False
            effects.append(NotCommunicated(False, "phone"))
        if going.what is What.MARK:
            self._marks.marked(item.event)
            return [*effects, *self._keep()]
        self._queue.settle(item.key)
        self._marks.kissed(item.key, item.event)
        if item.event.code in (Code.PERIODIC_TEST, Code.MANUAL_TEST):
            self._rhythm.test_told(now)
            effects.append(Note("test_kissed_off", item.event.detail))
        self._alarmed = self._alarmed or begins_alarm(item.event)
        effects += [Settled((item.key,), kissed=True), *self._keep()]
        if going.what is What.LISTEN_IN:
            until = later(now, self._config.listen_in_s)
            effects += self._from_call(self._call.listen_in(until), now)
        return effects

    def _ended(self, ended: Ended, now: Instant) -> list[DiallerEffect]:
        effects: list[DiallerEffect] = [ended]
        announced = self._going if self._going is not None else self._ready
        if announced is not None and announced.what is What.LISTEN_IN:
            effects.append(Settled((announced.item.key,), kissed=False))
        self._going = self._asked = self._ready = None
        self._listening.until = None
        if self._checking:
            return [*effects, *self._checked(ended, now)]
        self._last = ended
        self._marks.call_over(now)
        if ended.cause is Cause.DONE:
            self._number = 0
            more = self._queue.first() is not None
            self._redial.succeeded(now, self._priority, more=more)
        elif ended.cause is Cause.IN_USE and self._priority > URGENT:
            self._redial.in_use(now)
            effects += self._truth.in_use(now)
        else:
            delivered = self._kisses > 0
            dialled = ended.at not in (Step.SEIZING, Step.DIAL_TONE)
            self._redial.failed(now, self._priority, delivered=delivered, dialled=dialled)
            if not delivered:
                self._number += 1
            effects += self._truth.call_failed(ended.cause, now, delivered=delivered)
            if self._truth.failed >= NOT_COMMUNICATED_AFTER and not self._untold:
                self._untold = True
                effects.append(NotCommunicated(True, f"phone {ended.cause.value}"))
        if self._truth.up is False and self._queue.first() is None:
            # Nothing is owed that would show when the fault is over.
            self._rhythm.test_within(now, self._config.redial_max_s)
        return effects

    def _checked(self, ended: Ended, now: Instant) -> list[DiallerEffect]:
        self._redial.checked(now)
        if ended.cause is Cause.DONE:
            if self._truth.dial_tone_back():
                self._line_back(now)
            return []
        if ended.cause is Cause.IN_USE:
            return [*self._truth.in_use(now)]
        if self._truth.up is not False:
            self._rhythm.recheck(now)
        return [*self._truth.call_failed(ended.cause, now, delivered=False)]

    def _line_back(self, now: Instant) -> None:
        """A fault of the line is over: prove the path at once (users.md M2)."""
        self._redial.line_back(now)
        self._rhythm.test_within(now, AFTER_FAULT_S)

    def _keep(self) -> list[DiallerEffect]:
        memory = Memory(self._marks.all(), self._rhythm.test_at)
        if memory == self._kept:
            return []
        self._kept = memory
        return [Keep(memory)]
