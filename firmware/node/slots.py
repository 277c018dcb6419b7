"""Two firmware slots, and the record of which of them may start. [both runtimes]

    update.part   what the bus has brought so far
    update.img    a whole image, waiting for the next start
    slots/a, slots/b    an unpacked image each, and `head`: its header and signature
    state0, state1      the record, twice; the newer one whose check fits counts

Order is everything here: `head` goes first when a slot is emptied and comes last when it is filled;
`update.img` leaves only after the record that names its slot; a try is taken off the record before
the trial starts. So at each instant the record names a slot whose hashes fit, or the built-in
firmware, which no update ever touches.
"""

import hashlib
import struct
import sys

from firmware.node.flash import Flash, Sink
from firmware.node.image import (
    FIXED_BYTES,
    SOURCES,
    Header,
    parse_header,
    parse_start,
)
from firmware.node.verify import verify
from protocols.osdp.update_report import (
    BAD_FORM,
    BAD_HASH,
    BAD_SIGNATURE,
    FLASH_FAILED,
    NO_KEY,
    NONE,
    OTHER_BOARD,
    OTHER_RUNTIME,
    SLOT_DAMAGED,
    TOO_OLD,
    TRIAL_FAILED,
)

BUILT_IN = 0
SLOT_A = 1
SLOT_B = 2
NAMES = ("", "a", "b")
TRIES = 3
PART = "update.part"
IMAGE = "update.img"
KEY_FILE = "update.key"
"""The maker's public key, put there at commissioning: `verify.read_key`."""

_RECORD = "<4sIBBBBIHHHB"
_RECORD_MAGIC = b"TSL1"


def runtime() -> int:
    """The version of byte code this runtime takes; CPython: SOURCES."""
    return int(getattr(sys.implementation, "_mpy", SOURCES)) & 0xFF


class State:
    """The record. `minimum`: no image with a lower security number is installed any more."""

    def __init__(self) -> None:
        self.sequence = 0
        self.good = BUILT_IN
        self.previous = BUILT_IN
        """The good one before: worth starting when `good` is damaged. 0: none."""
        self.trial = BUILT_IN
        """Slot on trial; 0: none."""
        self.tries = 0
        """Starts the trial still has."""
        self.minimum = 0
        self.updates = 0
        self.rollbacks = 0
        self.refusals = 0
        self.reason = NONE
        """Of the last refusal or roll-back."""

    def pack(self) -> bytes:
        """With its check."""
        body = struct.pack(
            _RECORD,
            _RECORD_MAGIC,
            self.sequence & 0xFFFFFFFF,
            self.good,
            self.previous,
            self.trial,
            self.tries,
            self.minimum & 0xFFFFFFFF,
            min(self.updates, 0xFFFF),
            min(self.rollbacks, 0xFFFF),
            min(self.refusals, 0xFFFF),
            self.reason,
        )
        return body + hashlib.sha256(body).digest()[:8]


def read_state(data: bytes | None) -> State | None:
    """The record in `data`, or None: absent, torn or worn out."""
    size = struct.calcsize(_RECORD)
    if data is None or len(data) != size + 8:
        return None
    body = bytes(data[:size])
    if hashlib.sha256(body).digest()[:8] != bytes(data[size:]):
        return None
    values = struct.unpack(_RECORD, body)
    if values[0] != _RECORD_MAGIC or values[2] > 2 or values[3] > 2 or values[4] > 2:
        return None
    state = State()
    state.sequence, state.good, state.previous, state.trial = values[1:5]
    state.tries, state.minimum, state.updates, state.rollbacks = values[5:9]
    state.refusals, state.reason = values[9:11]
    return state


class _Hash(Sink):
    def __init__(self) -> None:
        self.sum = hashlib.sha256()

    def take(self, piece: bytes) -> bool:
        self.sum.update(piece)
        return True


class _Writer(Sink):
    def __init__(self, flash: Flash, path: str) -> None:
        self._flash = flash
        self._path = path
        self._append = False

    def take(self, piece: bytes) -> bool:
        written = self._flash.write(self._path, piece, self._append)
        self._append = True
        return written


class Slots:
    """The slots on `flash`. `board`, `mpy`: what an image must be for; `key`: modulus, 0 none."""

    def __init__(self, flash: Flash, board: str, mpy: int, key: int) -> None:
        self.flash = flash
        self.board = board
        self.mpy = mpy
        self.key = key
        copies = [read_state(flash.read("state0", 64)), read_state(flash.read("state1", 64))]
        self._next_copy = 0
        self.state = State()
        for number in range(2):
            found = copies[number]
            if found is not None and found.sequence >= self.state.sequence:
                self.state = found
                self._next_copy = 1 - number

    def save(self) -> bool:
        """Makes the record durable, over the older copy. False: the flash did not take it."""
        self.state.sequence += 1
        data = self.state.pack()
        name = "state" + str(self._next_copy)
        if not self.flash.write("state.new", data) or self.flash.read("state.new", 64) != data:
            return False
        if not self.flash.rename("state.new", name):
            return False
        self._next_copy = 1 - self._next_copy
        return True

    def idle(self) -> int:
        """The slot an update may fill."""
        return SLOT_B if self.state.good == SLOT_A else SLOT_A

    def judge(self, header: Header) -> int:
        """NONE, or why this header's image is not for this node."""
        if header.board != self.board:
            return OTHER_BOARD
        if header.mpy not in (SOURCES, self.mpy):
            return OTHER_RUNTIME
        if header.security < self.state.minimum:
            return TOO_OLD
        return NONE

    def refuse(self, reason: int) -> None:
        """Counts a refusal for the report; kept when the flash takes it."""
        self.state.refusals += 1
        self.state.reason = reason
        self.save()

    def header_of(self, path: str) -> tuple[Header | None, bytes]:
        """Header and signature at the start of a file."""
        start = self.start_of(path)
        if start is None:
            return None, b""
        whole = Start(start.body_offset)
        if not self.flash.copy(path, 0, start.body_offset, whole):
            return None, b""
        return parse_header(whole.data[: start.size]), bytes(whole.data[start.size :])

    def start_of(self, path: str) -> Header | None:
        """The header at the start of a file, its table unread: little memory."""
        fixed = Start(FIXED_BYTES)
        if not self.flash.copy(path, 0, FIXED_BYTES, fixed):
            return None
        return parse_start(fixed.data)

    def sound(self, slot: int) -> bool:
        """Whether every file of the slot is there and fits its hash in `head`."""
        folder = "slots/" + NAMES[slot] + "/"
        header, _ = self.header_of(folder + "head")
        if header is None or header.board != self.board or header.mpy not in (SOURCES, self.mpy):
            return False
        for file in header.files:
            if self.flash.size(folder + file.path) != file.length:
                return False
            found = _Hash()
            if not self.flash.copy(folder + file.path, 0, file.length, found):
                return False
            if found.sum.digest() != file.digest:
                return False
        return True

    def whole(self, path: str, header: Header) -> bool:
        """Whether the file is the whole image of `header`, body hash and all."""
        if self.flash.size(path) != header.total:
            return False
        found = _Hash()
        rest = header.total - header.body_offset
        return (
            self.flash.copy(path, header.body_offset, rest, found)
            and found.sum.digest() == header.body_digest
        )

    def install(self) -> None:
        """Unpacks a waiting image into the idle slot and puts it on trial. Survives any cut."""
        if self.flash.size(IMAGE) < 0:
            return
        if self.state.trial == BUILT_IN or not self._holds(self.state.trial):
            reason = self._install()
            if reason != NONE:
                self.refuse(reason)
        # After the record: a cut before this line comes here again and finds its trial in place.
        self.flash.remove(IMAGE)

    def _holds(self, slot: int) -> bool:
        """Whether the slot is what the waiting image unpacks to."""
        header, _ = self.header_of(IMAGE)
        installed, _ = self.header_of("slots/" + NAMES[slot] + "/head")
        return header is not None and installed is not None and header.raw == installed.raw

    def _install(self) -> int:
        header, signature = self.header_of(IMAGE)
        if header is None:
            return BAD_FORM
        reason = self.judge(header)
        if reason != NONE:
            return reason
        if not self.key:
            return NO_KEY
        if not self.whole(IMAGE, header):
            return BAD_HASH
        if not verify(self.key, signature, header.raw):
            return BAD_SIGNATURE
        slot = self.idle()
        if self.state.trial or self.state.previous == slot:
            self.state.trial = BUILT_IN
            if self.state.previous == slot:
                self.state.previous = BUILT_IN
            if not self.save():
                return FLASH_FAILED
        if not self._unpack(header, signature, slot) or not self.sound(slot):
            return FLASH_FAILED
        self.state.trial = slot
        self.state.tries = TRIES
        if not self.save():
            self.state.trial = BUILT_IN
            return FLASH_FAILED
        return NONE

    def _unpack(self, header: Header, signature: bytes, slot: int) -> bool:
        flash = self.flash
        folder = "slots/" + NAMES[slot]
        if not flash.folder("slots") or not flash.folder(folder):
            return False
        if not flash.remove(folder + "/head") or not flash.clear(folder):
            return False
        for file in header.files:
            parts = file.path.split("/")
            for depth in range(1, len(parts)):
                if not flash.folder(folder + "/" + "/".join(parts[:depth])):
                    return False
            target = folder + "/" + file.path
            writer = _Writer(flash, target)
            if file.length == 0:
                writer.take(b"")
            if not flash.copy(IMAGE, header.body_offset + file.offset, file.length, writer):
                return False
        if not flash.write(folder + "/new", header.raw + signature):
            return False
        return flash.rename(folder + "/new", folder + "/head")

    def choose(self) -> int:
        """Installs what waits, then tells the slot to start. A try is spent before the trial."""
        self.install()
        state = self.state
        if state.trial:
            if state.tries > 0 and self.sound(state.trial):
                state.tries -= 1
                # A trial whose starts cannot be counted could never end: it is not started.
                if self.save():
                    return state.trial
            state.trial = BUILT_IN
            state.rollbacks += 1
            state.reason = TRIAL_FAILED
            self.save()
        for slot in (state.good, state.previous):
            if slot == BUILT_IN:
                continue
            if self.sound(slot):
                return slot
            if state.reason != SLOT_DAMAGED:
                state.reason = SLOT_DAMAGED
                self.save()
        return BUILT_IN

    def confirm(self, slot: int) -> bool:
        """The trial in `slot` has proved itself: it is the good one from now on."""
        state = self.state
        if not slot or state.trial != slot:
            return False
        header = self.start_of("slots/" + NAMES[slot] + "/head")
        state.previous = state.good
        state.good = slot
        state.trial = BUILT_IN
        state.tries = 0
        state.updates += 1
        state.reason = NONE
        if header is not None:
            state.minimum = max(state.minimum, header.security)
        return self.save()


class Start(Sink):
    """Keeps the first `size` bytes."""

    def __init__(self, size: int) -> None:
        self.data = bytearray(size)
        self._have = 0

    def take(self, piece: bytes) -> bool:
        """False: more than there is room for."""
        end = self._have + len(piece)
        if end > len(self.data):
            return False
        self.data[self._have : end] = piece
        self._have = end
        return True
