"""What calls bring, kept: reports to the spool, recordings and the log to disk, behind the lines.

Two threads stand behind it: the spool's writer, which the kiss-off waits for, and one for all that
nobody waits for.
"""

from __future__ import annotations

import queue
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import Final

from collector.adapters.calls_sqlite import CallsLog
from collector.adapters.reception_call import CallRecord
from collector.adapters.recordings import RecordingError, Recordings
from collector.adapters.spool_sqlite import What
from collector.adapters.spool_writer import SpoolWriter
from collector.reception.call_types import Learned, Reported, Unrecognised
from protocols.instants import UtcTime
from protocols.mqtt import reception
from protocols.tones.elements import FRAME_SAMPLES

MEMORY_BYTES: Final = 128 * 1024 * 1024
"""Audio of calls in progress that nothing was made of yet; beyond it no more is recorded."""
MOST_OWED: Final = 1000
"""Unrecognised calls that a full disk refused, tried again and again."""
_TEXT: Final = 512
_CALLER: Final = 32

Post = Callable[[Callable[[], None]], None]


class ReceptionKeeper:
    """`post` runs something in the lines' own thread."""

    def __init__(
        self,
        writer: SpoolWriter,
        calls: CallsLog,
        recordings: Recordings,
        *,
        post: Post,
        utc: Callable[[], UtcTime],
        on_problem: Callable[[str], None],
    ) -> None:
        self._writer = writer
        self._calls = calls
        self._recordings = recordings
        self._post = post
        self._utc = utc
        self._on_problem = on_problem
        self._room = MEMORY_BYTES // (2 * FRAME_SAMPLES)
        self._work: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._owed: deque[tuple[UtcTime, str, What]] = deque(maxlen=MOST_OWED)
        self._owed_lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="reception-keeper", daemon=True)
        self.counts: Counter[str] = Counter()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """Finish what waits, and end."""
        self._work.put(None)
        if self._thread.is_alive():
            self._thread.join()

    # what LineCall calls

    def store(
        self, record: CallRecord, reports: Sequence[Reported], done: Callable[[str], None]
    ) -> None:
        """See reception_call.Keeper."""
        now = self._utc()
        items = [(now, record.line, _report(record, each)) for each in reports]
        self._writer.store(items, lambda why: self._post(lambda: done(why)))

    def learned(self, learned: Learned) -> None:
        """See reception_call.Keeper."""
        now = self._utc()
        self._work.put(lambda: self._calls.remember(learned.caller, learned.preferred, now))

    def ended(
        self, record: CallRecord, unrecognised: Unrecognised | None, audio: Sequence[bytes]
    ) -> None:
        """See reception_call.Keeper."""
        self.counts["calls"] += 1
        self.counts["kissed"] += record.kissed
        if unrecognised is not None:
            self.counts["unrecognised"] += 1
        frames = list(audio)
        self._work.put(lambda: self._keep_call(record, unrecognised, frames))

    def may_record(self, frames: int) -> bool:
        """See reception_call.Keeper."""
        if frames > 0 and self._room < frames:
            return False
        self._room -= frames
        return True

    def tell_owed(self) -> None:
        """Try again with the unrecognised calls that the spool did not take; from any thread."""
        with self._owed_lock:
            items = sorted(self._owed, key=lambda each: each[0])
            self._owed.clear()

        def done(why: str) -> None:
            if why:
                with self._owed_lock:
                    self._owed.extend(items)

        if items:
            self._writer.store(items, done)

    # the thread for all that nobody waits for

    def _run(self) -> None:
        while True:
            work = self._work.get()
            if work is None:
                return
            try:
                work()
            except Exception as error:  # noqa: BLE001 - one call's fault must not end the thread
                self._on_problem(f"a call could not be logged: {error!r}")

    def _keep_call(
        self, record: CallRecord, unrecognised: Unrecognised | None, frames: Sequence[bytes]
    ) -> None:
        if unrecognised is not None:
            if frames:
                try:
                    record.audio = self._recordings.keep(record.call, frames)
                except RecordingError as error:
                    self._on_problem(str(error))
            self._tell(record, unrecognised)
        self._calls.add(record)

    def _tell(self, record: CallRecord, unrecognised: Unrecognised) -> None:
        what = reception.Unrecognised(
            call=record.call,
            tried=", ".join(unrecognised.tried)[:_TEXT],
            caller=record.caller[:_CALLER],
            heard=unrecognised.heard[:_TEXT],
            audio=record.audio,
            reason=unrecognised.reason[:_TEXT],
        )
        with self._owed_lock:
            self._owed.append((self._utc(), record.line, what))
        self.tell_owed()


def _report(record: CallRecord, each: Reported) -> reception.Report:
    return reception.Report(
        account=each.account,
        format=each.format,
        raw=each.raw[:_TEXT],
        event=each.event,
        call=record.call,
        index=each.index,
        caller=record.caller[:_CALLER],
        mark=each.mark,
    )
