"""A panel's phone path in virtual time: Dialler, modelled line, and a journal in memory."""

from __future__ import annotations

import random
from collections.abc import Callable

from edge.config_phone import LineDriver, PhoneConfig, PhoneLineConfig, PolicyKind
from edge.journal.record_types import OwedKey
from edge.reporting.phone.call_types import Ended, Note
from edge.reporting.phone.dialler import Dialler
from edge.reporting.phone.dialler_types import (
    Calling,
    DiallerEffect,
    DiallerInput,
    Elsewhere,
    JournalEvent,
    Keep,
    Memory,
    NotCommunicated,
    OwePhone,
    Reportable,
    Settled,
)
from edge.reporting.reporter_types import PathState
from protocols.instants import NS_PER_MS, NS_PER_S, Instant
from protocols.panel_event import Code, PanelEvent, priority_of
from protocols.phone_batch import batch_of
from tests.support.phone_world import FarEnd, ModelLine

SOCKET = PhoneLineConfig(driver=LineDriver.SOCKET, address="127.0.0.1:1")

DUAL = PolicyKind.DUAL
BURGLARY = PanelEvent(Code.BURGLARY, area=1, zone=3)
HOLDUP = PanelEvent(Code.HOLDUP_SILENT, area=1, zone=7)
OPENING = PanelEvent(Code.OPEN_CLOSE, area=1, user=1)
LOG = PanelEvent(Code.ZONE_STATE, area=1, zone=3)
TAMPER = PanelEvent(Code.ZONE_TAMPER, area=1, zone=5)
TROUBLE = PanelEvent(Code.MAINS_FAIL)


def phone_config(**fields: object) -> PhoneConfig:
    made = {"account": "1234", "numbers": ("82001", "82002"), "line": SOCKET, **fields}
    return PhoneConfig(**made)  # type: ignore[arg-type]


class PhoneSite:
    """Drives everything; `before_call` may change the far end for each call."""

    def __init__(
        self,
        config: PhoneConfig,
        far: FarEnd | None = None,
        *,
        seed: int = 1,
        before_call: Callable[[FarEnd], None] | None = None,
        journal_ms: float = 5,
    ) -> None:
        self.config = config
        self.far = far or FarEnd()
        self.line = ModelLine(self.far)
        self.dialler = Dialler(config, seed)
        self.before_call = before_call
        self.journal_ms = journal_ms
        self.now = Instant(0)
        self.seq = 0
        self.seed = seed
        self.log: list[tuple[float, DiallerEffect]] = []
        self.owed: dict[tuple[int, int], PanelEvent] = {}
        self.kissed: list[PanelEvent] = []
        self.settled: list[PanelEvent] = []
        self.events: dict[int, PanelEvent] = {}
        self.memory = Memory()
        self.soon: list[tuple[int, int, DiallerInput]] = []
        self.give(OwePhone(()))

    # -- the world's side ------------------------------------------------------------------------

    def give(self, given: DiallerInput) -> None:
        self.carry(self.dialler.receive(given, self.now))

    def record(self, event: PanelEvent) -> OwedKey:
        self.seq += 1
        key = OwedKey(1, self.seq, f"{self.seq:064x}", int(priority_of(event.code)), event.zone)
        self.events[self.seq] = event
        self.owed[1, self.seq] = event
        self.give(OwePhone((Reportable(key, event),)))
        return key

    def mqtt_acknowledges(self, *keys: OwedKey) -> None:
        self.give(Elsewhere(keys))

    def restart(self) -> None:
        """The process begins anew: what the journal owes is owed, what was kept is known."""
        self.line = ModelLine(self.far)
        self.line.now = self.now
        self.soon.clear()
        self.dialler = Dialler(self.config, self.seed, self.memory)
        items = tuple(
            Reportable(
                OwedKey(1, seq, f"{seq:064x}", int(priority_of(event.code)), event.zone), event
            )
            for (_, seq), event in sorted(self.owed.items())
        )
        self.give(OwePhone(items))

    def carry(self, effects: list[DiallerEffect]) -> None:
        for effect in effects:
            self.log.append((self.now / NS_PER_S, effect))
            match effect:
                case Settled(keys, kissed):
                    for key in keys:
                        event = self.owed.pop((key.epoch, key.seq), None)
                        if event is not None:
                            (self.kissed if kissed else self.settled).append(event)
                case JournalEvent(event):
                    self._journal(event)
                case Keep(memory):
                    self.memory = memory
                case Calling():
                    if self.before_call is not None:
                        self.before_call(self.far)
                case PathState() | NotCommunicated() | Note() | Ended():
                    pass
                case _:
                    self.line.order(effect, self.now)

    def _journal(self, event: PanelEvent) -> None:
        self.seq += 1
        key = OwedKey(1, self.seq, f"{self.seq:064x}", int(priority_of(event.code)), event.zone)
        self.events[self.seq] = event
        self.owed[1, self.seq] = event
        when = self.now + round(self.journal_ms * NS_PER_MS)
        self.soon.append((when, self.seq, OwePhone((Reportable(key, event),))))

    # -- time ------------------------------------------------------------------------------------

    def run(self, seconds: float, until: Callable[[], bool] | None = None) -> None:
        """Let time pass, or until `until` holds."""
        end = Instant(self.now + round(seconds * NS_PER_S))
        turns = 0
        while until is None or not until():
            turns += 1
            assert turns < 200_000, "the machine spins"
            soon = min(self.soon)[0] if self.soon else None
            times = [self.line.next_at(), self.dialler.deadline(), soon]
            due = min((time for time in times if time is not None), default=end)
            if due > end:
                self.now = end
                return
            self.now = Instant(max(self.now, due))
            if soon is not None and soon <= self.now:
                first = min(self.soon)
                self.soon.remove(first)
                self.give(first[2])
            elif self.line.next_at() is not None and self.line.next_at() <= self.now:  # type: ignore[operator]
                self.give(self.line.take())
            else:
                self.carry(self.dialler.tick(self.now))

    # -- what was seen ---------------------------------------------------------------------------

    def calls(self) -> list[tuple[float, str]]:
        return [(at, e.number) for at, e in self.log if isinstance(e, Calling) and e.number]

    def ends(self) -> list[Ended]:
        return [e for _, e in self.log if isinstance(e, Ended)]

    def paths(self) -> list[PathState]:
        return [e for _, e in self.log if isinstance(e, PathState)]

    def codes_received(self) -> list[int]:
        return [int(message.code) for message in self.line.received]

    def batches(self) -> list[str]:
        told = [e.event for _, e in self.log if isinstance(e, JournalEvent)]
        return [event.detail for event in told if batch_of(event) is not None]


def dice(seed: int) -> random.Random:
    return random.Random(seed)
