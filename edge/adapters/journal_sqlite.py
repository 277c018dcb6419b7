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
from edge.adapters.journal_database import GarbledError
from edge.adapters.journal_files import JournalFiles, newest_generation
from edge.adapters.journal_inspection import UnavailableError, blames_content, reason_of
from edge.adapters.journal_kept import KeptRecords
from edge.adapters.journal_opening import Attached, Opening, fresh_epoch
from edge.config import JournalConfig
from edge.journal.chain import ChainHead
from edge.journal.record_types import Opened, OwedKey, Rollback, Stamped, Stored
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
_FAULTS: Final = (sqlite3.Error, OSError, GarbledError)


class JournalStore:
    """Records, acknowledgements and the panel's state in one place, durable on return.

    Write before tell (DESIGN rule 2): what `append` returns is on disk, or carries
    `recorded` False in an epoch of its own. No (epoch, seq) is ever given two contents: after any
    failed commit, loss or doubt the epoch is left for good and a new one opened.
    """

    opened: Opened

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
        self._kept: KeptRecords | None = None
        self._volatile: VolatileEpoch | None = None
        self._checkpointer: Checkpointer | None = None
        self._must_reopen = False
        self._retry_at = 0.0
        self._rotated = (0, 0)
        self._pending: deque[PanelEvent] = deque()
        self._copy_due: KeptState | None = None

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
        with contextlib.suppress(OSError):
            directory.mkdir(parents=True, exist_ok=True)
        try:
            store._start_on_disk(store._attach(None))
        except UnavailableError as unavailable:
            store._start_in_memory(unavailable.reason)
        return store

    # Starting

    def _attach(self, witness: HeadNote | None) -> Attached:
        """Take over a database; the reserve is spent before giving up on a full disk."""
        living = 0 if self._volatile is None else self._volatile.head.epoch
        opening = Opening(self._files, self._panel, self._paths, witness, living)
        try:
            attached = opening.attach()
        except UnavailableError as unavailable:
            if unavailable.reason == "locked" or not self._files.free_reserve():
                raise
            attached = opening.attach()
        try:
            self._kept = KeptRecords(attached, self._panel, self._boot)
        except _FAULTS as error:
            attached.database.close()
            raise UnavailableError(reason_of(error)) from error
        self._must_reopen = False
        if not self._files.keep_reserve(self._config.reserve_bytes):
            attached.faults.append(fault("reserve=none"))
        self._checkpointer = Checkpointer(attached.database.path)
        return attached

    def _start_on_disk(self, attached: Attached) -> None:
        state, head = attached.state, attached.head
        self.opened = Opened(
            head.epoch,
            head.seq,
            head.digest,
            None if state is None else state.snapshot,
            snapshot_lost=attached.state_lost,
            same_boot=state is not None and state.boot == self._boot,
            faults=tuple(attached.faults),
        )
        if state is None:
            self._files.drop_state()
        elif self._files.read_state()[0] != state:
            self._copy_state(state)

    def _start_in_memory(self, reason: str) -> None:
        note, note_existed = self._files.read_head()
        copy, copy_existed = self._files.read_state()
        self._must_reopen = True
        self._rotated = note.rotated if note else (0, 0)
        known = max(note.head.epoch if note else 0, copy.epoch if copy else 0)
        head = self._enter_memory(known, reason).head
        existed = note_existed or copy_existed or self._generation_exists()
        self.opened = Opened(
            head.epoch,
            head.seq,
            head.digest,
            None if copy is None else copy.snapshot,
            snapshot_lost=copy is None and existed,
            same_boot=copy is not None and copy.boot == self._boot,
            faults=self.faults(),
        )

    def _generation_exists(self) -> bool:
        return newest_generation(self._files.directory) > 0

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
            made = self._append(events, snapshot)
            arming = important or any(changes_arming(each.event) for each in events)
            if snapshot is not None and arming:
                head = self.newest()
                self._copy_due = KeptState(self._boot, head.epoch, head.seq, snapshot)
            if self._copy_due is not None:
                self._copy_state(self._copy_due)
        if self._config.fsync_delay_ms:
            time.sleep(self._config.fsync_delay_ms / 1000)
        return made

    def _append(self, events: Sequence[Stamped], snapshot: bytes | None) -> list[Stored]:
        kept, volatile = self._kept, self._volatile
        if volatile is None and kept is not None:
            try:
                made = kept.append(events, snapshot, self._spare)
                self._files.write_head(kept.note())
                if self._checkpointer is not None:
                    self._checkpointer.committed()
                return made
            except _FAULTS as error:
                volatile = self._leave_disk(error)
        assert volatile is not None
        made = volatile.append(events, snapshot)
        self._files.write_head(
            HeadNote(self._panel, volatile.head, recorded=False, rotated=self._rotated)
        )
        return made

    def _spare(self, error: Exception) -> bool:
        """Make room for a commit that failed for want of it: the reserve, then the log's own."""
        if not isinstance(error, sqlite3.Error) or blames_content(error):
            return False
        if reason_of(error).startswith(("busy", "locked")):
            return False
        freed = self._files.free_reserve()
        if freed:
            self._pending.append(fault("reserve=spent", f"why={reason_of(error)}"))
        if self._checkpointer is not None:
            self._checkpointer.keep_short()
        emptied = self._kept is not None and self._kept.empty_log()
        return freed or emptied

    def _copy_state(self, state: KeptState) -> None:
        self._copy_due = None if self._files.write_state(state) else state

    # Without a disk

    def _leave_disk(self, error: Exception) -> VolatileEpoch:
        self._must_reopen = self._must_reopen or _damaging(error)
        known = 0
        if self._kept is not None:
            known, self._rotated = self._kept.highest_epoch(), self._kept.rotated
        return self._enter_memory(known, reason_of(error))

    def _enter_memory(self, known: int, reason: str) -> VolatileEpoch:
        epoch = fresh_epoch(known)
        self._volatile = VolatileEpoch(self._panel, self._boot, epoch, paths=self._paths)
        self._retry_at = time.monotonic() + RETRY_S
        self._pending.append(fault("writing=failed", f"why={reason}"))
        return self._volatile

    def _return_to_disk(self, *, may_salvage: bool) -> None:
        """Write the Records kept in memory as they are, then open another epoch."""
        volatile = self._volatile
        if volatile is None or (self._must_reopen and not may_salvage):
            return
        self._retry_at = time.monotonic() + RETRY_S
        left = ChainHead(0, 0, "") if self._kept is None else self._kept.head
        try:
            if self._must_reopen:
                self._drop_database()
                witness = HeadNote(self._panel, left, rotated=self._rotated) if left.epoch else None
                self._pending.extend(self._attach(witness).faults)
            assert self._kept is not None
            count = self._kept.back_fill(volatile, left)
        except (UnavailableError, *_FAULTS) as error:
            self._must_reopen = self._must_reopen or _damaging(error)
            return
        self._volatile = None
        self._files.write_head(self._kept.note())
        self._pending.append(fault_over(f"back_filled={count}"))
        self._pending.append(epoch_opened(volatile.head, volatile.dropped()))

    def faults(self) -> tuple[PanelEvent, ...]:
        """What went wrong or right since the last call: append these."""
        with self._lock:
            told = tuple(self._pending)
            self._pending.clear()
            return told

    def told_unreadable(self, error: Exception) -> None:
        """A read failed."""
        self._tell("reading=failed", f"why={reason_of(error)}")

    def _tell(self, *tokens: str) -> None:
        self._pending.append(fault(*tokens))

    def _reading(self) -> _Told:
        """A read that fails is told, and answered as if nothing were there."""
        return _Told(self)

    # Owed

    def owed(self, path: str) -> list[OwedKey]:
        """Every Record not acknowledged on `path`, by (epoch, seq)."""
        with self._lock:
            keys: list[OwedKey] = []
            if self._kept is not None:
                with self._reading():
                    keys += self._kept.owed(path, self._tell)
            if self._volatile is not None:
                keys += self._volatile.owed(path)
            return sorted(keys)

    def read(self, keys: Sequence[OwedKey]) -> list[bytes | None]:
        """The Records' bytes; None for what is not (or no longer) here."""
        with self._lock:
            return [self._raw(each.epoch, each.seq, each.digest) for each in keys]

    def _raw(self, epoch: int, seq: int, digest: str | None = None) -> bytes | None:
        if self._volatile is not None and epoch == self._volatile.head.epoch:
            return self._volatile.raw(seq)
        if self._kept is not None:
            with self._reading():
                row = self._kept.row(epoch, seq)
                if row is not None and digest in (None, row.digest.hex()):
                    return row.raw
        return None

    def acknowledge(self, path: str, keys: Sequence[OwedKey]) -> None:
        """No longer owed. Stored when idle, not synced: a lost one costs a resend, no more."""
        with self._lock:
            volatile = self._volatile
            if volatile is not None:
                epoch = volatile.head.epoch
                volatile.acknowledge(path, [each.seq for each in keys if each.epoch == epoch])
            if self._kept is not None:
                with self._reading():
                    self._kept.acknowledge(path, keys)

    def settle(self, path: str, keys: Sequence[OwedKey]) -> None:
        """`acknowledge`, and on the disk if that works: for a path on which a repeat is no small
        thing (a phone report told twice is an alarm told twice).
        """
        self.acknowledge(path, keys)
        with self._lock:
            if self._kept is None or self._volatile is not None:
                return
            try:
                self._kept.store_debts(lazy=False)
            except _FAULTS as error:
                if _damaging(error):
                    self._leave_disk(error)

    def held(self, path: str, epoch: int, first: int, last: int) -> list[OwedKey]:
        """The Records of a Resend request that are here; owed on `path` again from now on."""
        with self._lock:
            volatile = self._volatile
            if volatile is not None and epoch == volatile.head.epoch:
                keys = volatile.keys(first, last)
                volatile.ask_again(path, [each.seq for each in keys])
                return keys
            if self._kept is not None:
                with self._reading():
                    return self._kept.held(path, epoch, first, last, self._tell)
            return []

    # What the centre knows

    def rolled_back(self, epoch: int, upto: int, head: str) -> Rollback:
        """The collector acknowledged `epoch` up to `upto` with digest `head`, and this journal
        has less, or something else there: it stands behind what was already reported.

        Never reuses those numbers: what is still owed under them is repeated in a new epoch.
        """
        with self._lock:
            kept = self._kept
            if kept is None or self._volatile is not None:
                return Rollback((), ())
            if upto == 0 or self.digest_at(epoch, upto) == head:
                return Rollback((), ())
            before = kept.head
            try:
                done = kept.repeat(epoch, upto)
            except _FAULTS as error:
                self._leave_disk(error)
                return Rollback((), ())
            if done is None:
                return Rollback((), ())
            lost, made = done
            self._files.write_head(kept.note())
            told = fault("why=centre_has_more", f"repeated={len(made)}")
            return Rollback((told, epoch_opened(before, lost)), tuple(made))

    def digest_at(self, epoch: int, seq: int) -> str | None:
        """Digest of one Record; the genesis at 0; None when it is not here."""
        with self._lock:
            if seq == 0:
                return genesis(self._panel, epoch)
            raw = self._raw(epoch, seq)
            return None if raw is None else digest_of(raw)

    def newest(self) -> ChainHead:
        """Epoch, newest sequence number and its digest: what a heartbeat tells. Waits for none."""
        volatile, kept = self._volatile, self._kept
        if volatile is not None:
            return volatile.head
        assert kept is not None
        return kept.head

    def floor(self, epoch: int) -> int:
        """The oldest sequence number of `epoch` that can still be sent; 0 when none."""
        with self._lock:
            volatile = self._volatile
            if volatile is not None and epoch == volatile.head.epoch:
                return min((each.key.seq for each in volatile.kept()), default=0)
            if self._kept is not None:
                with self._reading():
                    return self._kept.floor(epoch)
            return 0

    def count(self) -> int:
        """Records kept, those in memory included."""
        with self._lock:
            on_disk = 0 if self._kept is None else self._kept.count
            return on_disk + (0 if self._volatile is None else len(self._volatile.kept()))

    def usage(self) -> float:
        """How full: unacknowledged Records against `max_records`, or the journal's share of the
        room it and the rest of the disk leave; the larger. 1.0 without a disk or a reserve.
        """
        with self._lock:
            kept = self._kept
            if kept is None or self._volatile is not None or not self._files.holds_reserve():
                return 1.0
            with self._reading():
                owed = kept.unacknowledged() / self._config.max_records
                return max(owed, self._files.share_of_room())
            return 1.0

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
            kept = self._kept
            if kept is None or self._volatile is not None:
                return False
            try:
                kept.store_debts()
                self._files.keep_reserve(self._config.reserve_bytes)
                more = kept.rotate_some(self._config.max_records)
                self._files.write_head(kept.note())
                more = kept.check_some(self._tell) or more
            except _FAULTS as error:
                if _damaging(error):
                    self._leave_disk(error)
                return False
            if self._checkpointer is not None:
                self._checkpointer.run_soon()
            return more

    def _drop_database(self) -> None:
        if self._checkpointer is not None:
            self._checkpointer.close()
            self._checkpointer = None
        if self._kept is not None:
            with contextlib.suppress(sqlite3.Error):
                self._kept.database.close()
            self._kept = None

    def close(self) -> None:
        """Store what is pending and let go; nothing may be called afterwards."""
        with self._lock:
            self._return_to_disk(may_salvage=False)
            if self._kept is not None and self._volatile is None:
                with contextlib.suppress(*_FAULTS):
                    self._kept.store_debts()
            self._drop_database()
            self._files.close()


class _Told:
    """Turns a failed read into a fault."""

    __slots__ = ("_store",)

    def __init__(self, store: JournalStore) -> None:
        self._store = store

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> bool:
        if not isinstance(error, _FAULTS):
            return False
        self._store.told_unreadable(error)
        return True


def _damaging(error: Exception) -> bool:
    """Whether the files must be looked at anew before anything more is written."""
    if isinstance(error, sqlite3.Error):
        return blames_content(error)
    return isinstance(error, GarbledError)
