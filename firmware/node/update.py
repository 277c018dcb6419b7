"""Takes a firmware image from the bus and, after the restart, proves or gives it up.

[both runtimes] A part is believed only in order; the header's signature is worked out one product a
part, so that no reply is late; the whole file is read back from flash before it is called good.
"""

import hashlib
import sys

from firmware.node.flash import Flash
from firmware.node.image import (
    FIXED_BYTES,
    MAX_HEADER_BYTES,
    MAX_IMAGE_BYTES,
    SIGNATURE_BYTES,
    SOURCES,
    Header,
    header_length,
    parse_header,
)
from firmware.node.slots import (
    BAD_FORM,
    BAD_HASH,
    BAD_SIGNATURE,
    BUILT_IN,
    BUSY,
    FLASH_FAILED,
    IMAGE,
    NAMES,
    NO_KEY,
    NONE,
    OTHER_KIND,
    OUT_OF_ORDER,
    PART,
    REASONS,
    TOO_LARGE,
    Slots,
    Start,
)
from firmware.node.verify import SignatureCheck, read_key
from protocols.osdp.codes import (
    FILE_ABORT,
    FILE_MALFORMED,
    FILE_OK,
    FILE_UNRECOGNISED,
    FILE_WILL_RESET,
)

KIND = 1
"""OSDP file type: opaque contents, agreed by the devices."""
KEY_FILE = "update.key"
"""The maker's public key, put there at commissioning: `verify.read_key`."""
BLOCK_BYTES = 2048
"""Parts gathered before the flash is written: a page wears with each write, however short."""
RESTART_MS = 1000
"""From the last part's answer to the restart: time for the answer, and for its repeat."""
CONFIRM_MS = 5000
"""Of unbroken secure session before a trial is good."""
TRIAL_MS = 180000
"""A trial not confirmed by then restarts, which costs it a try."""


class Updater:
    """The receiver. `running`: the slot this very code was started from, 0 the built-in."""

    def __init__(self, slots: Slots, running: int) -> None:
        self.slots = slots
        self.running = running
        self.refused = 0
        """Since the start; the record counts over restarts."""
        self.received = 0
        self.total = 0
        self.done = False
        """A whole image waits for the restart."""
        self._status = FILE_OK
        self._buffer = bytearray()
        self._flushed = 0
        self._head = bytearray()
        self._header: Header | None = None
        self._check: SignatureCheck | None = None
        self._started_ms: int | None = None
        self._secure_ms: int | None = None
        self._done_ms: int | None = None

    @property
    def trial(self) -> bool:
        """Whether the running firmware has yet to prove itself."""
        return self.running != BUILT_IN and self.slots.state.trial == self.running

    @property
    def reason(self) -> str:
        """Of the last refusal or roll-back, in words; "" when there was none."""
        reason = self.slots.state.reason
        if reason == NONE:
            return ""
        return REASONS[reason] if reason < len(REASONS) else "unknown"

    def file_part(self, kind: int, total: int, offset: int, data: bytes) -> tuple[int, int]:
        """One FILETRANSFER command: the status and delay (ms) of its FTSTAT.

        A part that is there already is answered again and not written twice. A transfer that was
        refused stays refused until one begins again at 0.
        """
        if self.done:
            # Only the image that waits is answered: its last reply may have been lost.
            again = total == self.total and offset + len(data) == total
            return (FILE_WILL_RESET if again else FILE_ABORT, 0)
        if offset == 0 and data:
            self._begin(kind, total)
        elif self.total == 0 and self._status == FILE_OK:
            self._resume(kind, total, offset)
        if self._status != FILE_OK:
            return self._status, 0
        if total != self.total or offset + len(data) > total:
            return self._refuse(BAD_FORM, FILE_MALFORMED)
        if offset > self.received:
            return self._refuse(OUT_OF_ORDER, FILE_MALFORMED)
        fresh = data[self.received - offset :]
        if fresh:
            self._take(fresh)
        return self._status, 0

    def abort(self) -> None:
        """The controller gives the transfer up; what the flash has of it may be gone on with."""
        if not self.done:
            self.total = self.received = 0
            self._status = FILE_OK

    def tick(self, now_ms: int, secure: bool, healthy: bool) -> bool:
        """Call often. `healthy`: the self-check passes. True: restart now."""
        if self._started_ms is None:
            self._started_ms = now_ms
        if self.done:
            if self._done_ms is None:
                self._done_ms = now_ms
            return now_ms - self._done_ms >= RESTART_MS
        if not self.trial:
            return False
        if not (secure and healthy):
            self._secure_ms = None
        elif self._secure_ms is None:
            self._secure_ms = now_ms
        elif now_ms - self._secure_ms >= CONFIRM_MS and self.slots.confirm(self.running):
            return False
        return now_ms - self._started_ms >= TRIAL_MS

    def _begin(self, kind: int, total: int) -> None:
        self.received = self._flushed = 0
        self.total = total
        self._status = FILE_OK
        self._buffer = bytearray()
        self._head = bytearray()
        self._header = None
        self._check = None
        if kind != KIND:
            self._refuse(OTHER_KIND, FILE_UNRECOGNISED)
        elif self.trial:
            # The other slot is what a failed trial falls back to.
            self._refuse(BUSY, FILE_ABORT)
        elif not self.slots.key:
            self._refuse(NO_KEY, FILE_UNRECOGNISED)
        elif total > MAX_IMAGE_BYTES:
            self._refuse(TOO_LARGE, FILE_ABORT)
        elif total < FIXED_BYTES + SIGNATURE_BYTES:
            self._refuse(BAD_FORM, FILE_MALFORMED)
        elif not self.slots.flash.write(PART, b""):
            self._refuse(FLASH_FAILED, FILE_ABORT)

    def _resume(self, kind: int, total: int, offset: int) -> None:
        """After a restart in mid-transfer: goes on from what the flash has of it."""
        flash = self.slots.flash
        kept = flash.size(PART)
        if not 0 < offset <= kept <= total:
            self.total = total
            self._refuse(OUT_OF_ORDER, FILE_MALFORMED)
            return
        start = Start(MAX_HEADER_BYTES + SIGNATURE_BYTES)
        flash.copy(PART, 0, kept, start)
        size = header_length(bytes(start.data[:FIXED_BYTES]))
        header = parse_header(bytes(start.data[:size]))
        if kind != KIND or header is None or header.total != total or self.trial:
            self.total = total
            self._refuse(OUT_OF_ORDER, FILE_MALFORMED)
            return
        self.total = total
        self.received = self._flushed = kept
        self._head = start.data
        self._look()

    def _take(self, data: bytes) -> None:
        self._buffer.extend(data)
        self.received += len(data)
        if len(self._buffer) >= BLOCK_BYTES or self.received == self.total:
            if not self.slots.flash.write(PART, bytes(self._buffer), append=True):
                self._refuse(FLASH_FAILED, FILE_ABORT)
                return
            self._flushed += len(self._buffer)
            self._buffer = bytearray()
        if self._header is None:
            room = MAX_HEADER_BYTES + SIGNATURE_BYTES - len(self._head)
            self._head.extend(data[:room])
            self._look()
        elif self._check is not None and self._check.step() is False:
            self._refuse(BAD_SIGNATURE, FILE_UNRECOGNISED)
        if self._status == FILE_OK and self.received == self.total:
            self._finish()

    def _look(self) -> None:
        """Judges the header as soon as it is there with its signature."""
        if len(self._head) < FIXED_BYTES:
            return
        size = header_length(bytes(self._head[:FIXED_BYTES]))
        if not size:
            self._refuse(BAD_FORM, FILE_UNRECOGNISED)
            return
        if len(self._head) < size + SIGNATURE_BYTES:
            return
        header = parse_header(bytes(self._head[:size]))
        if header is None or header.total != self.total:
            self._refuse(BAD_FORM, FILE_UNRECOGNISED)
            return
        reason = self.slots.judge(header)
        if reason != NONE:
            self._refuse(reason, FILE_UNRECOGNISED)
            return
        signature = bytes(self._head[size : size + SIGNATURE_BYTES])
        digest = hashlib.sha256(header.raw).digest()
        self._header = header
        self._check = SignatureCheck(self.slots.key, signature, digest)
        self._head = bytearray()

    def _finish(self) -> None:
        header, check = self._header, self._check
        if header is None or check is None:
            self._refuse(BAD_FORM, FILE_UNRECOGNISED)
        elif not check.finish():
            self._refuse(BAD_SIGNATURE, FILE_UNRECOGNISED)
        elif not self.slots.whole(PART, header):
            self._refuse(BAD_HASH, FILE_UNRECOGNISED)
        elif not self.slots.flash.rename(PART, IMAGE):
            self._refuse(FLASH_FAILED, FILE_ABORT)
        else:
            self.done = True
            self._status = FILE_WILL_RESET

    def _refuse(self, reason: int, status: int) -> tuple[int, int]:
        """Once a transfer: the record, which wears the flash, is not written at every part."""
        self._status = status
        self.refused += 1
        self._buffer = bytearray()
        self._head = bytearray()
        self.slots.refuse(reason)
        if reason != BUSY:
            self.slots.flash.remove(PART)
        return status, 0


def updater_for(flash: Flash, board: str) -> Updater:
    """The receiver of the node that this very file runs on."""
    slots = Slots(flash, board, runtime(), read_key(flash.read(KEY_FILE, 512) or b""))
    return Updater(slots, running_slot(__file__))


def runtime() -> int:
    """The version of byte code this runtime takes; CPython: SOURCES."""
    return int(getattr(sys.implementation, "_mpy", SOURCES)) & 0xFF


def running_slot(module_file: str) -> int:
    """The slot a module was imported from, by its `__file__`."""
    for slot in range(1, len(NAMES)):
        if "/slots/" + NAMES[slot] + "/" in module_file:
            return slot
    return BUILT_IN
