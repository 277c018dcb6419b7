"""One Modbus RTU exchange on the wire: keep the gap, ask, wait for the one right reply.

pymodbus builds the requests and takes the replies apart, on our own port instead of its client: the
client leaves no gap after a reply, knows one time-out for all modules, gives up the whole buffer at
a bad check, and takes a reply that comes after its time-out for the answer to the next request.
Here only a reply with the asked module's id, function, length and check gets through (users.md J1,
J2, J5); everything else is counted and thrown away.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Final

from pymodbus.exceptions import ModbusException
from pymodbus.framer.rtu import FramerRTU
from pymodbus.pdu import DecodePDU, ModbusPDU

from edge.adapters.osdp_wire import Line

GAP_CHARACTERS: Final = 3.5
GAP_FIXED_S: Final = 0.00175
"""Above 19,200 baud the standard keeps the gap at this, however short a character is."""
GAP_FIXED_ABOVE_BAUD: Final = 19_200
SPLIT_S: Final = 0.055
"""A reply that has begun may pause so long: USB adapters hand bytes over in batches (J2)."""
TRICKLE_S: Final = 0.2
SETTLE_S: Final = 0.01
"""Silence kept after something garbled: whoever talked may not be done."""
BABBLE_S: Final = 0.02
"""Wait at most so long for the line to fall silent before asking."""
KEPT_BYTES: Final = 512
"""Of one reply; longer ones than 256 bytes do not exist."""
EXCEPTION_BYTES: Final = 5
EXCEPTION_BIT: Final = 0x80
READS: Final = range(1, 5)

_FRAMER: Final = FramerRTU(DecodePDU(False))


def gap_s(baud: int, character_s: float) -> float:
    """Silence between two frames."""
    standard = GAP_CHARACTERS * character_s
    return max(standard, GAP_FIXED_S) if baud > GAP_FIXED_ABOVE_BAUD else standard


def frame_of(request: ModbusPDU) -> bytes:
    """As it goes out."""
    return _FRAMER.buildFrame(request)


def close(body: bytes) -> bytes:
    """Id, function and data with their CRC."""
    return body + FramerRTU.compute_CRC(body).to_bytes(2, "big")


def checked(frame: bytes) -> bool:
    """Its last two bytes are its CRC."""
    return FramerRTU.check_CRC(frame[:-2], frame[-2] << 8 | frame[-1])


@dataclass(slots=True)
class Exchange:
    """How one request went. `reply` None: nothing that could be trusted."""

    reply: ModbusPDU | None = None
    exception: int = 0
    """The module refused with this code."""
    wrong_length: int = 0
    foreign: int = 0
    """Good frames of another module or function: late ones."""
    garbled: bool = False
    silent: bool = False
    """Not a byte came in time; the reply may still be on its way."""
    unasked_bytes: int = 0
    """Came before the request and belong to no frame, so to no late reply either."""
    turnaround_s: float = 0.0
    spent_s: float = 0.0


@dataclass(slots=True)
class _Sorted:
    """What a buffer holds besides the answer asked for."""

    good: bytes = b""
    exception: int = 0
    wrong_length: int = 0
    foreign: int = 0
    noise_bytes: int = 0


def sort(heard: bytes, request: bytes, reply_bytes: int) -> _Sorted:
    """The frames in `heard`, found by length and check wherever garbage stands between them.

    `request` empty: nothing was asked, and every frame is foreign.
    """
    found = _Sorted()
    address, function = request[:2] or (0, 0)
    echo = bool(request)
    at = 0
    while at < len(heard):
        if echo and heard.startswith(request, at):
            echo = False
            at += len(request)
            continue
        frame = _frame_at(heard, at)
        if not frame:
            found.noise_bytes += 1
            at += 1
            continue
        at += len(frame)
        if frame[0] != address or frame[1] & ~EXCEPTION_BIT != function:
            found.foreign += 1
        elif frame[1] & EXCEPTION_BIT:
            found.exception = frame[2]
        elif len(frame) != reply_bytes:
            found.wrong_length += 1
        elif not found.good:
            found.good = frame
        else:
            found.foreign += 1
    return found


def begun(heard: bytes, request: bytes, reply_bytes: int) -> bool:
    """The end of `heard` may be the beginning of the reply; babble alone is not waited for."""
    if heard.endswith(request):
        return False
    tail = heard[-(reply_bytes - 1) :]
    return any(
        tail[at] == request[0]
        and (at + 1 == len(tail) or tail[at + 1] & ~EXCEPTION_BIT == request[1])
        for at in range(len(tail))
    )


def _frame_at(heard: bytes, at: int) -> bytes:
    """The reply to a read, or the exception, that begins here; empty if there is none."""
    if len(heard) - at < EXCEPTION_BYTES:
        return b""
    function = heard[at + 1]
    if function & ~EXCEPTION_BIT not in READS:
        return b""
    length = EXCEPTION_BYTES + (0 if function & EXCEPTION_BIT else heard[at + 2])
    frame = heard[at : at + length]
    return frame if len(frame) == length and checked(frame) else b""


class Wire:
    """The bus as its master uses it, one exchange at a time."""

    def __init__(self, line: Line, gap_s: float) -> None:
        self._line = line
        self._gap_s = gap_s
        self._settle_s = gap_s
        self._quiet_since = time.monotonic()
        self._strays = b""
        self.noise_bytes = 0

    def exchange(self, request: bytes, reply_bytes: int, timeout_s: float) -> Exchange:
        """Ask, and wait at most `timeout_s` for the reply's first byte."""
        began = time.monotonic()
        done = Exchange()
        self._fall_silent(done)
        self._settle_s = self._gap_s
        self._ask(request, reply_bytes, timeout_s, done)
        done.spent_s = time.monotonic() - began
        return done

    def stray(self) -> bool:
        """Whether something came while nothing was asked."""
        if not self._line.wait(0):
            return False
        self._strays = (self._strays + self._line.read())[-KEPT_BYTES:]
        self._quiet_since = time.monotonic()
        return True

    def _fall_silent(self, done: Exchange) -> None:
        """Until nothing was heard for the gap; a line that is never silent is used all the same."""
        ends = time.monotonic() + BABBLE_S
        while True:
            left = self._quiet_since + self._settle_s - time.monotonic()
            if left > 0:
                time.sleep(left)
            if not self.stray() or self._quiet_since > ends:
                break
        found = sort(self._strays, b"", 0)
        self._strays = b""
        self.noise_bytes += found.noise_bytes
        done.unasked_bytes = found.noise_bytes

    def _ask(self, request: bytes, reply_bytes: int, timeout_s: float, done: Exchange) -> None:
        character_s = self._line.character_s
        self._line.write(request)
        sent = time.monotonic() + len(request) * character_s
        self._quiet_since = sent
        ends = sent + timeout_s
        last = ends + reply_bytes * character_s + TRICKLE_S
        first = 0.0
        heard = b""
        found = _Sorted()
        while True:
            now = time.monotonic()
            if now >= ends or not self._line.wait(ends - now):
                break
            heard = (heard + self._line.read())[-KEPT_BYTES:]
            now = self._quiet_since = time.monotonic()
            found = sort(heard, request, reply_bytes)
            first = first or now
            if found.good or found.exception:
                break
            if begun(heard, request, reply_bytes):
                ends = min(max(ends, now + reply_bytes * character_s + SPLIT_S), last)
        self._judge(found, heard, request, done)
        done.turnaround_s = max(0.0, first - sent)

    def _judge(self, found: _Sorted, heard: bytes, request: bytes, done: Exchange) -> None:
        self.noise_bytes += found.noise_bytes
        done.exception = found.exception
        done.wrong_length = found.wrong_length
        done.foreign = found.foreign
        if found.good:
            try:
                done.reply = _FRAMER.decoder.decode(found.good[1:-2])
            except ModbusException:
                done.reply = None
        if done.reply is None and not found.exception:
            done.garbled = found.noise_bytes > 0 or found.wrong_length > 0
            done.silent = heard in (b"", request) or not done.garbled
            self._settle_s = max(self._gap_s, SETTLE_S)
