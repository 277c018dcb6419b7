"""One OSDP exchange on the wire: keep the gap, send, wait for the one good reply, count the rest.

Only a complete reply with a valid check, from the addressed node and with the command's sequence
number gets through (users.md J1, J2, J5). Everything else is counted and thrown away here, because
libosdp drops the session on a bad check, on a stray frame and on our own echo.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Final, Protocol

from edge.adapters.osdp_seal import Seal
from protocols.osdp import codes
from protocols.osdp.frame import Frame, FrameReader, Malformed

SPLIT_S: Final = 0.055
"""A reply that has begun may pause so long: USB adapters hand bytes over in batches (J2)."""
SETTLE_S: Final = 0.01
"""Silence kept after something garbled: whoever talked may not be done."""
BABBLE_S: Final = 0.02
"""Wait at most so long for the line to fall silent before sending."""
REPEATS: Final = 2
"""Identical repeats of a command whose reply came garbled, in the same turn."""
HEADER_BYTES: Final = 6
LONGEST_BYTES: Final = 256
TRICKLE_S: Final = 0.5
"""The longest reply takes no longer than this beyond its time on the line, however it is split."""
SPIKE_BYTES: Final = 2
"""So much noise is a reply spoilt; a single byte may come from switching the line."""
CLEAR_NAK_S: Final = 0.01
"""A clear NAK in a secure session is believed only if no secure reply follows so soon."""


class Line(Protocol):
    """What the exchange needs of a port."""

    character_s: float

    def write(self, data: bytes) -> None:
        """Raises PortGoneError."""

    def read(self) -> bytes:
        """Without blocking."""

    def wait(self, timeout_s: float) -> bool:
        """Until readable."""


@dataclass(slots=True)
class Exchange:
    """How one command went. `reply` None: nobody answered well."""

    reply: Frame | None = None
    tries: int = 0
    garbled: int = 0
    """Tries that brought bytes but no good frame."""
    foreign: int = 0
    """Good frames that were not for us: late, of another node, of another sequence number."""
    forged: int = 0
    """Clear text in its secure session, or a MAC that does not fit: replayed or made up."""
    busy: bool = False
    turnaround_s: float = 0.0
    spent_s: float = 0.0
    late_from: list[tuple[int, int]] = field(default_factory=list)
    """(address, sequence) of stray replies."""

    @property
    def answered(self) -> bool:
        """It is there."""
        return self.reply is not None or self.busy


def command_of(frame: bytes) -> tuple[int, int, int]:
    """(address, sequence, command id) of a frame libosdp built; (-1, 0, 0) if it is none."""
    start = 1 if frame[:1] == b"\xff" else 0
    if len(frame) < start + HEADER_BYTES:
        return -1, 0, 0
    control = frame[start + 4]
    at = start + 5
    if control & codes.CONTROL_SECURE:
        at += frame[at]
    return frame[start + 1] & 0x7F, control & codes.CONTROL_SEQUENCE, frame[at]


def _missing(tail: bytes) -> int:
    """Bytes still to come of the frame that begins in `tail`, as far as one can tell."""
    start = tail.find(codes.SOM)
    if start < 0 or len(tail) - start < HEADER_BYTES - 2:
        return HEADER_BYTES + 2
    length = tail[start + 2] | tail[start + 3] << 8
    return min(max(1, length - (len(tail) - start)), LONGEST_BYTES)


class Wire:
    """The bus as its controller uses it, one exchange at a time."""

    def __init__(self, line: Line, gap_s: float) -> None:
        self._line = line
        self._gap_s = gap_s
        self._reader = FrameReader()
        self._quiet_since = 0.0
        self._settle_s = gap_s
        self.noise_bytes = 0
        self.unasked_bytes = 0
        """Of the noise: what came while nobody had been asked."""

    def exchange(
        self, frame: bytes, reply_timeout_s: float, seal: Seal, *, repeats: int = REPEATS
    ) -> Exchange:
        """Send `frame`, and again the identical bytes while its reply comes garbled."""
        done = Exchange()
        began = time.monotonic()
        while done.tries <= repeats:
            done.tries += 1
            self._fall_silent(done)
            self._settle_s = self._gap_s
            if self._once(frame, reply_timeout_s, done, seal) != "garbled":
                break
        done.spent_s = time.monotonic() - began
        return done

    def stray(self) -> Exchange:
        """Whatever came while nothing was asked."""
        done = Exchange()
        before = self.noise_bytes
        if self._line.wait(0):
            self._take(self._line.read(), done, None, None)
        self.unasked_bytes += self.noise_bytes - before
        return done

    def _fall_silent(self, done: Exchange) -> None:
        """Until nothing was heard for the gap; a line that is never silent is used all the same."""
        ends = time.monotonic() + BABBLE_S
        before = self.noise_bytes
        while True:
            now = time.monotonic()
            left = self._quiet_since + self._settle_s - now
            if left > 0:
                time.sleep(left)
            if not self._line.wait(0):
                break
            self._take(self._line.read(), done, None, None)
            self._quiet_since = time.monotonic()
            if self._quiet_since > ends:
                break
        self.noise_bytes += self._reader.pending
        self._reader.reset()
        self.unasked_bytes += self.noise_bytes - before

    def _once(self, frame: bytes, timeout_s: float, done: Exchange, seal: Seal) -> str:
        self._line.write(frame)
        sent = time.monotonic() + len(frame) * self._line.character_s
        self._quiet_since = sent
        ends = sent + timeout_s
        last = ends + LONGEST_BYTES * self._line.character_s + TRICKLE_S
        first = 0.0
        tail = b""
        held: Frame | None = None
        spoiled = False
        while True:
            now = time.monotonic()
            if now >= ends or not self._line.wait(ends - now):
                break
            data = self._line.read()
            now = self._quiet_since = time.monotonic()
            if now > sent and not first:
                first = now
            reply, bad = self._take(data, done, frame, seal)
            spoiled = spoiled or bad
            if done.busy:
                return "busy"
            if reply is not None:
                if seal.closed and reply.block is None and reply.data[0] == codes.NAK:
                    held, ends = reply, now + CLEAR_NAK_S
                    continue
                done.forged += held is not None
                return self._good(reply, done, max(0.0, first - sent))
            tail = (tail + data)[-LONGEST_BYTES:] if self._reader.pending else b""
            if tail:
                # Asleep while the rest arrives: a wake-up per byte would cost more than the poll.
                missing = _missing(tail) * self._line.character_s
                ends = min(max(ends, now + missing + SPLIT_S), last)
                if missing > 2 * self._line.character_s:
                    time.sleep(missing * 0.9)
        if held is not None:
            return self._good(held, done, max(0.0, first - sent))
        if spoiled or self._reader.pending:
            done.garbled += 1
            self._settle_s = max(self._gap_s, SETTLE_S)
            self.noise_bytes += self._reader.pending
            self._reader.reset()
            return "garbled"
        return "silent"

    def _good(self, reply: Frame, done: Exchange, turnaround_s: float) -> str:
        done.reply = reply
        done.turnaround_s = turnaround_s
        return "good"

    def _take(
        self, data: bytes, done: Exchange, sent: bytes | None, seal: Seal | None
    ) -> tuple[Frame | None, bool]:
        """The reply to `sent` in what was read, and whether anything of it was no frame."""
        address, sequence, _ = command_of(sent) if sent else (-1, 0, 0)
        good: Frame | None = None
        noise_before = self._reader.noise_bytes
        heard_all = self._reader.feed(data)
        noise = self._reader.noise_bytes - noise_before
        self.noise_bytes += noise
        spoiled = noise >= SPIKE_BYTES
        for heard in heard_all:
            if isinstance(heard, Malformed):
                spoiled = True
            elif not heard.reply:
                # Our own echo, or another controller.
                done.foreign += sent is None or heard.raw.lstrip(b"\xff") != sent.lstrip(b"\xff")
            elif heard.address != address or good is not None:
                done.foreign += 1
                done.late_from.append((heard.address, heard.sequence))
            elif heard.data == bytes([codes.BUSY]) and heard.block is None:
                done.busy = True
            elif heard.sequence != sequence:
                done.foreign += 1
                done.late_from.append((heard.address, heard.sequence))
            elif heard.data == bytes([codes.NAK, codes.NAK_CHECK]) and heard.block is None:
                # libosdp would fall back to an 8-bit checksum for good; our bytes were garbled.
                spoiled = True
            elif seal is not None and not _may_be_clear(heard, sent) and not seal.fits(heard):
                done.forged += 1
            else:
                good = heard
        return good, spoiled


def _may_be_clear(reply: Frame, sent: bytes | None) -> bool:
    """A NAK, or the acknowledgement of KEYSET (some nodes end the session before it)."""
    if reply.block is not None:
        return False
    if reply.data[0] == codes.NAK:
        return True
    keyset = sent is not None and command_of(sent)[2] == codes.KEYSET
    return keyset and reply.data == bytes([codes.ACK])
