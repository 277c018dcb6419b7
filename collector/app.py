"""The collector: one writer thread that owns the ledger (ARCHITECTURE 3.2).

It drains what arrived, stores it in one transaction, hands out the acknowledgements, and between
batches judges new Signals in ledger order. Batches grow with the load: nothing waits for a timer.
"""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, InvalidStateError
from functools import partial
from typing import Final, TextIO

from collector import CollectorError
from collector.adapters.broker_log import Refused
from collector.adapters.control_socket import ControlSocket
from collector.adapters.inbox import Inbox
from collector.adapters.ledger_checkpoint import Checkpointer
from collector.adapters.ledger_clock import STEPPED_US, LedgerClock
from collector.adapters.ledger_store import LedgerStore, StoreError
from collector.adapters.rule_files import load_rules
from collector.admitting import Admitting, Message, Outgoing, Tally
from collector.config import CollectorConfig
from collector.intake import Malformed
from collector.judging import Cases, Judging
from collector.ports import Link, Registered, Settings, Status
from collector.records.case import OperatorAct
from collector.records.changed import Changed
from collector.verification.machine import CaseMachine
from collector.verification.rules import Rules, RulesRefused
from protocols.instants import NS_PER_S, Instant, UtcTime, later
from protocols.mqtt import topics
from protocols.mqtt.payloads import SendTest, SiteCard, StandDown

log = logging.getLogger(__name__)
LONGEST_WAIT_S: Final = 1.0
STALL_S: Final = 5.0
"""A turn of the writer longer than this made us deaf: silence in it is not held against panels."""
ANSWER_S: Final = 10.0
FLOOD: Final = 8
GATHER_S: Final = 0.001
"""After a batch of `FLOOD` the network thread gets this long alone, so the next group is large.
Without it both threads take turns at the interpreter a few messages at a time, and each small group
costs a whole commit. A message that comes alone, or few, never waits."""
JUDGE_SHARE: Final = 0.2
"""Of the writer's time, what judging gets while messages keep coming."""
QUIET_S: Final = 0.001
"""No message for so long: the burst is over, judging may have all of the time."""
JUDGE_AGAIN_S: Final = 1.0
"""Wait after judging failed as a whole."""


class Collector:
    """Start, offer messages, stop. `offer` and what operators do may come from any thread."""

    def __init__(
        self, config: CollectorConfig, registered: Registered, link: Link, rules: Rules
    ) -> None:
        self.config = config
        self._registered = registered
        self._link = link
        self._rules = rules
        limits = config.limits
        self._inbox: Inbox[Message] = Inbox(limits.queue_messages, limits.queue_bytes)
        self._store = LedgerStore(config.url)
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._stopping = threading.Event()
        self._watchers: list[Callable[[Changed], None]] = []
        self._fault = ""
        self._judging_fault = ""
        self._judge_again = Instant(0)
        self._judge_after = Instant(0)
        self._newest = 0
        self._lock: TextIO | None = None
        self._checkpointer: Checkpointer | None = None
        self._control = ControlSocket(config.control_socket, self)
        self._clock: LedgerClock
        self._admitting: Admitting
        self._judging: Judging

    def start(self) -> None:
        """Open the ledger and begin. Raises CollectorError with the reason."""
        self.config.data_dir.mkdir(parents=True, exist_ok=True)
        self._take_lock()
        self._store.open()
        self._newest, received = self._store.newest_signal()
        self._judging = Judging(self.config.dedupe, self._store, self._make_cases)
        self._clock = LedgerClock(UtcTime(max(received, self._judging.horizon)))
        self._admitting = Admitting(self.config, self._store, self._registered, self._clock.now())
        if self._store.path is not None:
            self._checkpointer = Checkpointer(self._store.path)
            self._checkpointer.start()
        self._thread.start()
        self._control.start()

    def stop(self) -> None:
        """Store what was taken, then end. What was not taken is not acknowledged."""
        self._control.stop()
        self._stopping.set()
        self._inbox.close()
        if self._thread.is_alive():
            self._thread.join()
        if self._checkpointer is not None:
            self._checkpointer.stop()
        self._store.close()
        if self._lock is not None:
            self._lock.close()

    # From any thread

    def offer(self, topic: str, payload: bytes) -> None:
        """One message of a panel. Waits while the inbox is full, so nothing is dropped (A3)."""
        self._inbox.put(Message(topic, payload, Instant(time.monotonic_ns())))

    def refused(self, refused: Refused) -> None:
        """One refusal of the broker, to be recorded (R1)."""
        subject = refused.subject.encode("utf-8", "replace")
        times = f" ({refused.again + 1} times)" if refused.again else ""
        bad = Malformed(
            panel=_named(refused.subject),
            reason=f"broker: {refused.reason.value}{times}",
            clause="R1",
            raw=subject[:1024],
            size_bytes=len(subject),
            topic=refused.peer,
        )
        self._ask(lambda now, utc: self._admitting.refuse(bad, now, utc))

    def operate(self, act: OperatorAct) -> str | None:
        """Take or close a case. Waits until it is stored; else says why not."""
        return self._answer(self._ask(lambda _now, utc: self._admitting.operate(act, utc)))

    def command(self, panel: str, command: StandDown | SendTest) -> str | None:
        """Order a panel to do something. Waits until it is stored; else says why not."""

        def order(_now: Instant, utc: UtcTime) -> str | None:
            made = self._admitting.command(panel, command, utc)
            if isinstance(made, str):
                return made
            return None if self._publish(made) else "recorded, but the link to the panels is down"

        return self._answer(self._ask(order))

    def watch(self, watcher: Callable[[Changed], None]) -> Callable[[], None]:
        """Have `watcher` called, in the writer thread, for what each commit changed; to end it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def status(self) -> Status:
        """How it goes, now."""
        tally = self._admitting.tally if self._thread.ident else Tally()
        offset = self._clock.offset_us if self._thread.ident else 0
        return Status(
            running=self._thread.is_alive(),
            link_up=self._link.up,
            store_fault=self._fault,
            waiting_messages=len(self._inbox),
            waiting_bytes=self._inbox.bytes,
            not_judged=max(self._newest - self._judging.cursor, 0),
            judging_faults=self._judging.faults,
            judging_fault=self._judging_fault,
            messages=tally.messages,
            signals=tally.signals,
            repeats=tally.repeats,
            refused=tally.refused,
            wal_bytes=self._checkpointer.wal_bytes if self._checkpointer else 0,
            clock_offset_us=offset,
            clock_stepped=abs(offset) > STEPPED_US,
        )

    # The writer thread

    def _run(self) -> None:
        limits = self.config.limits
        turn = self._clock.now()
        messages: list[Message] = []
        while not self._stopping.is_set():
            if len(messages) >= FLOOD:
                time.sleep(GATHER_S)
            messages, requests = self._inbox.take(limits.batch_messages, self._wait_s())
            if self._clock.now() - turn > STALL_S * NS_PER_S:
                self._admitting.forgive(self._clock.now())
            turn = self._clock.now()
            self._clock.steer()
            self._persist(partial(self._admit, messages))
            for request in requests:
                request()
            self._persist(partial(self._judge, busy=bool(messages)))

    def _admit(self, messages: list[Message]) -> None:
        # While more waits, time has only come as far as what was taken: a heartbeat in the inbox
        # must not be overtaken by its own deadline.
        now = messages[-1].received if messages and len(self._inbox) else self._clock.now()
        due = self._admitting.deadline()
        phone = self._admitting.phone_deadline()
        quiet = phone is None or self._clock.until(phone) > 0
        if not messages and quiet and (due is None or due > now):
            return
        if not self._link.up:
            self._admitting.forgive(now)
        try:
            made = self._admitting.admit(messages, now, self._clock.at)
        except StoreError:
            raise
        except Exception:
            log.exception("receiving failed; going on message by message")
            made = self._admit_singly(messages, now)
        if sum(self._publish(outgoing) for outgoing in made):
            # Judging comes next and would keep the interpreter from the link's thread for a
            # millisecond or two: the panel waits for its acknowledgement, the judge can wait.
            self._link.flush()
        self._newest = self._store.last_signal

    def _admit_singly(self, messages: list[Message], now: Instant) -> list[Outgoing]:
        """A message we fail on is our fault; it is recorded and costs the others nothing (A2)."""
        made: list[Outgoing] = []
        for message in messages:
            try:
                made += self._admitting.admit([message], message.received, self._clock.at)
            except StoreError:
                raise
            except Exception as error:
                log.exception("a message cannot be received")
                raw = message.payload
                bad = Malformed(
                    "",
                    f"internal: {error!r}"[:200],
                    "A2",
                    raw[:1024],
                    len(raw),
                    message.topic[:256],
                )
                self._admitting.refuse(bad, now, self._clock.at(now))
        return made

    def _judge(self, *, busy: bool) -> None:
        if self._clock.now() < self._judge_again:
            return
        try:
            self._judge_some(busy=busy)
        except StoreError:
            raise
        except Exception as error:
            # Receiving and acknowledging go on: what is not judged is stored and is judged later.
            log.exception("judging met a fault of its own")
            self._judging_fault = repr(error)
            self._judge_again = later(self._clock.now(), JUDGE_AGAIN_S)
        else:
            self._judging_fault = ""

    def _judge_some(self, *, busy: bool) -> None:
        # Small slices, so that no acknowledgement waits long; and while messages keep coming only
        # a share of the time, so that a burst is acknowledged first. Beyond `backlog_signals` the
        # inbox fills instead, and the givers wait.
        limits = self.config.limits
        backlog = self._newest - self._judging.cursor
        if backlog > limits.backlog_signals:
            changed = self._judging.step(limits.batch_messages)
        elif backlog > 0:
            began = self._clock.now()
            if busy and began < self._judge_after:
                return
            changed = self._judging.step(limits.stage_signals)
            ended = self._clock.now()
            self._judge_after = Instant(ended + round((ended - began) * (1 / JUDGE_SHARE - 1)))
        elif not len(self._inbox):
            changed = self._judging.idle(self._clock.at(self._clock.now()))
        else:
            return
        if changed is not None and not changed.empty:
            for watcher in list(self._watchers):
                try:
                    watcher(changed)
                except Exception:
                    log.exception("a watcher failed")

    def _persist(self, act: Callable[[], None]) -> None:
        """Do it until the ledger takes it. Meanwhile nothing is acknowledged, the inbox fills and
        its givers wait, and `status` tells of it; operators' requests are answered with the fault.
        """
        wait_s = self.config.store_retry_s
        while not self._stopping.is_set():
            try:
                act()
            except StoreError as error:
                fault = str(error)
            else:
                if self._fault:
                    log.warning("the ledger takes commits again")
                    self._fault = ""
                    self._admitting.forgive(self._clock.now())
                return
            if not self._fault:
                log.error("the ledger does not take commits: %s", fault)
            self._fault = fault
            if self._stopping.wait(wait_s):
                return
            wait_s = min(wait_s * 2, self.config.store_retry_s * 10)
            _, requests = self._inbox.take(0, 0)
            for request in requests:
                request()

    def _publish(self, outgoing: Outgoing) -> bool:
        try:
            return self._link.publish(outgoing.panel, outgoing.leaf, outgoing.payload)
        except Exception:
            log.exception("publishing failed; the panel will send again")
            return False

    def _wait_s(self) -> float:
        if self._newest > self._judging.cursor and not self._judging_fault:
            return QUIET_S if self._clock.now() < self._judge_after else 0.0
        wait_s = LONGEST_WAIT_S
        due = self._admitting.deadline()
        if due is not None:
            wait_s = min(wait_s, (due - self._clock.now()) / NS_PER_S)
        timer = self._judging.deadline()
        if timer is not None:
            wait_s = min(wait_s, self._clock.until(timer))
        return max(wait_s, 0.001)

    # Requests of other threads

    def _ask(self, act: Callable[[Instant, UtcTime], str | None]) -> Future[str | None]:
        """Have `act` run in the writer thread."""
        future: Future[str | None] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            now = self._clock.now()
            try:
                future.set_result(act(now, self._clock.at(now)))
            except StoreError as error:
                future.set_result(f"the ledger does not take it: {error}")
            self._newest = self._store.last_signal

        if not self._inbox.request(run):
            future.set_result("the collector is stopping")
        return future

    def _answer(self, future: Future[str | None]) -> str | None:
        try:
            return future.result(ANSWER_S)
        except TimeoutError:
            if future.cancel():
                return "the collector is too busy; nothing was done"
            return future.result()
        except InvalidStateError:
            return "the collector is stopping"

    def _make_cases(self, panel: str, card: SiteCard | None, snapshot: bytes | None) -> Cases:
        if snapshot is None:
            return CaseMachine(self._rules, panel, card)
        return CaseMachine.restore(self._rules, panel, card, snapshot)

    def _take_lock(self) -> None:
        """One writer: a second collector on the same folder is refused."""
        lock = (self.config.data_dir / "ledger.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.close()
            raise CollectorError(
                f"another collector runs on {self.config.data_dir}: stop it, or use another --data"
            ) from error
        self._lock = lock


def _named(subject: str) -> str:
    """The panel of a certificate name `urn:tocsin:<panel>:<serial>`, else none: it is a claim."""
    parts = subject.split(":")
    named = len(parts) == 4 and parts[:2] == ["urn", "tocsin"]
    return parts[2] if named and topics.PANEL_ID.fullmatch(parts[2]) else ""


def open_service(settings: Settings, registered: Registered, link: Link) -> Collector:
    """The collector for `tocsin-collector run`. Raises CollectorError for a bad rule file."""
    rules = load_rules(settings.rules)
    if isinstance(rules, RulesRefused):
        raise CollectorError(str(rules))
    return Collector(CollectorConfig(data_dir=settings.data), registered, link, rules)
