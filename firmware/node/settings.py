"""What commissioning gives a node, kept in flash in two copies. [both runtimes]

    settings0, settings1: magic "TNS1", sequence(4), length(2), body, SHA-256 of all before (16)

LE. A copy is written beside, read back, and renamed over the older one, so that a cut at any byte
leaves the old settings or the new. The newest copy whose check fits counts. `mirror` later brings
the other copy up to date, so that a worn one never brings back an old key.
"""

import hashlib
import struct

from firmware.node.flash import Flash
from firmware.node.loops import DOUBLE_EOL, NC, NO, UNUSED, WIRINGS, windows

INPUTS = 8
BAUDS = (9600, 19200, 38400, 57600, 115200, 230400)
KEY_BYTES = 16

_MAGIC = b"TNS1"
_HEAD = "<4sIH"
_BODY = "<BIB16sIIBHH"
_LOOP = "<BHH"
_CHECK_BYTES = 16
_LIMIT = 512
_NAMES = ("settings0", "settings1")
_NEW = "settings.new"


class LoopSettings:
    """One input: wiring (loops.UNUSED to TRIPLE_EOL), debounce and minimum pulse (I1, I2)."""

    def __init__(
        self, wiring: int = DOUBLE_EOL, debounce_ms: int = 50, min_pulse_ms: int = 300
    ) -> None:
        self.wiring = wiring
        self.debounce_ms = debounce_ms
        self.min_pulse_ms = min_pulse_ms


class Settings:
    """All of it. `key` None: as delivered, waits for a controller's pairing."""

    def __init__(self, address: int, baud: int = 38400, key: bytes | None = None) -> None:
        self.address = address
        self.baud = baud
        self.key = key
        self.loops = [LoopSettings() for _ in range(INPUTS)]
        self.eol_ohm = 4700
        self.pullup_ohm = 4700
        self.silent_s = 8
        """Without a command for longer: outputs off."""
        self.low_mv = 10500
        self.restore_mv = 11000

    def refusal(self) -> str:
        """Why a node cannot work with these, "" when it can."""
        if not 0 <= self.address <= 126:
            return "address is 0 to 126"
        if self.baud not in BAUDS:
            return "no such baud rate"
        if self.key is not None and len(self.key) != KEY_BYTES:
            return "a key has 16 bytes"
        if not (100 <= self.eol_ohm <= 100000 and 100 <= self.pullup_ohm <= 100000):
            return "resistors are 100 to 100000 ohm"
        if not 1 <= self.silent_s <= 255:
            return "silence is 1 to 255 s"
        if not 0 <= self.low_mv <= self.restore_mv <= 60000:
            return "the supply is good from a higher voltage on than it is low below"
        return self._loops_refusal()

    def _loops_refusal(self) -> str:
        if len(self.loops) != INPUTS:
            return "eight inputs"
        for loop in self.loops:
            if not 0 <= loop.wiring < WIRINGS:
                return "no such wiring"
            if not (10 <= loop.debounce_ms <= 1000 and 10 <= loop.min_pulse_ms <= 10000):
                return "debounce is 10 to 1000 ms, minimum pulse 10 to 10000 ms"
            if loop.wiring not in (UNUSED, NC, NO) and not windows(
                loop.wiring, self.eol_ohm, self.pullup_ohm
            ):
                return "these resistors cannot be told apart"
        return ""

    def encode(self) -> bytes:
        """The body."""
        data = struct.pack(
            _BODY,
            self.address,
            self.baud,
            0 if self.key is None else 1,
            self.key or bytes(KEY_BYTES),
            self.eol_ohm,
            self.pullup_ohm,
            self.silent_s,
            self.low_mv,
            self.restore_mv,
        )
        for loop in self.loops:
            data += struct.pack(_LOOP, loop.wiring, loop.debounce_ms, loop.min_pulse_ms)
        return data


def decode(body: bytes) -> Settings | None:
    """Settings from a body; None when it is none, or a node could not work with it."""
    fixed, each = struct.calcsize(_BODY), struct.calcsize(_LOOP)
    if len(body) != fixed + INPUTS * each:
        return None
    values = struct.unpack(_BODY, body[:fixed])
    settings = Settings(values[0], values[1], values[3] if values[2] else None)
    settings.eol_ohm, settings.pullup_ohm, settings.silent_s = values[4:7]
    settings.low_mv, settings.restore_mv = values[7:9]
    for number in range(INPUTS):
        start = fixed + number * each
        loop = settings.loops[number]
        loop.wiring, loop.debounce_ms, loop.min_pulse_ms = struct.unpack(
            _LOOP, body[start : start + each]
        )
    return None if settings.refusal() else settings


class Copy:
    """One copy that passed its check."""

    def __init__(self, sequence: int, body: bytes, settings: Settings) -> None:
        self.sequence = sequence
        self.body = body
        self.settings = settings


def _read(data: bytes | None) -> Copy | None:
    head = struct.calcsize(_HEAD)
    if data is None or len(data) < head + _CHECK_BYTES:
        return None
    magic, sequence, length = struct.unpack(_HEAD, data[:head])
    if magic != _MAGIC or len(data) != head + length + _CHECK_BYTES:
        return None
    if hashlib.sha256(data[: head + length]).digest()[:_CHECK_BYTES] != data[head + length :]:
        return None
    body = data[head : head + length]
    settings = decode(body)
    return None if settings is None else Copy(sequence, body, settings)


class SettingsStore:
    """The two copies on `flash`."""

    def __init__(self, flash: Flash) -> None:
        self._flash = flash
        self._sequence = 0
        self._next = 0
        self._mirrored = False
        self.damaged = False
        """There are settings, and none of them can be read."""

    def load(self) -> Settings | None:
        """The newest good copy; None: an empty node, or `damaged`."""
        copies = []
        found = False
        for name in _NAMES:
            found = found or self._flash.size(name) >= 0
            copies.append(_read(self._flash.read(name, _LIMIT)))
        first, second = copies
        self.damaged = found and first is None and second is None
        if first is not None and (second is None or second.sequence <= first.sequence):
            newest = first
            self._next = 1
        elif second is not None:
            newest = second
            self._next = 0
        else:
            return None
        self._sequence = newest.sequence
        self._mirrored = first is not None and second is not None and first.body == second.body
        return newest.settings

    def image(self, settings: Settings) -> bytes:
        """The file `save` would write."""
        body = settings.encode()
        data = struct.pack(_HEAD, _MAGIC, self._sequence + 1, len(body)) + body
        return data + hashlib.sha256(data).digest()[:_CHECK_BYTES]

    def save(self, settings: Settings) -> bool:
        """Durable when True. False: the flash did not take it, the old settings stand."""
        if settings.refusal():
            return False
        data = self.image(settings)
        flash = self._flash
        if not flash.write(_NEW, data) or flash.read(_NEW, _LIMIT) != data:
            return False
        if not flash.rename(_NEW, _NAMES[self._next]):
            return False
        self._sequence += 1
        self._next = 1 - self._next
        self._mirrored = False
        return True

    def mirror(self, settings: Settings) -> None:
        """Bring the older copy up to date, when it is not; one write, so not inside a reply."""
        if not self._mirrored:
            self._mirrored = self.save(settings)
