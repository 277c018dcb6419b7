"""One receiver's link: frames in, ACK only for what is stored, heartbeat, supervision."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from protocols.automation.dialect import Bad, Beat, Dialect, Line, Reading
from protocols.automation.effects import Arrived, Back, Effect, Kept, Lost, Malformed, Send
from protocols.automation.framing import MAX_SHOWN, Noise, Splitter
from protocols.instants import Instant, later

MAX_OPEN: Final = 64
"""Frames remembered as not acknowledged, and as acknowledged lately."""
MAX_STORING: Final = 16
"""Frames in the store's hands at once. A receiver has one under way; who sends more is made to wait
for the store, which holds back nobody else then.
"""
MAX_STRANGE: Final = 8
"""Frames that broke the dialect, remembered in case they come again."""

EIGHTH: Final = 0x80
MIN_JUDGED: Final = 6


@dataclass(frozen=True, slots=True)
class Policy:
    """Waiting times of a link, protocols.md 3.1.

    `lost_s`: silence after which the receiver is lost (its heartbeat comes every 30 s); `gone_s`:
    the same with its connection closed (set it to `lost_s` for senders that connect anew for each
    message). `ack_s`: how long an ACK still finds it waiting (None: as the dialect says); a later
    ACK is sent only where it names its frame, for the receiver may be sending something else by
    then. `repeat_s`: the same bytes within this time are a repeat while the store works, and may be
    one where we acknowledged; with sequence numbers they certainly are within `sequence_s`.
    `unheard_s`: the same for what was stored and surely never acknowledged, also before a restart:
    a receiver that gave up sends it again behind a heartbeat, of which the slowest come every 99 s.
    `frame_s`: a frame not whole by then is dropped and asked for again, while its receiver waits.
    `strange_s`: within it the same bytes that break the dialect are the same line again. `naks`:
    that many in a row, then silence, for a Bosch skips a message at the third.
    """

    lost_s: float = 95.0
    gone_s: float = 10.0
    ack_s: float | None = None
    repeat_s: float = 20.0
    sequence_s: float = 600.0
    unheard_s: float = 120.0
    frame_s: float = 2.0
    strange_s: float = 120.0
    naks: int = 2


@dataclass(slots=True)
class _Open:
    """A frame whose ACK has not gone; `stored_at` None: not durable yet."""

    token: int
    arrived_at: Instant
    stored_at: Instant | None = None
    before: bool = False
    """Stored before a restart."""
    passed: bool = False
    """Another was acknowledged since: its receiver may have gone on without it."""
    ack: bytes = b""
    """Answers it at any time, for it names it; empty: there is none such, or nobody to hear it."""


@dataclass(frozen=True, slots=True)
class _Answered:
    at: Instant
    sequence: bool


class Automation:
    """The machine. Call `connected` when the transport opens and `disconnected` when it goes.

    `repeats` counts frames that came again and were known, `malformed` what was none, `held` frames
    not taken because the store had too many in its hands: the receiver sends them again.
    """

    def __init__(self, dialect: Dialect, policy: Policy | None = None) -> None:
        self._dialect = dialect
        self._policy = Policy() if policy is None else policy
        given_s = self._policy.ack_s
        self._ack_s = dialect.ack_s if given_s is None else given_s
        # A NAK that comes when the receiver has sent it again already would refuse the good one.
        self._frame_s = min(self._policy.frame_s, 2 * self._ack_s / 3)
        self._splitter = Splitter(dialect.framing)
        self._bytes_at = Instant(0)
        self._next = 1
        self._open: OrderedDict[bytes, _Open] = OrderedDict()
        self._answered: OrderedDict[bytes, _Answered] = OrderedDict()
        self._asking: tuple[bytes, Line, Instant] | None = None
        self._last: tuple[bytes, Instant] | None = None
        self._naks = 0
        self._strange: OrderedDict[bytes, Instant] = OrderedDict()
        self._up: bool | None = None
        self._heard_at: Instant | None = None
        self._gone: tuple[str, Instant] | None = None
        self._unread = ""
        self.repeats = 0
        self.malformed = 0
        self.held = 0

    def remember(self, kept: Iterable[Kept], now: Instant) -> None:
        """Frames stored before a restart: the receiver may send them once more."""
        for one in kept:
            at = later(now, -one.age_s)
            if one.sequence:
                self._answered[one.frame] = _Answered(at, sequence=True)
            else:
                self._open[one.frame] = _Open(0, at, at, before=True)
        _bound(self._open)
        _bound(self._answered)

    def connected(self, now: Instant) -> list[Effect]:
        """The transport is open; from now on silence counts."""
        self._gone = None
        if self._heard_at is None or self._up is False:
            self._heard_at = now
        return []

    def disconnected(self, cause: str, now: Instant) -> list[Effect]:
        """The transport is gone, and with it whoever waited for an ACK."""
        effects = self._noise(self._splitter.drop("cut off by the connection's end"))
        self._asking = None
        for one in self._open.values():
            one.ack = b""
        if self._gone is None:
            self._gone = (cause, now)
        return effects

    def receive(self, data: bytes, now: Instant) -> list[Effect]:
        """Bytes from the receiver, in any pieces."""
        effects: list[Effect] = []
        for piece in self._splitter.feed(data):
            if isinstance(piece, Noise) and isinstance(self._dialect.read(piece.whole), Bad):
                effects += self._noise([piece])
            elif isinstance(piece, Noise):
                effects += self._frame(piece.whole, now)
            else:
                effects += self._frame(piece, now)
        self._bytes_at = now
        return effects

    def stored(self, token: int, now: Instant) -> list[Effect]:
        """What arrived with `token` is durable: its ACK goes if the receiver still waits for it."""
        frame = self._frame_of(token)
        if frame is None:
            return []
        one, asking = self._open[frame], self._asking
        one.stored_at = now
        if one.ack:
            return self._acknowledge(frame, one.ack, now, sequence=True)
        if asking is None or asking[0] != frame or now > later(asking[2], self._ack_s):
            return []
        return self._acknowledge(frame, asking[1].ack, now, sequence=False)

    def refused(self, token: int) -> None:
        """It could not be stored: no ACK, and the receiver's next repeat arrives as new."""
        frame = self._frame_of(token)
        if frame is not None:
            del self._open[frame]

    def unsent(self) -> None:
        """The last acknowledgement could not be sent: its frame comes again and is known."""
        if self._last is not None:
            frame, at = self._last
            self._last = None
            self._answered.pop(frame, None)
            self._open[frame] = _Open(0, at, at)
            _bound(self._open)

    def tick(self, now: Instant) -> list[Effect]:
        """The deadline has come."""
        effects: list[Effect] = []
        cut = later(self._bytes_at, self._frame_s)
        if self._splitter.unfinished and now >= cut:
            effects += self._noise(self._splitter.drop("frame cut off", answer=True))
        over = [cause for cause, at in self._ends() if now >= at]
        if over and self._up is not False:
            self._up = False
            effects.append(Lost(over[0]))
        return effects

    def deadline(self) -> Instant | None:
        """When to call `tick`."""
        ends = [at for _, at in self._ends()] if self._up is not False else []
        if self._splitter.unfinished:
            ends.append(later(self._bytes_at, self._frame_s))
        return min(ends, default=None)

    def _ends(self) -> list[tuple[str, Instant]]:
        ends = []
        if self._gone is not None:
            ends.append((self._gone[0], later(self._gone[1], self._policy.gone_s)))
        if self._heard_at is not None:
            cause = f"nothing readable comes: {self._unread}" if self._unread else "silent"
            ends.append((cause, later(self._heard_at, self._policy.lost_s)))
        return ends

    def _frame(self, frame: bytes, now: Instant) -> list[Effect]:
        reading = self._read(frame, now)
        if isinstance(reading, Bad):
            bad = self._malformed(reading.reason, reading.clause, frame)
            return [bad, *self._ask_again(reading.nak)]
        effects = self._heard(now)
        if isinstance(reading, Beat):
            return effects if self._stuck(now) else [*effects, Send(reading.ack)]
        return effects + self._line(frame, reading, now)

    def _read(self, frame: bytes, now: Instant) -> Reading:
        reading = self._dialect.read(frame)
        if not isinstance(reading, Bad):
            return reading
        seven = seven_bits(frame)
        if seven is not None:
            plain = self._dialect.read(seven)
            reading = reading if isinstance(plain, Bad) else plain
        if not isinstance(reading, Bad):
            return reading
        seen = self._strange.pop(frame, None)
        self._strange[frame] = now
        while len(self._strange) > MAX_STRANGE:
            self._strange.popitem(last=False)
        known = seen is not None and now <= later(seen, self._policy.strange_s)
        return reading.else_ if known and reading.else_ is not None else reading

    def _line(self, frame: bytes, line: Line, now: Instant) -> list[Effect]:
        self._asking = (frame, line, now)
        known = self._open.get(frame)
        if known is not None and known.stored_at is None:
            if now <= later(known.arrived_at, self._policy.repeat_s):
                self.repeats += 1  # its ACK waits for the store
                return []
        elif known is not None and now <= self._until(
            known.stored_at, line, unheard=not known.passed
        ):
            self.repeats += 1  # stored too late for its ACK, which the receiver never got
            return self._acknowledge(frame, line.ack, now, sequence=line.sequence)
        before = self._answered.get(frame)
        repeat = before is not None and now <= self._until(before.at, line)
        if repeat and line.sequence:
            self.repeats += 1
            return self._acknowledge(frame, line.ack, now, sequence=True)
        if sum(1 for one in self._open.values() if self._storing(one, now)) >= MAX_STORING:
            self.held += 1
            return []
        self.repeats += repeat
        token = self._next
        self._next += 1
        self._open[frame] = _Open(token, now, ack=line.ack if line.sequence else b"")
        _bound(self._open)
        return [Arrived(token, line.what, repeat, Kept(frame, line.sequence))]

    def _until(self, at: Instant | None, line: Line, *, unheard: bool = False) -> Instant:
        assert at is not None
        policy = self._policy
        unnumbered_s = policy.unheard_s if unheard else policy.repeat_s
        return later(at, policy.sequence_s if line.sequence else unnumbered_s)

    def _storing(self, one: _Open, now: Instant) -> bool:
        """In the store's hands, as far as one can tell: it may have dropped what is very old."""
        return one.stored_at is None and now <= later(one.arrived_at, self._policy.repeat_s)

    def _acknowledge(
        self, frame: bytes, ack: bytes, now: Instant, *, sequence: bool
    ) -> list[Effect]:
        self._open.pop(frame, None)
        # A receiver goes on only behind what was acknowledged, so what waited from before a restart
        # is not coming any more: the same bytes from now on tell of something new.
        for old in [each for each, one in self._open.items() if one.before]:
            del self._open[old]
        for one in self._open.values():
            one.passed = True
        self._answered.pop(frame, None)
        self._answered[frame] = _Answered(now, sequence)
        self._last = None if sequence else (frame, now)
        _bound(self._answered)
        if self._asking is not None and self._asking[0] == frame:
            self._asking = None
        return [Send(ack, settles=not sequence)]

    def _stuck(self, now: Instant) -> bool:
        """Nothing gets stored: unanswered heartbeats make the receiver tell its own operator."""
        limit = self._ack_s
        return any(
            one.stored_at is None and now > later(one.arrived_at, limit)
            for one in self._open.values()
        )

    def _heard(self, now: Instant) -> list[Effect]:
        self._naks = 0
        self._unread = ""
        self._heard_at = now
        was, self._up = self._up, True
        return [] if was else [Back()]

    def _ask_again(self, nak: bytes = b"") -> list[Effect]:
        if self._naks >= self._policy.naks:
            return []
        self._naks += 1
        return [Send(nak or self._dialect.nak)]

    def _noise(self, pieces: list[Noise]) -> list[Effect]:
        effects: list[Effect] = []
        for noise in pieces:
            effects.append(self._malformed(noise.reason, self._dialect.name, noise.raw))
            if noise.answer:
                effects += self._ask_again()
        return effects

    def _malformed(self, reason: str, clause: str, raw: bytes) -> Malformed:
        self.malformed += 1
        self._unread = reason + hint(raw)
        return Malformed(self._unread, clause, raw[:MAX_SHOWN])

    def _frame_of(self, token: int) -> bytes | None:
        return next((frame for frame, one in self._open.items() if one.token == token), None)


def seven_bits(frame: bytes) -> bytes | None:
    """A frame sent as 7E1 and read as 8N1: every byte has even parity and some have the eighth bit.
    None: it is not such.
    """
    if max(frame, default=0) < EIGHTH or any(byte.bit_count() % 2 for byte in frame):
        return None
    return bytes(byte % EIGHTH for byte in frame)


def hint(raw: bytes) -> str:
    """What most likely is wrong with the line's setting, to be read behind a reason."""
    high = sum(byte >= EIGHTH for byte in raw)
    if len(raw) < MIN_JUDGED or not 3 * high > len(raw):
        return ""
    return "; a third or more of its bytes have the eighth bit: look at `mode` (7E1?) and `baud`"


def _bound(kept: OrderedDict[bytes, _Open] | OrderedDict[bytes, _Answered]) -> None:
    while len(kept) > MAX_OPEN:
        kept.popitem(last=False)
