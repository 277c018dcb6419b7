"""What a peripheral still has to tell: in order, until the controller took it. [both runtimes]"""

from protocols.osdp.codes import ISTATR, KEYPAD, LSTATR, MFGREP, RAW, REPORT_OVERFLOW

STALE_MS = 10_000
"""A key pressed or a card shown longer ago is not told: nobody waits for it any more."""


class Entry:
    """One reply owed to POLL."""

    def __init__(self, code: int, payload: bytes, at_ms: int, lost: int = 0) -> None:
        self.code = code
        self.payload = payload
        self.at_ms = at_ms
        self.lost = lost
        """Of an overflow report: how many changes it tells."""


class ReportQueue:
    """Oldest first; `limit` changes, and at most one under way and one report of losses beside."""

    def __init__(self, limit: int, vendor: bytes) -> None:
        self._limit = limit
        self._vendor = vendor
        self._entries: list[Entry] = []
        self._told: Entry | None = None
        self._untold_losses = 0
        self._inputs_due = False
        self._local_due = False
        self.lost = 0
        self.stale = 0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, code: int, payload: bytes, now_ms: int) -> None:
        """A change. When it does not fit the oldest that is not under way goes, and is counted."""
        if len(self._entries) >= self._limit:
            for place in range(len(self._entries)):
                entry = self._entries[place]
                if entry is not self._told and not entry.lost:
                    self._entries.pop(place)
                    self.lost += 1
                    self._untold_losses += 1
                    self._inputs_due = self._local_due = True
                    break
        self._entries.append(Entry(code, payload, now_ms))

    def owe_state(self) -> None:
        """A session begins: present inputs and local state follow what is queued."""
        self._inputs_due = self._local_due = True

    def head(self, inputs: bytes, local: bytes, now_ms: int) -> "Entry | None":
        """What to answer POLL with; it stays until `taken`."""
        if self._told is None:
            if self._entries:
                self._drop_stale(now_ms)
            if self._untold_losses and not (self._entries and self._entries[0].lost):
                count = min(self._untold_losses, 0xFFFF)
                self._untold_losses -= count
                payload = self._vendor + bytes((REPORT_OVERFLOW, count & 0xFF, count >> 8))
                self._entries.insert(0, Entry(MFGREP, payload, now_ms, count))
            if not self._entries:
                if self._inputs_due:
                    self._inputs_due = False
                    self._entries.append(Entry(ISTATR, inputs, now_ms))
                elif self._local_due:
                    self._local_due = False
                    self._entries.append(Entry(LSTATR, local, now_ms))
            if self._entries:
                self._told = self._entries[0]
        return self._told

    def _drop_stale(self, now_ms: int) -> None:
        kept = []
        for entry in self._entries:
            if entry.code in (KEYPAD, RAW) and now_ms - entry.at_ms > STALE_MS:
                self.stale += 1
            else:
                kept.append(entry)
        if len(kept) != len(self._entries):
            self._entries = kept

    def taken(self) -> None:
        """The controller has the head, if any was under way."""
        if self._told is not None:
            self._entries.pop(0)
            self._told = None

    def not_taken(self) -> None:
        """The session ended: what was under way is told again."""
        self._told = None

    def oldest(self, code: int) -> "bytes | None":
        """Payload of the oldest owed reply of this kind: a direct question must not overtake it."""
        for entry in self._entries:
            if entry.code == code:
                return entry.payload
        return None
