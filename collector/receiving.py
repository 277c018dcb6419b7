"""Phone receivers' part of stage 1: entries of spools -> Signals, in the same transaction.

Whose account it is is decided here, once: the Signal is stored under that panel, so a replay needs
no registry. What nobody has, or more than one, goes under a pseudo panel and is told (S22).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import assert_never

import msgspec

from collector.adapters.ledger_rows import PhoneBody, centre_row, phone_row
from collector.adapters.ledger_statements import Statement
from collector.adapters.ledger_store import Draft, LedgerStore
from collector.config import CollectorConfig
from collector.intake import (
    AccountBook,
    Inbound,
    Noticed,
    PathChanged,
    PhonePath,
    PhoneWatch,
    PinLists,
    Received,
    ReceiverSeen,
    ReceiverWatch,
    Receptions,
    Resolved,
    TakenIn,
    Unreadable,
)
from collector.intake.detail import value as _token
from collector.ports import Registered
from collector.records.ledger_entry import EntryKind
from protocols.instants import US_PER_S, Instant, UtcTime
from protocols.mqtt.payloads import SiteCard
from protocols.mqtt.reception import (
    LineState,
    ReceiverPins,
    Reception,
    ReceptionAck,
    Report,
    Unrecognised,
)
from protocols.panel_event import Code, PanelEvent, Qualifier

MAX_TOLD = 4096
_encode = msgspec.json.Encoder().encode


class Receiving:
    """Owned by the writer thread, beside `Admitting`."""

    def __init__(
        self, config: CollectorConfig, store: LedgerStore, registered: Registered, now: Instant
    ) -> None:
        self._config = config
        self._store = store
        self._registered = registered
        self._receptions = Receptions(config.receptions)
        self._told: dict[tuple[str, int], UtcTime] = {}
        self._book = AccountBook()
        self._watch = ReceiverWatch()
        self._phones = PhoneWatch()
        self._pin_lists = PinLists()
        self._pins: list[tuple[str, ReceiverPins]] = []
        self.reports = 0
        self._restore(now)

    def load(self, inbounds: Iterable[Inbound]) -> None:
        """What must be known of the spools before `receive`."""
        ours = [one for one in inbounds if isinstance(one, Received)]
        for receiver, epoch in self._receptions.wanted(ours):
            self._receptions.adopt(self._store.spool(receiver, epoch))
        doubtful: dict[tuple[str, int], list[int]] = {}
        for receiver, epoch, seq in self._receptions.doubtful(ours):
            doubtful.setdefault((receiver, epoch), []).append(seq)
        for (receiver, epoch), seqs in doubtful.items():
            self._receptions.inform(self._store.receptions(receiver, epoch, min(seqs), max(seqs)))

    def receive(self, received: Received, draft: Draft, at: Instant, utc: UtcTime) -> None:
        """Into the draft goes what a registered receiver sent."""
        for effect in self._receptions.receive(received, at):
            match effect:
                case TakenIn():
                    self._take(effect, received.header, draft, utc)
                case ReceiverSeen():
                    self._seen(received.header, draft, at, utc)
                case Noticed(panel=panel, event=event):
                    self._notice(draft, panel, event, utc)
                case _:
                    assert_never(effect)

    def tick(self, draft: Draft, now: Instant, utc: Callable[[Instant], UtcTime]) -> None:
        """Receivers and phone lines not heard of for too long."""
        for changed in self._watch.tick(now):
            if not self._registered.is_receiver(changed.panel):
                self._watch.forget(changed.panel)
                continue
            draft.add(Statement.RECEIVER_PATH, (1, utc(now), changed.panel))
            self._notice(draft, changed.panel, changed.event, utc(now))
        due = self._phones.deadline()
        book = self._registered.book()
        if book is self._book and (due is None or due > utc(now)):
            return
        if book is not self._book:
            self._book = book
            for path in self._phones.expect(book.tests(), utc(now)):
                self._keep(draft, path)
        for path, changed in self._phones.tick(utc(now)):
            self._keep(draft, path)
            self._notice(draft, changed.panel, changed.event, utc(now))

    def store_changed(self, draft: Draft) -> None:
        """Rows of the spools taken further."""
        for state in self._receptions.changed():
            draft.add(Statement.SPOOL, (state.receiver, state.epoch, state.upto))

    def committed(self) -> list[tuple[str, ReceptionAck]]:
        """The acknowledgements of what is durable now."""
        return self._receptions.committed()

    def pins(self) -> list[tuple[str, ReceiverPins]]:
        """What receivers are to pin and do not know yet; once."""
        pins, self._pins = self._pins, []
        return pins

    def rolled_back(self, now: Instant) -> None:
        """Forget what was not stored."""
        self._pins.clear()
        self._receptions.rolled_back()
        self._told.clear()
        self._book = AccountBook()
        self._watch = ReceiverWatch()
        self._phones = PhoneWatch()
        self._restore(now)

    def deadline(self) -> Instant | None:
        """When a receiver is overdue."""
        return self._watch.deadline()

    def phone_deadline(self) -> UtcTime | None:
        """When a panel's phone test is overdue, by the ledger's clock."""
        return self._phones.deadline()

    def forgive(self, now: Instant) -> None:
        """We could not hear for a while."""
        self._watch.forgive(now)

    def check_claim(self, card: SiteCard) -> PanelEvent | None:
        """A card's claim of an account that the registry does not bear out: told, not obeyed."""
        claim = card.account
        if not claim:
            return None
        owners = sorted(
            {one.panel for one in self._registered.book().accounts if one.account == claim}
        )
        if card.panel in owners:
            return None
        if owners:
            detail = f"claim={claim};panels={'+'.join(owners[:8])};why=registered for another"
            return PanelEvent(Code.ACCOUNT_COLLISION, detail=detail)
        detail = f"claim={claim};why=not registered: account set {claim} {card.panel}"
        return PanelEvent(Code.ACCOUNT_UNKNOWN, detail=detail)

    def _restore(self, now: Instant) -> None:
        for verdict in self._store.receivers():
            self._watch.restore(verdict, now)
        for path in self._store.phone_paths():
            self._phones.restore(path)

    def _seen(self, header: Reception, draft: Draft, at: Instant, utc: UtcTime) -> None:
        row = (header.receiver, utc, header.period_s, 0, utc, _encode(header))
        draft.add(Statement.RECEIVER, row)
        for part in self._pin_lists.receive(header, self._registered.book(), at):
            self._pins.append((header.receiver, part))
        for changed in self._watch.receive(header, at):
            self._back(draft, changed, utc)

    def _back(self, draft: Draft, changed: PathChanged, utc: UtcTime) -> None:
        draft.add(Statement.RECEIVER_PATH, (0, utc, changed.panel))
        self._notice(draft, changed.panel, changed.event, utc)

    def _take(self, taken: TakenIn, header: Reception, draft: Draft, utc: UtcTime) -> None:
        entry, receiver = taken.entry, taken.receiver
        signal = self._store.last_signal + 1
        found = entry.taken
        if isinstance(found, Unreadable):
            detail = f"line={_token(found.line)};reason=entry not readable: {_token(found.reason)}"
            self._enter(taken, draft)
            self._notice(draft, receiver, PanelEvent(Code.UNRECOGNISED_CALL, detail=detail), utc)
        else:
            match found.what:
                case Report() as report:
                    self._report(taken, report, header, draft, utc)
                case Unrecognised() as call:
                    self._enter(taken, draft)
                    self._unrecognised(receiver, found.line, call, draft, utc)
                case LineState() as state:
                    self._enter(taken, draft)
                    q = Qualifier.RESTORE if state.up else Qualifier.NEW
                    detail = f"line={_token(found.line)};cause={_token(state.cause)}"
                    event = PanelEvent(Code.LINE_FAULT, q, detail=detail)
                    self._notice(draft, receiver, event, utc)
                case _:
                    assert_never(found.what)
        row = (receiver, taken.epoch, entry.seq, entry.digest, signal)
        draft.add(Statement.RECEPTION, row)

    def _report(
        self, taken: TakenIn, report: Report, header: Reception, draft: Draft, utc: UtcTime
    ) -> None:
        entry, receiver = taken.entry, taken.receiver
        what = entry.taken
        book = self._registered.book()
        resolved = book.resolve(report.account, receiver, what.line, report.caller)
        body = PhoneBody(receiver, taken.epoch, msgspec.Raw(entry.raw), resolved.candidates)
        at, err_us = self._time(what.at, header.sent, entry.age_s, utc)
        id_ = self._store.allot("signals")
        code = report.event.code
        draft.signals.append(phone_row(id_, resolved.panel, code, utc, at, err_us, body))
        self.reports += 1
        if len(resolved.candidates) != 1:
            self._doubtful(resolved, report, receiver, what.line, draft, utc)
            return
        path, changes = self._phones.heard(resolved.panel, utc)
        self._keep(draft, path)
        for changed in changes:
            self._notice(draft, changed.panel, changed.event, utc)

    def _time(
        self, taken: UtcTime, sent: int, age_s: float | None, utc: UtcTime
    ) -> tuple[UtcTime, int]:
        """(at, bound) by our clock. Where the receiver does not know the age, the bound grows by
        all that its clock differs from ours, and by what it was set back since.
        """
        times = self._config.phone
        middle = round((times.least_s + times.most_s) / 2 * US_PER_S)
        half = round((times.most_s - times.least_s) / 2 * US_PER_S)
        if age_s is not None:
            return UtcTime(utc - round(age_s * US_PER_S) - middle), half
        offset = utc - sent if sent else max(0, taken - utc) * -1
        set_back = max(0, taken - sent) if sent else 0
        return UtcTime(min(taken + offset, utc) - middle), half + abs(offset) + set_back

    def _doubtful(
        self, found: Resolved, report: Report, receiver: str, line: str, draft: Draft, utc: UtcTime
    ) -> None:
        code = Code.ACCOUNT_UNKNOWN if found.unknown else Code.ACCOUNT_COLLISION
        key = (found.panel, int(code))
        last = self._told.get(key)
        if last is not None and utc - last < self._config.phone.notice_every_s * US_PER_S:
            return
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        self._told[key] = utc
        said = [f"account={_token(report.account)}"]
        if found.collision:
            said.append(f"panels={'+'.join(found.candidates[:8])}")
        said += [f"receiver={receiver}", f"line={_token(line)}", f"caller={_token(report.caller)}"]
        event = PanelEvent(code, detail=";".join(said))
        self._notice(draft, found.panel, event, utc)

    def _unrecognised(
        self, receiver: str, line: str, call: Unrecognised, draft: Draft, utc: UtcTime
    ) -> None:
        """Under the panel whose line the number is, if that is known, else under the receiver."""
        panel = self._registered.book().panel_of_caller(call.caller) or receiver
        said = {
            "call": call.call,
            "caller": call.caller,
            "receiver": receiver,
            "line": line,
            "tried": call.tried,
            "heard": call.heard,
            "audio": call.audio,
            "reason": call.reason,
        }
        detail = ";".join(f"{name}={_token(value)}" for name, value in said.items() if value)
        self._notice(draft, panel, PanelEvent(Code.UNRECOGNISED_CALL, detail=detail), utc)

    def _enter(self, taken: TakenIn, draft: Draft) -> None:
        ref = f"{taken.receiver}/{taken.epoch}/{taken.entry.seq}"
        draft.enter(EntryKind.RECEPTION, ref, taken.entry.raw)

    def _keep(self, draft: Draft, path: PhonePath) -> None:
        draft.add(Statement.PHONE_PATH, (path.panel, path.heard, int(path.lost), path.since))

    def _notice(self, draft: Draft, panel: str, event: PanelEvent, utc: UtcTime) -> None:
        draft.signals.append(centre_row(self._store.allot("signals"), panel, event, utc))
