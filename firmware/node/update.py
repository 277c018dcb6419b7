"""Takes a firmware image from the bus and, after the restart, proves or gives it up.

[both runtimes] A part is believed only in order; the header's signature is worked out one product a
part, so that no reply is late; the whole file is read back from flash before it is called good.
"""

import hashlib

from firmware.node.flash import Flash, Sink
from firmware.node.image import (
    FIXED_BYTES,
    MAX_IMAGE_BYTES,
    SIGNATURE_BYTES,
    Header,
    parse_start,
)
from firmware.node.slots import BUILT_IN, IMAGE, KEY_FILE, NAMES, PART, Slots, runtime
from firmware.node.verify import SignatureCheck, read_key
from protocols.osdp.codes import (
    FILE_ABORT,
    FILE_MALFORMED,
    FILE_OK,
    FILE_UNRECOGNISED,
    FILE_WILL_RESET,
)
from protocols.osdp.update_report import (
    BAD_FORM,
    BAD_HASH,
    BAD_SIGNATURE,
    BUSY,
    FLASH_FAILED,
    NO_KEY,
    NO_MEMORY,
    NONE,
    OTHER_KIND,
    OUT_OF_ORDER,
    TOO_LARGE,
    UpdateState,
    encode,
)

KIND = 1
"""OSDP file type: opaque contents, agreed by the devices."""
BLOCK_BYTES = 1024
"""Gathered before the flash is written, which wears with each write, however short."""
RESTART_MS = 1000
"""From the last part's answer to the restart: time for the answer, and for its repeat."""
CONFIRM_MS = 5000
"""Of unbroken secure session before a trial is good."""
TRIAL_MS = 180000
"""A trial not confirmed by then restarts, which costs it a try."""


class Opening(Sink):
    """Header and signature as they come by: hashed, not kept; a node has little memory."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self.bad = False
        """It is no image."""
        self.signature = bytearray(SIGNATURE_BYTES)
        self.digest = b""
        """Of the header, once it and the signature are whole."""
        self._fixed = bytearray(FIXED_BYTES)
        self._sum = hashlib.sha256()
        self._seen = 0

    def take(self, piece: bytes) -> bool:
        """The next bytes of the file; False once all that matters here was seen."""
        while piece and not self.bad and not self.digest:
            used = self._piece(piece)
            piece = piece[used:]
        return not self.bad and not self.digest

    def _piece(self, piece: bytes) -> int:
        seen = self._seen
        header = self.header
        if header is None:
            used = min(len(piece), FIXED_BYTES - seen)
            self._fixed[seen : seen + used] = piece[:used]
            self._seen += used
            if self._seen == FIXED_BYTES:
                self._sum.update(self._fixed)
                self.header = parse_start(self._fixed)
                self.bad = self.header is None
        elif seen < header.size:
            used = min(len(piece), header.size - seen)
            self._sum.update(piece[:used])
            self._seen += used
        else:
            place = seen - header.size
            used = min(len(piece), SIGNATURE_BYTES - place)
            self.signature[place : place + used] = piece[:used]
            self._seen += used
            if place + used == SIGNATURE_BYTES:
                self.digest = self._sum.digest()
        return used


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
        # Once and for all: in a heap in pieces there may be none to be had later.
        self._block = bytearray(BLOCK_BYTES)
        self._held = 0
        self._told = (NONE, 0)
        self._opening: Opening | None = None
        self._check: SignatureCheck | None = None
        self._started_ms: int | None = None
        self._secure_ms: int | None = None
        self._done_ms: int | None = None

    @property
    def trial(self) -> bool:
        """Whether the running firmware has yet to prove itself."""
        return self.running != BUILT_IN and self.slots.state.trial == self.running

    def report(self) -> bytes:
        """MFGREP REPORT_UPDATE when there is something new to tell, else b""."""
        state = self.slots.state
        told = UpdateState(
            state.reason, state.refusals, state.rollbacks, state.updates, state.minimum
        )
        if state.reason == NONE or self._told == (state.reason, state.refusals):
            return b""
        self._told = (state.reason, state.refusals)
        return encode(told)

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
            try:
                self._take(fresh)
            except MemoryError:
                return self._refuse(NO_MEMORY, FILE_ABORT)
        return self._status, 0

    def abort(self) -> None:
        """The controller gives the transfer up; what the flash has of it may be gone on with."""
        if not self.done:
            self.total = self.received = self._held = 0
            self._opening = None
            self._check = None
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
        self.received = self._held = 0
        self.total = total
        self._status = FILE_OK
        self._opening = Opening()
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
        opening = Opening()
        flash.copy(PART, 0, kept, opening)
        self.total = total
        if kind != KIND or opening.bad or self.trial:
            self._refuse(OUT_OF_ORDER, FILE_MALFORMED)
            return
        self.received = kept
        self._held = 0
        self._opening = opening
        self._look(opening)

    def _take(self, data: bytes) -> None:
        self._hold(data)
        self.received += len(data)
        if self.received == self.total:
            self._write()
        check, opening = self._check, self._opening
        if check is not None:
            if check.step() is False:
                self._refuse(BAD_SIGNATURE, FILE_UNRECOGNISED)
        elif opening is not None:
            opening.take(data)
            self._look(opening)
        if self._status == FILE_OK and self.received == self.total:
            self._finish()

    def _hold(self, data: bytes) -> None:
        start = 0
        while start < len(data):
            end = min(len(data), start + BLOCK_BYTES - self._held)
            self._block[self._held : self._held + end - start] = data[start:end]
            self._held += end - start
            start = end
            if self._held == BLOCK_BYTES:
                self._write()

    def _write(self) -> None:
        block = self._block if self._held == BLOCK_BYTES else self._block[: self._held]
        self._held = 0
        if not self.slots.flash.write(PART, block, append=True) and self._status == FILE_OK:
            self._refuse(FLASH_FAILED, FILE_ABORT)

    def _look(self, opening: Opening) -> None:
        """Judges the image as soon as its header is there, and starts on its signature."""
        header = opening.header
        if opening.bad or (header is not None and header.total != self.total):
            self._refuse(BAD_FORM, FILE_UNRECOGNISED)
            return
        if header is None:
            return
        reason = self.slots.judge(header)
        if reason != NONE:
            self._refuse(reason, FILE_UNRECOGNISED)
        elif opening.digest:
            key = self.slots.key
            self._check = SignatureCheck(key, bytes(opening.signature), opening.digest)

    def _finish(self) -> None:
        header = None if self._opening is None else self._opening.header
        check = self._check
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
        self._held = 0
        self._opening = None
        self._check = None
        self.slots.refuse(reason)
        if reason != BUSY:
            self.slots.flash.remove(PART)
        return status, 0


def updater_for(flash: Flash, board: str) -> Updater:
    """The receiver of the node that this very file runs on."""
    slots = Slots(flash, board, runtime(), read_key(flash.read(KEY_FILE, 512) or b""))
    return Updater(slots, running_slot(__file__))


def running_slot(module_file: str) -> int:
    """The slot a module was imported from, by its `__file__`."""
    for slot in range(1, len(NAMES)):
        if "/slots/" + NAMES[slot] + "/" in module_file:
            return slot
    return BUILT_IN
