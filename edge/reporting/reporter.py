"""Reporting on one path: what to send when, what to believe, and whether the path is really up.

Knows of each Record only its OwedKey; the bytes come from the journal at send time. The MQTT
library's PUBACK plays no part: a Record stays owed until the collector names its digest (rule 3),
and the path is up only while such answers come (users.md D1).
"""

from __future__ import annotations

from typing import Final

from edge.config import MqttConfig
from edge.journal.record_types import OwedKey
from edge.reporting.acknowledgement import Belief, EpochDebt
from edge.reporting.flights import RESEND_MAX_S, Flights
from edge.reporting.path_causes import LinkCause
from edge.reporting.reporter_types import (
    AckArrived,
    Acknowledged,
    AskDigest,
    DigestFound,
    HeartbeatDue,
    LinkDown,
    LinkUp,
    Newest,
    Owe,
    PathState,
    Reconnect,
    ReOwe,
    Repeated,
    ReporterEffect,
    ReporterInput,
    ResendAsked,
    ResendFound,
    RolledBack,
    Send,
    SendUnavailable,
)
from edge.reporting.send_order import SendOrder
from protocols.instants import Instant, later
from protocols.mqtt.payloads import MAX_RECORDS, Ack, Resend
from protocols.panel_event import Priority

__all__ = [
    "RESEND_MAX_S",
    "AckArrived",
    "Acknowledged",
    "AskDigest",
    "DigestFound",
    "HeartbeatDue",
    "LinkCause",
    "LinkDown",
    "LinkUp",
    "Newest",
    "Owe",
    "OwedKey",
    "PathState",
    "ReOwe",
    "Reconnect",
    "Repeated",
    "Reporter",
    "ReporterEffect",
    "ReporterInput",
    "ResendAsked",
    "ResendFound",
    "RolledBack",
    "Send",
    "SendUnavailable",
]

SILENCE_MAX_S: Final = 90.0
SINGLES_MAX: Final = 4
"""Up to so many Records at once go one by one, for speed; more go in batches."""
ASKED_MAX: Final = 256


class Reporter:
    """The machine of one path. `panel` is the panel's id.

    `silence_s`: without a receipt for so long the path is down, whatever the library says.
    """

    def __init__(self, config: MqttConfig, panel: str) -> None:
        self.panel = panel
        self.silence_s = min(SILENCE_MAX_S, 2 * config.heartbeat_s + config.ack_timeout_s)
        self.unbelieved = 0
        """Acknowledgements, whole or in part, that named no Record of ours."""
        self._window = config.window
        self._heartbeat_s = config.heartbeat_s
        self._debts: dict[int, EpochDebt] = {}
        self._epoch = 0
        self._flights = Flights(config.ack_timeout_s)
        self._order = SendOrder(self._waiting)
        self._asked: dict[tuple[int, int], str] = {}
        self._rolled_back = 0
        self._resent_last = False
        self._linked = False
        self._link_cause = LinkCause.NOT_STARTED
        self._up: bool | None = None
        self._silent_at: Instant | None = None
        """The path is down from here on, unless a receipt comes."""
        self._mute_at: Instant | None = None
        """The connection is worth nothing from here on, unless a receipt comes."""
        self._heartbeat_at: Instant | None = None

    def owed(self) -> int:
        """How many Records are owed on this path."""
        return sum(len(debt) for debt in self._debts.values())

    def receive(self, given: ReporterInput, now: Instant) -> list[ReporterEffect]:
        """Take one input."""
        effects: list[ReporterEffect] = []
        match given:
            case Owe(keys):
                self._owe(keys)
            case Newest(epoch, seq, digest):
                self._newest(epoch, seq, digest)
            case LinkUp():
                self._link_up(now)
            case LinkDown(cause):
                self._link_down(cause)
            case AckArrived(ack):
                effects += self._ack(ack, now)
            case ResendAsked(resend):
                effects += self._resend_asked(resend)
            case ResendFound(resend, keys):
                effects += self._resend_found(resend, keys)
            case DigestFound(epoch, seq, found):
                effects += self._digest_found(epoch, seq, found, now)
            case Repeated(epoch, upto):
                self._repeated(epoch, upto)
        return effects + self.tick(now)

    def tick(self, now: Instant) -> list[ReporterEffect]:
        """Let time pass."""
        effects: list[ReporterEffect] = []
        if self._silent_at is None:
            self._silent_at = later(now, self.silence_s)
        if self._up is not False and now >= self._silent_at:
            self._up = False
            effects.append(PathState(False, self._link_cause.value))
        if self._linked and self._mute_at is not None and now >= self._mute_at:
            self._mute_at = later(now, self.silence_s)
            effects.append(Reconnect(LinkCause.NOT_ACKNOWLEDGED))
        if self._linked and self._heartbeat_at is not None and now >= self._heartbeat_at:
            self._heartbeat_at = later(now, self._heartbeat_s)
            effects.append(HeartbeatDue())
        if self._linked:
            self._flights.expire(now)
            effects += self._send(now)
        return effects

    def deadline(self) -> Instant | None:
        """When `tick` is needed. None before the first input."""
        times = [] if self._up is False else [self._silent_at]
        if self._linked:
            times += [self._heartbeat_at, self._mute_at, self._flights.deadline()]
        return min((time for time in times if time is not None), default=None)

    # -- what is owed ----------------------------------------------------------------------------

    def _waiting(self, key: OwedKey) -> bool:
        debt = self._debts.get(key.epoch)
        return debt is not None and debt.owes(key) and key not in self._flights

    def _owe(self, keys: tuple[OwedKey, ...]) -> None:
        for key in keys:
            if self._debt(key.epoch).owe(key):
                self._order.add(key)

    def _repeated(self, epoch: int, upto: int) -> None:
        debt = self._debts.get(epoch)
        if debt is None:
            return
        for key in debt.drop_upto(upto):
            self._flights.drop(key)
        if epoch != self._epoch:
            self._forget(epoch)

    def _newest(self, epoch: int, seq: int, digest: str) -> None:
        debt = self._debt(epoch)
        debt.newest = max(debt.newest, seq)
        if seq and debt.judge(seq, digest) is Belief.UNKNOWN:
            debt.learn(seq, digest)

    def _debt(self, epoch: int) -> EpochDebt:
        debt = self._debts.get(epoch)
        if debt is None:
            debt = self._debts[epoch] = EpochDebt()
            if epoch > self._epoch:
                self._forget(self._epoch)
                self._epoch = epoch
        return debt

    def _forget(self, epoch: int) -> None:
        debt = self._debts.get(epoch)
        if debt is not None and not debt:
            del self._debts[epoch]

    # -- the link --------------------------------------------------------------------------------

    def _link_up(self, now: Instant) -> None:
        if self._linked:
            self._link_down(LinkCause.CONNECTION_LOST)
        self._linked = True
        self._link_cause = LinkCause.NOT_ACKNOWLEDGED
        self._heartbeat_at = now
        self._mute_at = later(now, self.silence_s)

    def _link_down(self, cause: LinkCause) -> None:
        self._linked = False
        self._link_cause = cause
        self._heartbeat_at = self._mute_at = None
        for key in self._flights.clear():
            self._order.add(key)

    def _receipt(self, now: Instant) -> list[ReporterEffect]:
        self._silent_at = self._mute_at = later(now, self.silence_s)
        if self._up:
            return []
        self._up = True
        self._flights.hurry()
        return [PathState(True, "acknowledged")]

    # -- acknowledgements ------------------------------------------------------------------------

    def _ack(self, ack: Ack, now: Instant) -> list[ReporterEffect]:
        effects: list[ReporterEffect] = []
        debt = self._debts.get(ack.epoch)
        cleared: list[OwedKey] = []
        believed = False
        if ack.upto == 0:
            believed = debt is not None
        elif debt is None:
            effects += self._ask(ack.epoch, ack.upto, ack.head)
        else:
            match debt.judge(ack.upto, ack.head):
                case Belief.OURS:
                    believed = True
                    cleared += debt.clear_upto(ack.upto, ack.head)
                case Belief.UNKNOWN:
                    effects += self._ask(ack.epoch, ack.upto, ack.head)
                case Belief.BEYOND | Belief.FOREIGN:
                    effects += self._foreign(ack.epoch, ack.upto, ack.head)
        if debt is not None:
            picked, foreign = self._also(debt, ack)
            cleared += picked
            believed = believed or bool(picked)
            effects += foreign
        effects += self._cleared(ack.epoch, cleared)
        if believed:
            effects += self._receipt(now)
        return effects

    def _also(self, debt: EpochDebt, ack: Ack) -> tuple[list[OwedKey], list[ReporterEffect]]:
        """Records named one by one. A foreign digest may stand beside ours (clone): ignored."""
        picked: list[OwedKey] = []
        effects: list[ReporterEffect] = []
        for held in ack.also:
            match debt.judge(held.seq, held.digest):
                case Belief.OURS:
                    key = debt.clear_one(held.seq)
                    if key is not None:
                        picked.append(key)
                case Belief.BEYOND:
                    effects += self._foreign(ack.epoch, held.seq, held.digest)
                case Belief.FOREIGN | Belief.UNKNOWN:
                    self.unbelieved += 1
        return picked, effects

    def _cleared(self, epoch: int, keys: list[OwedKey]) -> list[ReporterEffect]:
        if not keys:
            return []
        for key in keys:
            self._flights.drop(key)
        if epoch != self._epoch:
            self._forget(epoch)
        return [Acknowledged(tuple(keys))]

    def _ask(self, epoch: int, seq: int, head: str) -> list[ReporterEffect]:
        """One question at a time for each Record; the newest claim counts."""
        known = (epoch, seq) in self._asked
        if not known and len(self._asked) >= ASKED_MAX:
            self._asked.pop(next(iter(self._asked)))
        self._asked[epoch, seq] = head
        return [] if known else [AskDigest(epoch, seq)]

    def _digest_found(
        self, epoch: int, seq: int, digest: str | None, now: Instant
    ) -> list[ReporterEffect]:
        head = self._asked.pop((epoch, seq), None)
        if head is None or digest is None:
            return []
        if digest != head:
            return self._foreign(epoch, seq, head)
        debt = self._debts.get(epoch)
        cleared = debt.clear_upto(seq, head) if debt is not None else []
        return self._cleared(epoch, cleared) + self._receipt(now)

    def _foreign(self, epoch: int, seq: int, digest: str) -> list[ReporterEffect]:
        self.unbelieved += 1
        if epoch != self._epoch or epoch <= self._rolled_back:
            return []
        self._rolled_back = epoch
        return [RolledBack(epoch, seq, digest)]

    # -- the collector asks again ----------------------------------------------------------------

    def _resend_asked(self, resend: Resend) -> list[ReporterEffect]:
        first, last = resend.first, resend.last
        if last < first:
            return []
        effects: list[ReporterEffect] = []
        if resend.epoch == self._epoch:
            newest = self._debts[self._epoch].newest
            if last > newest:
                effects.append(
                    SendUnavailable(resend.epoch, max(first, newest + 1), last, "never_recorded")
                )
                last = newest
        if first <= last:
            effects.append(ReOwe(Resend(resend.epoch, first, last)))
        return effects

    def _resend_found(self, resend: Resend, keys: tuple[OwedKey, ...]) -> list[ReporterEffect]:
        self._owe(keys)
        effects: list[ReporterEffect] = []
        expected = resend.first
        for seq in sorted({key.seq for key in keys if key.epoch == resend.epoch}):
            if seq > expected:
                effects.append(SendUnavailable(resend.epoch, expected, seq - 1, "not_in_journal"))
            expected = max(expected, seq + 1)
        if expected <= resend.last:
            effects.append(SendUnavailable(resend.epoch, expected, resend.last, "not_in_journal"))
        return effects

    # -- sending ---------------------------------------------------------------------------------

    def _send(self, now: Instant) -> list[ReporterEffect]:
        chosen: list[OwedKey] = []
        while (key := self._next()) is not None:
            self._flights.send(key, now)
            chosen.append(key)
        if len(chosen) <= SINGLES_MAX:
            return [Send((key,)) for key in chosen]
        return [
            Send(tuple(chosen[start : start + MAX_RECORDS]))
            for start in range(0, len(chosen), MAX_RECORDS)
        ]

    def _next(self) -> OwedKey | None:
        """The next Record that may go now.

        Resends take every other turn at most while others wait, else many of them would starve the
        rest (D3). Alarms may use a second window: no backlog in flight holds them up.
        """
        fresh = self._order.first()
        again = self._flights.first_due()
        if (
            again is not None
            and fresh is not None
            and (self._resent_last or fresh[0] < again.priority)
        ):
            again = None
        if again is not None:
            rank, key = again.priority, again
        elif fresh is not None:
            rank, key = fresh
        else:
            return None
        if self._flights.places >= self._room(rank):
            return None
        self._resent_last = again is not None
        return key

    def _room(self, priority: int) -> int:
        return self._window * (2 if priority <= Priority.BURGLARY else 1)
