"""The Records on disk, their acknowledgements and the epoch being written; errors propagate."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from edge.adapters.journal_database import SEQ_BITS, SEQ_MASK, Database, Row
from edge.adapters.journal_opening import Attached, fresh_epoch
from edge.journal.chain import ChainCheck, ChainHead, key_of, link, read_record, start_of
from edge.journal.record_types import Loss, OwedKey, Stamped, Stored
from edge.journal.recovery import HeadNote
from edge.journal.volatile import VolatileEpoch

PENDING_ACKS: Final = 2000
"""Unstored acknowledgements that make the next append carry them along."""
ROTATE_ROWS: Final = 200
SCRUB_ROWS: Final = 500
Tell = Callable[..., None]
"""Takes the tokens of a JOURNAL_FAULT."""


class KeptRecords:
    """What `JournalStore` keeps while its disk works; sqlite3.Error and GarbledError propagate.

    `head` is what the last commit that returned left behind.
    """

    def __init__(self, attached: Attached, panel: str, boot: str) -> None:
        self.database: Database = attached.database
        self.panel = panel
        self.boot = boot
        self.head: ChainHead = attached.head
        newest = attached.database.epochs.newest()
        assert newest is not None
        self._ordinal = newest[0]
        self._debts = attached.debts
        self._stored = {path: debt.copy() for path, debt in attached.debts.items()}
        self._unchecked_below = attached.unchecked_below
        self._floors: dict[int, int] = {}
        self._new_faults = bool(attached.faults)
        """The next append carries the faults of this start: then they need not be kept."""
        self.count = attached.database.count()
        self.rotated = attached.database.epochs.place(attached.database.rotated_upto())

    def note(self) -> HeadNote:
        """What `journal.head` should say."""
        return HeadNote(self.panel, self.head, rotated=self.rotated)

    def highest_epoch(self) -> int:
        """Of all epochs here."""
        return max(self.database.epochs.recorded)

    # Appending

    def append(
        self, events: Sequence[Stamped], snapshot: bytes | None, spare: Callable[[Exception], bool]
    ) -> list[Stored]:
        """One transaction; if it fails and `spare` found room, once more with the same bytes."""
        head = self.head
        made: list[Stored] = []
        for event in events:
            head, stored = link(self.panel, self.boot, head, event)
            made.append(stored)
        try:
            self._commit(made, snapshot, head.seq)
        except Exception as error:
            if not spare(error):
                raise
            self._commit(made, snapshot, head.seq)
        self.head = head
        self.count += len(made)
        return made

    def _commit(self, made: Sequence[Stored], snapshot: bytes | None, seq: int) -> None:
        with_debts = sum(debt.changed for debt in self._debts.values()) > PENDING_ACKS
        with self.database.transaction():
            self._add(self._ordinal, made)
            if snapshot is not None:
                self.database.put_state(self._ordinal << SEQ_BITS | seq, self.boot, snapshot)
            if with_debts:
                self._put_debts()
            if self._new_faults:
                self.database.told()
        self._new_faults = False
        if with_debts:
            self._debts_stored()

    def _add(self, ordinal: int, records: Iterable[Stored]) -> None:
        self.database.add_rows(
            [
                (ordinal << SEQ_BITS | each.key.seq, bytes.fromhex(each.key.digest), each.raw)
                for each in records
            ]
        )

    def back_fill(self, volatile: VolatileEpoch, left: ChainHead) -> int:
        """Take over an epoch that lived in memory, as it is, and open a new one; how many.

        `left` is what had been told of before: rows of a commit that failed and reached the disk
        all the same are not owed, because memory told of them.
        """
        database = self.database
        kept, lost = volatile.kept(), volatile.dropped()
        epoch = fresh_epoch(max(volatile.head.epoch, self.highest_epoch()))
        with database.transaction():
            memory = database.add_epoch(volatile.head.epoch, recorded=False)
            self._add(memory, kept)
            database.add_losses(lost)
            ordinal = database.add_epoch(epoch, recorded=True, ordinal=memory + 1)
            if volatile.snapshot is not None:
                database.put_state(ordinal << SEQ_BITS, self.boot, volatile.snapshot)
        database.epochs.add(memory, volatile.head.epoch, recorded=False)
        self._begin(ordinal, start_of(self.panel, epoch))
        self.count += len(kept)
        for path, debt in self._debts.items():
            done = [memory << SEQ_BITS | seq for seq in volatile.acknowledged.get(path, ())]
            debt.acknowledge([*self._untold(left), *done], database.after)
        return len(kept)

    def _begin(self, ordinal: int, head: ChainHead) -> None:
        self.database.epochs.add(ordinal, head.epoch, recorded=True)
        self._ordinal = ordinal
        self.head = head

    def _untold(self, left: ChainHead) -> list[int]:
        after = self.database.epochs.row_id(left.epoch, left.seq + 1)
        if after is None:
            return []
        return [each.id for each in self.database.rows_between(after, after | SEQ_MASK)]

    def repeat(self, epoch: int, upto: int) -> tuple[list[Loss], list[Stored]] | None:
        """The centre has more of `epoch` than is here: leave it for good.

        What is owed up to `upto` is repeated in a new epoch, because those numbers are taken.
        None when all of this was done before.
        """
        database = self.database
        low, high = database.epochs.row_id(epoch, 1), database.epochs.row_id(epoch, upto)
        rows = [] if low is None or high is None else list(database.rows_between(low, high))
        last = rows[-1].id & SEQ_MASK if rows else 0
        lost = [] if last >= upto else [Loss(epoch, last + 1, upto)]
        lost = [each for each in lost if each not in database.losses()]
        owed = [row for row in rows if any(debt.owes(row.id) for debt in self._debts.values())]
        if not lost and not owed and epoch != self.head.epoch:
            return None
        head = start_of(self.panel, fresh_epoch(max(epoch, self.highest_epoch())))
        made: list[Stored] = []
        for row in owed:
            record = read_record(row.raw, self.panel)
            if record is not None:
                again = Stamped(record.event, record.mono, record.utc, record.err_us)
                head, stored = link(self.panel, record.boot, head, again)
                made.append(stored)
        with database.transaction():
            ordinal = database.add_epoch(head.epoch, recorded=True)
            database.add_losses(lost)
            self._add(ordinal, made)
        self._begin(ordinal, head)
        self.count += len(made)
        for debt in self._debts.values():
            debt.acknowledge([row.id for row in owed], database.after)
        return lost, made

    # Owed

    def owed(self, path: str, tell: Tell) -> list[OwedKey]:
        """Not acknowledged on `path`."""
        debt = self._debts.get(path)
        if debt is None:
            return []
        keys: list[OwedKey] = []
        for row in self.database.rows_between(debt.upto + 1, 1 << 62):
            if row.id not in debt.beyond:
                keys += self._key(row, tell)
        for row_id in debt.again:
            again = self.database.row(row_id)
            keys += [] if again is None else self._key(again, tell)
        return keys

    def _key(self, row: Row, tell: Tell) -> list[OwedKey]:
        record = read_record(row.raw, self.panel)
        if record is None:
            tell(f"unreadable_row={row.id}")
            return []
        return [key_of(record, row.digest.hex())]

    def row(self, epoch: int, seq: int) -> Row | None:
        """One Record."""
        row_id = self.database.epochs.row_id(epoch, seq)
        return None if row_id is None else self.database.row(row_id)

    def acknowledge(self, path: str, keys: Iterable[OwedKey]) -> None:
        """No longer owed; reaches the disk with the next upkeep."""
        debt = self._debts.get(path)
        if debt is None:
            return
        rows = [self.database.epochs.row_id(each.epoch, each.seq) for each in keys]
        debt.acknowledge([each for each in rows if each is not None], self.database.after)

    def held(self, path: str, epoch: int, first: int, last: int, tell: Tell) -> list[OwedKey]:
        """Those of first..last that are here, owed again."""
        debt = self._debts.get(path)
        low = self.database.epochs.row_id(epoch, first)
        if debt is None or low is None:
            return []
        high = low | SEQ_MASK if last > SEQ_MASK else low - first + last
        rows = list(self.database.rows_between(low, high))
        keys = [key for row in rows for key in self._key(row, tell)]
        debt.ask_again([row.id for row in rows])
        return keys

    def floor(self, epoch: int) -> int:
        """Oldest sequence number here of `epoch`, 0 when none."""
        known = self._floors.get(epoch, 0)
        if known:
            return known
        first = self.database.epochs.row_id(epoch, 0)
        if first is None:
            return 0
        oldest = self.database.edge_id(newest=False, within=(first, first | SEQ_MASK))
        self._floors[epoch] = 0 if oldest is None else oldest & SEQ_MASK
        return self._floors[epoch]

    def unacknowledged(self) -> int:
        """Records newer than what every path acknowledged without a gap."""
        return self.database.count(min(debt.upto for debt in self._debts.values()))

    # Upkeep

    def empty_log(self) -> bool:
        """Move the log into the database and cut it, to make room; whether that worked."""
        try:
            done = self.database.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        except sqlite3.Error:
            return False
        return bool(done[0] == 0 and done[1] == 0)

    def store_debts(self, *, lazy: bool = True) -> None:
        """Write acknowledgements; `lazy`: not synced."""
        if any(debt.changed for debt in self._debts.values()):
            with self.database.transaction(lazy=lazy):
                self._put_debts()
            self._debts_stored()

    def _put_debts(self) -> None:
        for path, debt in self._debts.items():
            self.database.put_debt(path, debt, self._stored[path])

    def _debts_stored(self) -> None:
        for path, debt in self._debts.items():
            debt.changed = 0
            self._stored[path] = debt.copy()

    def rotate_some(self, max_records: int) -> bool:
        """Remove some of the oldest beyond `max_records`, if acknowledged; whether more wait."""
        excess = min(self.count - max_records, ROTATE_ROWS)
        if excess <= 0:
            return False
        free = min(debt.free_upto() for debt in self._debts.values())
        newest = self._ordinal << SEQ_BITS | self.head.seq
        gone = [each for each in self.database.oldest_ids(excess) if each <= free and each < newest]
        if not gone:
            return False
        with self.database.transaction(lazy=True):
            self.count -= self.database.rotate(gone[-1])
        self._floors.clear()
        self.rotated = self.database.epochs.place(gone[-1])
        return self.count > max_records

    def check_some(self, tell: Tell) -> bool:
        """Check some of the Records the start had no time for; whether more wait."""
        below = self._unchecked_below
        if below is None:
            return False
        check = ChainCheck(self.panel, self.database.losses())
        rows = list(self.database.rows_down(below + 1, SCRUB_ROWS))
        for row in rows:
            place = self.database.epochs.place(row.id)
            findings = check.feed(*place, row.digest.hex(), row.raw)
            if findings:
                tell(*map(str, findings))
                with self.database.transaction(lazy=True):
                    self.database.add_losses(each.where for each in findings)
        self._unchecked_below = rows[-1].id if len(rows) == SCRUB_ROWS else None
        return self._unchecked_below is not None
