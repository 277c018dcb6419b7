"""One input's debounce and minimum pulse (users.md I1, I2; EN 50131: 400 ms is always seen).

States come in as edges with their times; what comes out are the states worth telling.

* Level (I1): `settled` equals the input no later than the debounce time after its last edge.
* Activation (I2): from the first edge that leaves rest to the last that returns, where a return
  shorter than the debounce time is bounce and belongs to the activation. Bounce that outweighs the
  activity before it does not join: the activation then begins anew, so that spikes far apart never
  add up to one. An activation of at least the minimum pulse is told exactly once, when it has
  lasted that long, or, if nobody ticked meanwhile, with the edge that ends it. A shorter one never.
* Rest is told when the input has been at rest for the debounce time.
* After the start and after a loss the past is unknown: whatever then stands for the debounce time
  is told, for it may have begun earlier.

An undefined value (between the end-of-line windows) leaves rest like any activity. If it comes and
goes inside an activation it changes nothing; if it lasts the minimum pulse, it is told as such.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from edge.field.eol import LoopState
from protocols.instants import NS_PER_MS, Instant

_NEVER: Final = Instant(0)


@dataclass(slots=True)
class Counters:
    """What the input did since the start of the machine."""

    pulses_seen: int = 0
    pulses_short: int = 0
    edges_lost: int = 0
    """Found by a re-read that differs, or by two edges the same way."""


@dataclass(slots=True)
class Debounce:
    """States in, told states out. `state` is the last one told, None before the first."""

    debounce_ms: int
    min_pulse_ms: int
    state: LoopState | None = None
    settled: LoopState | None = None
    counters: Counters = field(default_factory=Counters)
    _raw: LoopState | None = None
    _since: Instant = _NEVER
    _started: Instant | None = None
    _active_ns: int = 0
    _gap_ns: int = 0
    _kind: LoopState = LoopState.UNDEFINED

    def edge(self, raw: LoopState, now: Instant) -> list[LoopState]:
        """The input changed to `raw` at `now`. Returns the states told, in order."""
        now = max(now, self._since)
        told = self.tick(now)
        if raw is not self._raw:
            self._apply(raw, now)
            told += self.tick(now)
        elif now - self._since > self.debounce_ms * NS_PER_MS:
            self.counters.edges_lost += 1
        return told

    def resync(self, raw: LoopState, now: Instant) -> list[LoopState]:
        """The input was read at `now`. Ignored when older than the last edge."""
        if now < self._since or raw is self._raw:
            return self.tick(now)
        if self._raw is not None:
            self.counters.edges_lost += 1
        return self.edge(raw, now)

    def lose(self, now: Instant) -> list[LoopState]:
        """The input cannot be read any more. What comes next is told as after a start."""
        told = self.tick(now)
        self.state = self.settled = self._raw = self._started = None
        return told

    def tick(self, now: Instant) -> list[LoopState]:
        """What has become certain by `now`."""
        told: list[LoopState] = []
        while (due := self.deadline()) is not None and due <= now:
            if due == self._confirm_at() and due != self._settle_at():
                told.append(self._confirm(due))
            else:
                told += self._settle()
        return told

    def deadline(self) -> Instant | None:
        """When something becomes certain if no edge comes before."""
        settle_at, confirm_at = self._settle_at(), self._confirm_at()
        if settle_at is None or confirm_at is None:
            return confirm_at if settle_at is None else settle_at
        return min(settle_at, confirm_at)

    @property
    def raw(self) -> LoopState | None:
        """The input as last seen, None before the first edge or when lost."""
        return self._raw

    @property
    def settling(self) -> bool:
        """An edge was seen that has not yet stood for the debounce time."""
        return self._settle_at() is not None

    def _at_rest(self, raw: LoopState) -> bool:
        return raw is LoopState.NORMAL or raw is self.state

    def _settle_at(self) -> Instant | None:
        if self._raw is None or (
            self.settled is self._raw
            and self.state is not None
            and not (
                self._at_rest(self._raw)
                and (self._started is not None or self._raw is not self.state)
            )
        ):
            return None
        return Instant(self._since + self.debounce_ms * NS_PER_MS)

    def _confirm_at(self) -> Instant | None:
        if self._started is None or self._raw is None or self._at_rest(self._raw):
            return None
        return Instant(self._started + self.min_pulse_ms * NS_PER_MS)

    def _apply(self, raw: LoopState, now: Instant) -> None:
        if self._started is not None and self._raw is not None:
            if self._at_rest(self._raw):
                self._gap_ns += now - self._since
            else:
                self._active_ns += now - self._since
        if self.state is not None and not self._at_rest(raw):
            if self._started is not None and self._gap_ns > self._active_ns:
                self._drop()
            if self._started is None:
                self._begin(now)
            if raw is not LoopState.UNDEFINED:
                self._kind = raw
        self._raw = raw
        self._since = now

    def _begin(self, now: Instant) -> None:
        self._started = now
        self._active_ns = self._gap_ns = 0
        self._kind = LoopState.UNDEFINED

    def _drop(self) -> None:
        if self._started is not None:
            self._started = None
            self.counters.pulses_short += 1

    def _settle(self) -> list[LoopState]:
        assert self._raw is not None
        self.settled = self._raw
        if self.state is not None and not self._at_rest(self._raw):
            return []
        self._drop()
        if self._raw is self.state:
            return []
        self.state = self._raw
        return [self.state]

    def _confirm(self, due: Instant) -> LoopState:
        self.counters.pulses_seen += 1
        self.state = self._kind
        self._started = None
        if self._raw is not self.state:
            self._begin(due)  # only an undefined value differs from its kind
        return self.state
