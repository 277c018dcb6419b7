"""Reporter, records and a path in one loop, as the panel's program joins them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Protocol, Self

import msgspec

from edge.adapters.mqtt_delivery import CertificateNotice, CommandArrived, Delivery
from edge.config import MqttConfig
from edge.journal.record_types import OwedKey
from edge.reporting.path_causes import LinkCause
from edge.reporting.report_batch import pack
from edge.reporting.reporter import (
    Acknowledged,
    AskDigest,
    DigestFound,
    HeartbeatDue,
    LinkDown,
    LinkUp,
    Owe,
    PathState,
    Reconnect,
    Reporter,
    ReporterEffect,
    ReporterInput,
    Send,
)
from protocols.instants import Instant
from protocols.mqtt import topics
from protocols.mqtt.payloads import Heartbeat
from tests.support.record_source import RecordSource

PANEL = "shop-1"


class AnyPath(Protocol):
    malformed: int

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def publish(self, leaf: str, payload: bytes) -> bool: ...
    def reconnect(self, cause: LinkCause) -> None: ...


Make = Callable[..., AnyPath]


def quick(port: int, **changes: Any) -> MqttConfig:
    """A configuration whose times suit a test."""
    settings: dict[str, Any] = {
        "host": "127.0.0.1",
        "port": port,
        "ca": "ca.crt",
        "cert": f"{PANEL}.crt",
        "key": f"{PANEL}.key",
        "heartbeat_s": 1,
        "ack_timeout_s": 0.5,
        "keepalive_s": 5,
        "reconnect_max_s": 1,
    }
    return MqttConfig(**{**settings, **changes})


class PathRig:
    """`async with` starts and stops the path. `delivered` is all that came from it, in order."""

    def __init__(self, make: Make, config: MqttConfig, base: Path) -> None:
        self._make = make
        self._config = config
        self._base = base
        self._timer: asyncio.TimerHandle | None = None
        self.records = RecordSource(PANEL)
        self.reporter = Reporter(config, PANEL)
        self.delivered: list[Delivery] = []
        self.effects: list[ReporterEffect] = []
        self.acknowledged: list[OwedKey] = []
        self.path: AnyPath

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self.path = self._make(self._config, PANEL, "boot-1", self._base, loop, self.deliver)
        self.path.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.path.stop()
        if self._timer is not None:
            self._timer.cancel()

    def owe(self, count: int, code: int = 130) -> list[OwedKey]:
        keys = [self.records.append(code, 1 + n % 5) for n in range(count)]
        self.give(Owe(tuple(keys)))
        return keys

    def deliver(self, item: Delivery) -> None:
        self.delivered.append(item)
        if not isinstance(item, CommandArrived | CertificateNotice):
            self.give(item)

    def give(self, given: ReporterInput) -> None:
        self._carry_out(self.reporter.receive(given, Instant(time.monotonic_ns())))

    def of(self, kind: type) -> list[Any]:
        return [item for item in [*self.delivered, *self.effects] if isinstance(item, kind)]

    def causes(self) -> list[LinkCause]:
        return [item.cause for item in self.of(LinkDown)]

    async def until(self, what: str, probe: Callable[[], Any], timeout_s: float = 15) -> Any:
        end = time.monotonic() + timeout_s
        while not (value := probe()):
            assert time.monotonic() < end, f"waited {timeout_s:g} s in vain for: {what}"
            await asyncio.sleep(0.01)
        return value

    async def linked(self, times: int = 1) -> None:
        await self.until(f"{times} LinkUp", lambda: len(self.of(LinkUp)) >= times)

    async def all_acknowledged(self, keys: Iterable[OwedKey], timeout_s: float = 20) -> None:
        wanted = set(keys)
        await self.until(
            "all acknowledgements", lambda: wanted <= set(self.acknowledged), timeout_s
        )

    def _carry_out(self, effects: list[ReporterEffect]) -> None:
        self.effects += effects
        for effect in effects:
            match effect:
                case Send(keys):
                    for payload in pack(self.records.raw[k.epoch, k.seq] for k in keys):
                        self.path.publish(topics.REPORT, payload)
                case Acknowledged(keys):
                    self.acknowledged += keys
                case HeartbeatDue():
                    self.path.publish(topics.HEARTBEAT, self._heartbeat())
                case Reconnect(cause):
                    self.path.reconnect(cause)
                case AskDigest(epoch, seq):
                    key = self.records.keys.get((epoch, seq))
                    self.give(DigestFound(epoch, seq, key.digest if key else None))
                case PathState() | _:
                    pass
        if self._timer is not None:
            self._timer.cancel()
        due = self.reporter.deadline()
        if due is not None:
            wait_s = max(0.0, (due - time.monotonic_ns()) / 1e9)
            self._timer = asyncio.get_running_loop().call_later(wait_s, self._tick)

    def _tick(self) -> None:
        self._carry_out(self.reporter.tick(Instant(time.monotonic_ns())))

    def _heartbeat(self) -> bytes:
        records = self.records
        return msgspec.json.encode(
            Heartbeat(
                PANEL, "boot-1", records.epoch, records.seq, records.head, 1,
                self.reporter.owed(), self._config.heartbeat_s, 1.0, "test",
            )
        )  # fmt: skip
