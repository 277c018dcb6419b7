"""Stage 1: messages -> one durable transaction -> what may be told to the panels now.

Signals are stored before anything is acknowledged (rule 2), and what the centre notices itself is
stored as a Signal too, so a replay sees the same history.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import assert_never

import msgspec

from collector.adapters.ledger_rows import centre_row, record_row
from collector.adapters.ledger_statements import Statement
from collector.adapters.ledger_store import Draft, LedgerStore, StoreError
from collector.config import CollectorConfig
from collector.intake import (
    Admitted,
    Ask,
    BeatSeen,
    CardSeen,
    Effect,
    Inbound,
    Intake,
    Malformed,
    Noticed,
    PathChanged,
    Received,
    Refused,
    Supervisor,
    Willed,
    WillSeen,
    read,
)
from collector.ports import Registered
from collector.receiving import Receiving
from collector.records.case import OperatorAct
from collector.records.chain import rows_digest
from collector.records.ledger_entry import EntryKind
from collector.records.signal import PATH_MQTT, PATH_PHONE
from protocols.instants import Instant, UtcTime
from protocols.mqtt.payloads import Command, SendTest, StandDown
from protocols.mqtt.topics import ACK, COMMAND, RECEIVER_PINS, RECEPTION, RECEPTION_ACK
from protocols.panel_event import Code, PanelEvent, Qualifier

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Message:
    """One MQTT message and when it was received, by the collector's monotonic clock."""

    topic: str
    payload: bytes
    received: Instant


@dataclass(frozen=True, slots=True)
class Outgoing:
    """To be published now that the transaction is durable."""

    panel: str
    leaf: str
    payload: bytes


@dataclass(slots=True)
class Tally:
    """Counters since the start, for status."""

    messages: int = 0
    signals: int = 0
    repeats: int = 0
    refused: int = 0


class Admitting:
    """Owned by the writer thread. After StoreError the same messages may be given again."""

    def __init__(
        self,
        config: CollectorConfig,
        store: LedgerStore,
        registered: Registered,
        now: Instant,
    ) -> None:
        self._config = config
        self._store = store
        self._registered = registered
        self._is_registered = registered.is_registered
        self._receiving = Receiving(config, store, registered, now)
        self._intake = Intake(config.intake)
        self._cards: dict[str, str] = {}
        self._supervisor = self._supervision(now)
        self.tally = Tally()

    def admit(
        self, messages: Iterable[Message], now: Instant, received: Callable[[Instant], UtcTime]
    ) -> list[Outgoing]:
        """Store what these messages say and what is due by `now`; then what to publish.

        `received` turns a monotonic instant into the ledger's time, never going back.
        """
        try:
            return self._admit(messages, now, received)
        except Exception:
            self._roll_back(now)
            raise

    def refuse(self, malformed: Malformed, now: Instant, received: UtcTime) -> None:
        """Record what the broker turned away."""
        draft = Draft(at=received)
        for effect in self._intake.receive(malformed, now, registered=False):
            if isinstance(effect, Refused):
                self._refuse(effect, draft, received)
        self._commit_alone(draft)
        self.tally.refused = self._intake.refused

    def operate(self, act: OperatorAct, received: UtcTime) -> str | None:
        """Store an operator's act on a case as a Signal, for verification to take. Else why not."""
        panel = self._store.case_panel(act.case)
        if panel is None:
            return f"there is no case {act.case}"
        draft = Draft(at=received)
        body = _encode(act)
        self._notice(
            draft, panel, PanelEvent(code=Code.OPERATOR_ACT, detail=body.decode()), received
        )
        draft.enter(EntryKind.OPERATOR, str(act.case), body)
        self._commit_alone(draft)
        return None

    def command(
        self, panel: str, command: StandDown | SendTest, received: UtcTime
    ) -> Outgoing | str:
        """Record an operator's order to a panel (R72), then let it go. Else why not."""
        if not self._is_registered(panel):
            return f"there is no panel {panel}"
        draft = Draft(at=received)
        draft.enter(EntryKind.OPERATOR, panel, _encode(command))
        self._commit_alone(draft)
        return Outgoing(panel, COMMAND, _encode(command))

    def _commit_alone(self, draft: Draft) -> None:
        try:
            self._store.commit(draft)
        except StoreError:
            self._store.reload()
            raise

    def deadline(self) -> Instant | None:
        """When `admit` has something to do without a message."""
        machines = (self._intake, self._supervisor, self._receiving)
        return min((d for d in (m.deadline() for m in machines) if d is not None), default=None)

    def phone_deadline(self) -> UtcTime | None:
        """The same, in the ledger's time."""
        return self._receiving.phone_deadline()

    def forgive(self, now: Instant) -> None:
        """We could not hear for a while: nobody's silence counts yet."""
        self._supervisor.forgive(now)
        self._receiving.forgive(now)

    def _admit(
        self, messages: Iterable[Message], now: Instant, received: Callable[[Instant], UtcTime]
    ) -> list[Outgoing]:
        store, intake = self._store, self._intake
        judged: list[tuple[Inbound, Instant, bool]] = []
        for message in messages:
            inbound = read(message.topic, message.payload)
            judged.append((inbound, message.received, self._may_speak(inbound)))
        ours = [inbound for inbound, _, registered in judged if registered]
        for panel, epoch in intake.wanted(ours):
            intake.adopt(store.run(panel, epoch), now)
        doubtful: dict[tuple[str, int], list[int]] = {}
        for panel, epoch, seq in intake.doubtful(ours):
            doubtful.setdefault((panel, epoch), []).append(seq)
        for (panel, epoch), seqs in doubtful.items():
            intake.inform(store.digests(panel, epoch, seqs))
        self._receiving.load(ours)

        draft = Draft(at=UtcTime(0))
        outgoing: list[Outgoing] = []
        records = 0
        for inbound, at, registered in judged:
            if registered and isinstance(inbound, Received):
                self._received(inbound, draft, at, received(at))
                continue
            effects = intake.receive(inbound, at, registered=registered)
            self._carry_out(effects, draft, outgoing, at, received(at))
            records += len(getattr(inbound, "carried", ()))
        self._carry_out(intake.tick(now), draft, outgoing, now, received(now))
        for changed in self._supervisor.tick(now):
            self._path(changed, draft, received(now))
        self._receiving.tick(draft, now, received)
        draft.at = received(now)
        for state in intake.changed():
            draft.add(Statement.RUN, store.run_row(state))
        self._receiving.store_changed(draft)
        store.commit(draft)

        acks = [Outgoing(panel, ACK, _encode(ack)) for panel, ack in intake.committed()]
        for name, taken in self._receiving.committed():
            acks.append(Outgoing(name, RECEPTION_ACK, _encode(taken)))
        for name, pins in self._receiving.pins():
            acks.append(Outgoing(name, RECEIVER_PINS, _encode(pins)))
        stored = sum(1 for row in draft.signals if row[2] == PATH_MQTT)
        self.tally.messages += len(judged)
        self.tally.signals += len(draft.signals)
        self.tally.repeats += records - stored
        self.tally.refused = intake.refused
        return acks + outgoing

    def _may_speak(self, inbound: Inbound) -> bool:
        """A receiver speaks for accounts, on `rx` only; a panel for itself, elsewhere (R1)."""
        if isinstance(inbound, Received):
            return self._registered.is_receiver(inbound.panel)
        if isinstance(inbound, Malformed):
            known = self._registered.is_receiver(inbound.panel)
            return known or self._is_registered(inbound.panel)
        return self._is_registered(inbound.panel)

    def _received(self, inbound: Received, draft: Draft, at: Instant, utc: UtcTime) -> None:
        """A registered receiver's message; what of it cannot even be numbered is refused."""
        before = len(draft.signals)
        self._receiving.receive(inbound, draft, at, utc)
        for row in draft.signals[before:]:
            if row[2] == PATH_PHONE:
                self._supervisor.ask(row[1], at)
        for reason in inbound.lost:
            bad = Malformed(inbound.panel, reason, "reception.py Taken", b"", 0, RECEPTION)
            for effect in self._intake.receive(bad, at, registered=True):
                if isinstance(effect, Refused):
                    self._refuse(effect, draft, utc)

    def _carry_out(
        self,
        effects: list[Effect],
        draft: Draft,
        outgoing: list[Outgoing],
        at: Instant,
        received: UtcTime,
    ) -> None:
        store = self._store
        for effect in effects:
            match effect:
                case Admitted(carried=carried, conflict=conflict):
                    id_ = store.allot("signals")
                    draft.signals.append(record_row(id_, carried, received, conflict=conflict))
                case Noticed(panel=panel, event=event):
                    self._notice(draft, panel, event, received)
                case Ask(panel=panel, resend=resend):
                    command: Command = resend
                    outgoing.append(Outgoing(panel, COMMAND, _encode(command)))
                case Refused():
                    self._refuse(effect, draft, received)
                case BeatSeen(beat=beat):
                    heartbeat = beat.heartbeat
                    row = (beat.panel, received, heartbeat.boot, heartbeat.period_s, 0, received)
                    draft.add(Statement.PANEL, (*row, beat.raw))
                    for changed in self._supervisor.receive(heartbeat, at):
                        self._path(changed, draft, received)
                case WillSeen(willed=Willed(will=will)):
                    self._supervisor.receive(will, at)
                case CardSeen():
                    self._card(effect, draft, received)
                case _:
                    assert_never(effect)

    def _notice(self, draft: Draft, panel: str, event: PanelEvent, received: UtcTime) -> None:
        draft.signals.append(centre_row(self._store.allot("signals"), panel, event, received))

    def _path(self, changed: PathChanged, draft: Draft, received: UtcTime) -> None:
        if changed.event.code == Code.PATH_PROVEN:
            if self._is_registered(changed.panel):
                self._notice(draft, changed.panel, changed.event, received)
            return
        lost = changed.event.q == Qualifier.NEW
        if lost and not self._is_registered(changed.panel):
            self._supervisor.forget(changed.panel)
            return
        draft.add(Statement.PANEL_PATH, (int(lost), received, changed.panel))
        self._notice(draft, changed.panel, changed.event, received)

    def _refuse(self, refused: Refused, draft: Draft, received: UtcTime) -> None:
        bad = refused.malformed
        id_ = self._store.allot("refused")
        row = (
            id_,
            received,
            bad.panel,
            bad.reason,
            bad.clause,
            bad.topic,
            bad.size_bytes,
            refused.left_out,
            bad.raw,
        )
        draft.add(Statement.REFUSED, row)
        draft.enter(EntryKind.REFUSAL, str(id_), rows_digest([row]).encode())

    def _card(self, seen: CardSeen, draft: Draft, received: UtcTime) -> None:
        """A new version of the site card; a change of what stood there is a Signal (R18)."""
        card = seen.card
        before = self._cards.get(card.panel)
        if before is None:
            before = self._store.card_digest(card.panel)
        self._cards[card.panel] = card.digest
        if before == card.digest:
            return
        id_ = self._store.allot("site_cards")
        draft.add(Statement.SITE_CARD, (id_, card.panel, card.digest, received, card.raw))
        draft.enter(EntryKind.SITE_CARD, str(id_), card.digest.encode())
        q = Qualifier.NEW if before else Qualifier.STATUS
        event = PanelEvent(code=Code.SITE_CHANGED, q=q, detail=f"card={card.digest}")
        self._notice(draft, card.panel, event, received)
        claim = self._receiving.check_claim(card.card)
        if claim is not None:
            self._notice(draft, card.panel, claim, received)

    def _supervision(self, now: Instant) -> Supervisor:
        supervisor = Supervisor(self._config.supervision)
        for verdict in self._store.verdicts():
            supervisor.restore(verdict, now)
        return supervisor

    def _roll_back(self, now: Instant) -> None:
        """Forget what was not stored; it is read again when the store answers."""
        self._intake.rolled_back()
        self._cards.clear()
        try:
            self._store.reload()
            self._receiving.rolled_back(now)
            self._supervisor = self._supervision(now)
        except StoreError:
            self._supervisor.forgive(now)
