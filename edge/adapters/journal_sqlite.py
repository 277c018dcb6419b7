"""The panel's journal on disk. Every public method may be called from any thread."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from edge.adapters.journal_checkpoint import Checkpointer
from edge.adapters.journal_database import SEQ_BITS, SEQ_MASK, Database, GarbledError, Row
from edge.adapters.journal_files import JournalFiles, newest_generation
from edge.adapters.journal_opening import (
    Attached,
    Opening,
    UnavailableError,
    blames_content,
    fresh_epoch,
    reason_of,
)
from edge.config import JournalConfig
from edge.journal.chain import ChainCheck, ChainHead, key_of, link, read_record, start_of
from edge.journal.owed import PathDebt
from edge.journal.record_types import Loss, Opened, OwedKey, Rollback, Stamped, Stored
from edge.journal.recovery import (
    HeadNote,
    KeptState,
    changes_arming,
    epoch_opened,
    fault,
    fault_over,
)
from edge.journal.volatile import VolatileEpoch
from protocols.mqtt.payloads import digest_of, genesis
from protocols.panel_event import PanelEvent

RETRY_S: Final = 5.0
"""Between attempts to come back from memory to the disk."""
PENDING_ACKS: Final = 2000
"""Unstored acknowledgements that make the next append carry them along."""
ROTATE_ROWS: Final = 200
SCRUB_ROWS: Final = 500
_FAULTS: Final = (sqlite3.Error, OSError, GarbledError)


class JournalStore:
    """Records, acknowledgements and the panel's state in one place, durable on return.

    Write before tell (DESIGN rule 2): what `append` returns is on disk, or carries
    `recorded` False in an epoch of its own. No (epoch, seq) is ever given two contents: after any
    failed commit, loss or doubt the epoch is left for good and a new one opened.
    """

    def __init__(
        self,
        config: JournalConfig,
        directory: Path,
        panel: str,
        boot: str,
        paths: tuple[str, ...],
    ) -> None:
        self._config = config
        self._panel = panel
        self._boot = boot
        self._paths = paths
        self._lock = threading.RLock()
        self._files = JournalFiles(directory, panel)
        self._database: Database | None = None
        self._checkpointer: Checkpointer | None = None
        self._generation = 0
        self._head = ChainHead(0, 0, "")
        self._ordinal = 0
        self._debts: dict[str, PathDebt] = {}
        self._stored_debts: dict[str, PathDebt] = {}
        self._volatile: VolatileEpoch | None = None
        self._must_reopen = False
        self._retry_at = 0.0
        self._count = 0
        self._unchecked_below: int | None = None
        self._pending: deque[PanelEvent] = deque()
        self._copy_due: KeptState | None = None
        self._closed = False
        self.opened = Opened(0, 0, "", None, snapshot_lost=False, same_boot=False)

    @classmethod
    def open(
        cls,
        config: JournalConfig,
        directory: Path,
        panel: str,
        boot: str,
        paths: tuple[str, ...] = ("mqtt",),
    ) -> JournalStore:
        """Never raises for what stands or does not stand in `directory` (C2)."""
        store = cls(config, directory, panel, boot, paths)
        store._start()
        return store

    # Starting

    def _start(self) -> None:
        with contextlib.suppress(OSError):
            self._files.directory.mkdir(parents=True, exist_ok=True)
        try:
            attached = self._attach()
        except UnavailableError as unavailable:
            self._start_in_memory(unavailable.reason)
            return
        state = attached.state
        self.opened = Opened(
            self._head.epoch,
            self._head.seq,
            self._head.digest,
            None if state is None else state.snapshot,
            snapshot_lost=attached.state_lost,
            same_boot=state is not None and state.boot == self._boot,
            faults=tuple(attached.faults),
        )
        if state is not None and self._files.read_state()[0] != state:
            self._copy_state(state)

    def _attach(self, witness: HeadNote | None = None) -> Attached:
        """Take over a database; the reserve is spent before giving up on a full disk."""
        opening = Opening(self._files, self._panel, self._paths, witness)
        try:
            attached = opening.attach()
        except UnavailableError:
            if not self._files.free_reserve():
                raise
            attached = opening.attach()
        self._database = attached.database
        self._generation = attached.generation
        self._head = attached.head
        newest = attached.database.epochs.newest()
        assert newest is not None
        self._ordinal = newest[0]
        self._debts = attached.debts
        self._stored_debts = {path: debt.copy() for path, debt in attached.debts.items()}
        self._unchecked_below = attached.unchecked_below
        self._count = attached.database.count()
        self._must_reopen = False
        if not self._files.keep_reserve(self._config.reserve_bytes):
            attached.faults.append(fault("reserve=none"))
        self._checkpointer = Checkpointer(attached.database.path)
        return attached

    def _start_in_memory(self, reason: str) -> None:
        note, note_existed = self._files.read_head()
        copy, copy_existed = self._files.read_state()
        known = max(note.head.epoch if note else 0, copy.epoch if copy else 0)
        self._must_reopen = True
        self._enter_memory(known, reason)
        volatile = self._volatile
        assert volatile is not None
        existed = note_existed or copy_existed or self._generation_exists()
        self.opened = Opened(
            volatile.head.epoch,
            0,
            volatile.head.digest,
            None if copy is None else copy.snapshot,
            snapshot_lost=copy is None and existed,
            same_boot=copy is not None and copy.boot == self._boot,
            faults=tuple(self.faults()),
        )

    def _generation_exists(self) -> bool:
        try:
            return newest_generation(self._files.directory) > 0
        except OSError:
            return True

    # Appending

    def append(
        self, events: Sequence[Stamped], snapshot: bytes | None, *, important: bool = False
    ) -> list[Stored]:
        """One durable transaction: Records and the panel's state after them. Never raises for I/O.

        `important`, or any event that touches arming, also rewrites `state.bak`. Afterwards look
        at `faults()`.
        """
        with self._lock:
            if self._volatile is not None and time.monotonic() >= self._retry_at:
                self._return_to_disk(may_salvage=False)
            if self._volatile is None:
                try:
                    made = self._append_to_disk(events, snapshot)
                except _FAULTS as error:
                    self._leave_disk(error)
                    made = self._append_to_memory(events, snapshot)
            else:
                made = self._append_to_memory(events, snapshot)
            self._keep_copy(events, snapshot, important=important)
        if self._config.fsync_delay_ms:
            time.sleep(self._config.fsync_delay_ms / 1000)
        return made

    def _append_to_disk(self, events: Sequence[Stamped], snapshot: bytes | None) -> list[Stored]:
        head = self._head
        made: list[Stored] = []
        rows: list[tuple[int, bytes, bytes]] = []
        for event in events:
            head, stored = link(self._panel, self._boot, head, event)
            made.append(stored)
            row_id = self._ordinal << SEQ_BITS | head.seq
            rows.append((row_id, bytes.fromhex(head.digest), stored.raw))
        try:
            self._commit(rows, snapshot, head.seq)
        except sqlite3.Error as error:
            # Reserve spent, the same bytes under the same numbers once more.
            if blames_content(error) or not self._files.free_reserve():
                raise
            self._pending.append(fault("reserve=spent", f"why={reason_of(error)}"))
            self._commit(rows, snapshot, head.seq)
        self._head = head
        self._count += len(rows)
        self._files.write_head(HeadNote(self._panel, head))
        if self._checkpointer is not None:
            self._checkpointer.committed()
        return made

    def _commit(
        self, rows: Sequence[tuple[int, bytes, bytes]], snapshot: bytes | None, seq: int
    ) -> None:
        database = self._database
        assert database is not None
        unstored = sum(debt.changed for debt in self._debts.values())
        with database.transaction():
            database.add_rows(rows)
            if snapshot is not None:
                database.put_state(self._ordinal << SEQ_BITS | seq, self._boot, snapshot)
            if unstored > PENDING_ACKS:
                self._put_debts(database)
        if unstored > PENDING_ACKS:
            self._debts_stored()

    def _keep_copy(
        self, events: Sequence[Stamped], snapshot: bytes | None, *, important: bool
    ) -> None:
        if snapshot is not None and (
            important or any(changes_arming(each.event) for each in events)
        ):
            head = self._now_head()
            self._copy_due = KeptState(self._boot, head.epoch, head.seq, snapshot)
        if self._copy_due is not None:
            self._copy_state(self._copy_due)

    def _copy_state(self, state: KeptState) -> None:
        self._copy_due = None if self._files.write_state(state) else state

    def _now_head(self) -> ChainHead:
        volatile = self._volatile
        return self._head if volatile is None else volatile.head

    # Without a disk

    def _leave_disk(self, error: Exception) -> None:
        database = self._database
        if isinstance(error, GarbledError) or (
            isinstance(error, sqlite3.Error) and blames_content(error)
        ):
            self._must_reopen = True
        known = self._head.epoch
        if database is not None:
            known = max(known, *database.epochs.recorded)
        self._enter_memory(known, reason_of(error))

    def _enter_memory(self, known: int, reason: str) -> None:
        self._volatile = VolatileEpoch(
            self._panel, self._boot, fresh_epoch(known), paths=self._paths
        )
        self._retry_at = time.monotonic() + RETRY_S
        self._pending.append(fault("writing=failed", f"why={reason}"))

    def _append_to_memory(self, events: Sequence[Stamped], snapshot: bytes | None) -> list[Stored]:
        assert self._volatile is not None
        made = self._volatile.append(events, snapshot)
        self._files.write_head(HeadNote(self._panel, self._volatile.head, recorded=False))
        return made

    def _return_to_disk(self, *, may_salvage: bool) -> None:
        """Write the Records kept in memory as they are, then open another epoch."""
        volatile = self._volatile
        if volatile is None or (self._must_reopen and not may_salvage):
            return
        self._retry_at = time.monotonic() + RETRY_S
        left = self._head
        try:
            if self._must_reopen:
                self._reopen(left)
            self._back_fill(volatile, left)
        except (UnavailableError, *_FAULTS) as error:
            if isinstance(error, sqlite3.Error) and blames_content(error):
                self._must_reopen = True

    def _reopen(self, left: ChainHead) -> None:
        self._drop_database()
        witness = HeadNote(self._panel, left) if left.epoch else None
        attached = self._attach(witness)
        self._pending.extend(attached.faults)

    def _back_fill(self, volatile: VolatileEpoch, left: ChainHead) -> None:
        database = self._database
        assert database is not None
        kept = volatile.kept()
        lost = volatile.dropped()
        epoch = fresh_epoch(max(volatile.head.epoch, *database.epochs.recorded))
        with database.transaction():
            memory = database.add_epoch(volatile.head.epoch, recorded=False)
            database.add_rows(
                [
                    (memory << SEQ_BITS | each.key.seq, bytes.fromhex(each.key.digest), each.raw)
                    for each in kept
                ]
            )
            database.add_losses(lost)
            fresh = database.add_epoch(epoch, recorded=True, ordinal=memory + 1)
            if volatile.snapshot is not None:
                database.put_state(fresh << SEQ_BITS, self._boot, volatile.snapshot)
        database.epochs.add(memory, volatile.head.epoch, recorded=False)
        database.epochs.add(fresh, epoch, recorded=True)
        for path, debt in self._debts.items():
            done = [memory << SEQ_BITS | seq for seq in volatile.acknowledged.get(path, ())]
            debt.acknowledge([*self._untold(database, left), *done], database.after)
        self._count += len(kept)
        self._head = start_of(self._panel, epoch)
        self._ordinal = fresh
        self._volatile = None
        self._files.write_head(HeadNote(self._panel, self._head))
        self._pending.append(fault_over(f"back_filled={len(kept)}"))
        self._pending.append(epoch_opened(volatile.head, lost))

    def _untold(self, database: Database, left: ChainHead) -> list[int]:
        """Rows of a commit that failed and yet reached the disk: told since from memory."""
        after = database.epochs.row_id(left.epoch, left.seq + 1)
        if after is None:
            return []
        return [each.id for each in database.rows_between(after, after | SEQ_MASK)]

    def faults(self) -> tuple[PanelEvent, ...]:
        """What went wrong or right since the last call: append these."""
        with self._lock:
            told = tuple(self._pending)
            self._pending.clear()
            return told

    # Owed

    def owed(self, path: str) -> list[OwedKey]:
        """Every Record not acknowledged on `path`, by (epoch, seq)."""
        with self._lock:
            keys: list[OwedKey] = []
            debt = self._debts.get(path)
            if self._database is not None and debt is not None:
                try:
                    for row in self._database.rows_between(debt.upto + 1, 1 << 62):
                        if row.id not in debt.beyond:
                            keys += self._key(row)
                    for row_id in debt.again:
                        again = self._database.row(row_id)
                        keys += [] if again is None else self._key(again)
                except _FAULTS as error:
                    self._read_failed(error)
            if self._volatile is not None:
                keys += self._volatile.owed(path)
            return sorted(keys)

    def _key(self, row: Row) -> list[OwedKey]:
        record = read_record(row.raw, self._panel)
        if record is None:
            self._pending.append(fault(f"unreadable_row={row.id}"))
            return []
        return [key_of(record, row.digest.hex())]

    def _read_failed(self, error: Exception) -> None:
        self._pending.append(fault("reading=failed", f"why={reason_of(error)}"))

    def read(self, keys: Sequence[OwedKey]) -> list[bytes | None]:
        """The Records' bytes; None for what is not (or no longer) here."""
        with self._lock:
            return [self._raw(each) for each in keys]

    def _raw(self, key: OwedKey) -> bytes | None:
        if self._volatile is not None and key.epoch == self._volatile.head.epoch:
            return self._volatile.raw(key.seq)
        if self._database is None:
            return None
        row_id = self._database.epochs.row_id(key.epoch, key.seq)
        try:
            row = None if row_id is None else self._database.row(row_id)
        except _FAULTS as error:
            self._read_failed(error)
            return None
        return row.raw if row is not None and row.digest.hex() == key.digest else None

    def acknowledge(self, path: str, keys: Sequence[OwedKey]) -> None:
        """No longer owed. Stored when idle, not synced: a lost one costs a resend, no more."""
        with self._lock:
            volatile = self._volatile
            if volatile is not None:
                epoch = volatile.head.epoch
                volatile.acknowledge(path, [each.seq for each in keys if each.epoch == epoch])
            debt = self._debts.get(path)
            if self._database is None or debt is None:
                return
            place = self._database.epochs.row_id
            rows = [place(each.epoch, each.seq) for each in keys]
            try:
                debt.acknowledge([each for each in rows if each is not None], self._database.after)
            except _FAULTS as error:
                self._read_failed(error)

    def held(self, path: str, epoch: int, first: int, last: int) -> list[OwedKey]:
        """The Records of a Resend request that are here; owed on `path` again from now on."""
        with self._lock:
            volatile = self._volatile
            if volatile is not None and epoch == volatile.head.epoch:
                keys = volatile.keys(first, last)
                volatile.ask_again(path, [each.seq for each in keys])
                return keys
            debt = self._debts.get(path)
            database = self._database
            if database is None or debt is None:
                return []
            low, high = database.epochs.row_id(epoch, first), database.epochs.row_id(epoch, last)
            if low is None or high is None:
                return []
            try:
                rows = list(database.rows_between(low, high))
            except _FAULTS as error:
                self._read_failed(error)
                return []
            keys = [key for row in rows for key in self._key(row)]
            debt.ask_again([each.id for each in rows])
            return keys

    def _put_debts(self, database: Database) -> None:
        for path, debt in self._debts.items():
            database.put_debt(path, debt, self._stored_debts[path])

    def _debts_stored(self) -> None:
        for path, debt in self._debts.items():
            debt.changed = 0
            self._stored_debts[path] = debt.copy()

    # What the centre knows

    def rolled_back(self, epoch: int, upto: int, head: str) -> Rollback:
        """The collector acknowledged `epoch` up to `upto` with digest `head`, and this journal
        has less, or something else there: it stands behind what was already reported.

        Never reuses those numbers: what is still owed under them is repeated in a new epoch.
        """
        with self._lock:
            database = self._database
            if database is None or self._volatile is not None:
                return Rollback((), ())
            if upto == 0 or self.digest_at(epoch, upto) == head:
                return Rollback((), ())
            try:
                return self._repeat(database, epoch, upto)
            except _FAULTS as error:
                self._leave_disk(error)
                return Rollback((), ())

    def _repeat(self, database: Database, epoch: int, upto: int) -> Rollback:
        low, high = database.epochs.row_id(epoch, 1), database.epochs.row_id(epoch, upto)
        rows = [] if low is None or high is None else list(database.rows_between(low, high))
        last = rows[-1].id & SEQ_MASK if rows else 0
        known = database.losses()
        lost = [] if last >= upto else [Loss(epoch, last + 1, upto)]
        lost = [each for each in lost if each not in known]
        owed = [row for row in rows if any(d.owes(row.id) for d in self._debts.values())]
        if not lost and not owed and epoch != self._head.epoch:
            return Rollback((), ())
        fresh = fresh_epoch(max(epoch, *database.epochs.recorded))
        head = start_of(self._panel, fresh)
        made: list[Stored] = []
        for row in owed:
            record = read_record(row.raw, self._panel)
            if record is not None:
                again = Stamped(record.event, record.mono, record.utc, record.err_us)
                head, stored = link(self._panel, record.boot, head, again)
                made.append(stored)
        with database.transaction():
            ordinal = database.add_epoch(fresh, recorded=True)
            database.add_losses(lost)
            database.add_rows(
                [
                    (ordinal << SEQ_BITS | each.key.seq, bytes.fromhex(each.key.digest), each.raw)
                    for each in made
                ]
            )
        before = self._head
        database.epochs.add(ordinal, fresh, recorded=True)
        self._head, self._ordinal = head, ordinal
        self._count += len(made)
        for debt in self._debts.values():
            debt.acknowledge([row.id for row in owed], database.after)
        self._files.write_head(HeadNote(self._panel, head))
        told = fault("why=centre_has_more", f"repeated={len(made)}")
        return Rollback((told, epoch_opened(before, lost)), tuple(made))

    def digest_at(self, epoch: int, seq: int) -> str | None:
        """Digest of one Record; the genesis at 0; None when it is not here."""
        with self._lock:
            if seq == 0:
                return genesis(self._panel, epoch)
            volatile = self._volatile
            if volatile is not None and epoch == volatile.head.epoch:
                raw = volatile.raw(seq)
                return None if raw is None else digest_of(raw)
            database = self._database
            row_id = None if database is None else database.epochs.row_id(epoch, seq)
            if database is None or row_id is None:
                return None
            try:
                row = database.row(row_id)
            except _FAULTS as error:
                self._read_failed(error)
                return None
            return None if row is None else row.digest.hex()

    def newest(self) -> ChainHead:
        """Epoch, newest sequence number and its digest: what a heartbeat tells. Waits for none."""
        return self._now_head()

    def floor(self, epoch: int) -> int:
        """The oldest sequence number of `epoch` that can still be sent; 0 when none."""
        with self._lock:
            volatile = self._volatile
            if volatile is not None and epoch == volatile.head.epoch:
                return min((each.key.seq for each in volatile.kept()), default=0)
            database = self._database
            first = None if database is None else database.epochs.row_id(epoch, 0)
            if database is None or first is None:
                return 0
            try:
                oldest = database.edge_id(newest=False, within=(first, first | SEQ_MASK))
            except _FAULTS as error:
                self._read_failed(error)
                return 0
            return 0 if oldest is None else oldest & SEQ_MASK

    def count(self) -> int:
        """Records kept, those in memory included."""
        with self._lock:
            return self._count + (0 if self._volatile is None else len(self._volatile.kept()))

    def usage(self) -> float:
        """How full: unacknowledged Records against `max_records`, or the journal's share of the
        room it and the rest of the disk leave; the larger. 1.0 without a disk or a reserve.
        """
        with self._lock:
            database = self._database
            if database is None or self._volatile is not None or not self._files.holds_reserve():
                return 1.0
            try:
                owed = database.count(min(debt.upto for debt in self._debts.values()))
                size = sum(
                    each.stat().st_size for each in self._files.directory.glob("journal-*.db*")
                )
                free = self._files.free_bytes()
            except _FAULTS as error:
                self._read_failed(error)
                return 1.0
            return max(owed / self._config.max_records, size / max(1, size + free))

    # When idle

    def rotate(self) -> bool:
        """Upkeep in small steps; call when idle, again at once while it returns True.

        Stores acknowledgements, removes the oldest Records beyond `max_records` if acknowledged
        on every path, checks old Records, comes back from memory to the disk. A step takes some
        milliseconds, but for a return to a damaged disk, which salvages (C2).
        """
        with self._lock:
            if self._volatile is not None and time.monotonic() >= self._retry_at:
                self._return_to_disk(may_salvage=True)
            database = self._database
            if database is None or self._volatile is not None:
                return False
            try:
                more = self._upkeep(database)
            except _FAULTS as error:
                if isinstance(error, GarbledError) or (
                    isinstance(error, sqlite3.Error) and blames_content(error)
                ):
                    self._leave_disk(error)
                return False
            if self._checkpointer is not None:
                self._checkpointer.run_soon()
            return more

    def _upkeep(self, database: Database) -> bool:
        if any(debt.changed for debt in self._debts.values()):
            with database.transaction(lazy=True):
                self._put_debts(database)
            self._debts_stored()
        if not self._files.holds_reserve():
            self._files.keep_reserve(self._config.reserve_bytes)
        excess = min(self._count - self._config.max_records, ROTATE_ROWS)
        more = False
        if excess > 0:
            oldest = database.oldest_ids(excess)
            free = min(debt.free_upto() for debt in self._debts.values())
            newest = self._ordinal << SEQ_BITS
            gone = [each for each in oldest if each <= free and each < newest + self._head.seq]
            if gone:
                with database.transaction(lazy=True):
                    self._count -= database.rotate(gone[-1])
                more = self._count > self._config.max_records
        return self._scrub(database) or more

    def _scrub(self, database: Database) -> bool:
        below = self._unchecked_below
        if below is None:
            return False
        check = ChainCheck(self._panel, database.losses())
        seen = 0
        for row in database.rows_down(below + 1, SCRUB_ROWS):
            seen += 1
            below = row.id
            findings = check.feed(*database.epochs.place(row.id), row.digest.hex(), row.raw)
            if findings:
                self._pending.append(fault(*map(str, findings)))
                with database.transaction(lazy=True):
                    database.add_losses(each.where for each in findings)
        self._unchecked_below = below if seen == SCRUB_ROWS else None
        return self._unchecked_below is not None

    def _drop_database(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer.close()
            self._checkpointer = None
        if self._database is not None:
            with contextlib.suppress(sqlite3.Error):
                self._database.close()
            self._database = None

    def close(self) -> None:
        """Store what is pending and let go; nothing may be called afterwards."""
        with self._lock:
            if self._volatile is not None:
                self._return_to_disk(may_salvage=False)
            if self._database is not None and self._volatile is None:
                with contextlib.suppress(*_FAULTS), self._database.transaction(lazy=True):
                    self._put_debts(self._database)
            self._drop_database()
            self._files.close()
