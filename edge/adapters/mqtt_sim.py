"""The MQTT path inside one process: same interface as `MqttPath`, no broker, no thread.

`SimBroker` plays the broker and lets its owner be the collector; `down` makes every path fail
with a cause until `mend`. As with a real broker of a clean session, what is published towards
nobody is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec

from edge.adapters.mqtt_delivery import Deliver, Delivery, Malformed, decode
from edge.config import MqttConfig
from edge.reporting.path_causes import LinkCause
from edge.reporting.reconnect_delay import ReconnectDelay
from edge.reporting.reporter_types import LinkDown, LinkUp
from protocols.instants import Instant
from protocols.mqtt import topics
from protocols.mqtt.payloads import Will

Seen = Callable[[str, bytes], None]


class SimBroker:
    """Carries messages between paths and whoever subscribed; all in one loop's thread."""

    def __init__(self) -> None:
        self.fault: LinkCause | None = None
        """Why no path can connect; None: they can."""
        self._seen: list[Seen] = []
        self._paths: dict[str, SimPath] = {}

    def subscribe(self, seen: Seen) -> None:
        """Be told (topic, payload) of all that panels publish."""
        self._seen.append(seen)

    def publish(self, topic: str, payload: bytes) -> None:
        """Send to the panel named in the topic, if it is connected."""
        named = topics.split(topic)
        path = self._paths.get(named[0]) if named else None
        if path is not None:
            path.arrived(topic, payload)

    def down(self, cause: LinkCause) -> None:
        """Break all connections and refuse new ones."""
        self.fault = cause
        for path in list(self._paths.values()):
            self.leave(path)
            path.broken(cause)

    def mend(self) -> None:
        """Accept again."""
        self.fault = None

    def join(self, path: SimPath) -> None:
        """A path connects; one of the same panel is thrown out, as brokers do."""
        other = self._paths.get(path.panel)
        self._paths[path.panel] = path
        if other is not None and other is not path:
            other.broken(LinkCause.CONNECTION_LOST)

    def leave(self, path: SimPath, farewell: bool = False) -> None:
        """A path is gone; without farewell its last will is said."""
        if self._paths.get(path.panel) is path:
            del self._paths[path.panel]
            if not farewell:
                will = msgspec.json.encode(Will(path.panel, path.boot, path.session))
                self.said(topics.topic(path.panel, topics.WILL), will)

    def said(self, topic: str, payload: bytes) -> None:
        """A panel published."""
        for seen in self._seen:
            seen(topic, payload)


class SimPath:
    """A path of a SimBroker; interface and behaviour as MqttPath."""

    def __init__(
        self,
        config: MqttConfig,
        panel: str,
        boot: str,
        base: Path,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
        broker: SimBroker,
    ) -> None:
        self.panel = panel
        self.boot = boot
        self.session = ""
        self.malformed = 0
        self._limit = 2 * config.window + 16
        self._pending = 0
        self._dials = 0
        self._loop = loop
        self._deliver = deliver
        self._broker = broker
        self._delay = ReconnectDelay(config.reconnect_max_s)
        self._started = False
        self._connected = False
        self._told: LinkCause | None = None
        self._timer: asyncio.Handle | None = None

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._started = True
        self._timer = self._loop.call_soon(self._dial)

    def stop(self) -> None:
        """Leave with a farewell. Nothing is delivered afterwards."""
        self._started = self._connected = False
        if self._timer is not None:
            self._timer.cancel()
        self._broker.leave(self, farewell=True)

    def publish(self, leaf: str, payload: bytes) -> bool:
        """As MqttPath."""
        if not self._connected or self._pending >= self._limit:
            return False
        self._pending += 1
        self._loop.call_soon(self._out, topics.topic(self.panel, leaf), bytes(payload))
        return True

    def reconnect(self, cause: LinkCause) -> None:
        """As MqttPath."""
        if self._connected:
            self._broker.leave(self)
            self.broken(cause)

    def arrived(self, topic: str, payload: bytes) -> None:
        """From the broker."""
        item = decode(self.panel, topic, payload)
        if isinstance(item, Malformed):
            self.malformed += 1
        else:
            self._loop.call_soon(self._hand, item)

    def broken(self, cause: LinkCause) -> None:
        """The connection is gone; dial again after a while."""
        self._connected = False
        self._failed(cause)

    def _out(self, topic: str, payload: bytes) -> None:
        self._pending -= 1
        if self._connected:
            self._broker.said(topic, payload)

    def _dial(self) -> None:
        if self._broker.fault is not None:
            self._failed(self._broker.fault)
            return
        self._dials += 1
        self.session = f"{self.panel}-{self._dials}"
        self._broker.join(self)
        self._connected = True
        self._told = None
        self._delay.accepted(self._now())
        self._hand(LinkUp())

    def _failed(self, cause: LinkCause) -> None:
        if self._told is not cause:
            self._told = cause
            self._loop.call_soon(self._hand, LinkDown(cause))
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(self._delay.after_loss(self._now(), 0.0), self._dial)

    def _hand(self, item: Delivery) -> None:
        if self._started:
            self._deliver(item)

    def _now(self) -> Instant:
        return Instant(round(self._loop.time() * 1e9))
