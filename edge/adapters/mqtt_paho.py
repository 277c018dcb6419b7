"""The MQTT path over paho-mqtt: TLS with our certificate, MQTT 3.1.1, QoS 1, clean session.

One thread dials, serves and dials again; the panel's loop watches it and replaces it when it dies
or hangs (users.md §4). Nothing is kept in the library across a connection: each has a new client.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from pathlib import Path
from typing import Final

from edge.adapters.mqtt_delivery import (
    CertificateNotice,
    CommandArrived,
    Deliver,
    Delivery,
    Malformed,
    decode,
)
from edge.adapters.mqtt_outbox import Outbox
from edge.adapters.mqtt_session import Session
from edge.adapters.mqtt_tls import days_left
from edge.config import MqttConfig
from edge.reporting.path_causes import LinkCause
from edge.reporting.reconnect_delay import ReconnectDelay
from edge.reporting.reporter_types import LinkDown, LinkUp
from protocols.instants import Instant
from protocols.mqtt import topics

__all__ = ["CertificateNotice", "CommandArrived", "MqttPath"]

log = logging.getLogger(__name__)

WATCH_S: Final = 5.0
HUNG_S: Final = 120.0
"""Longer than any step of a connection may take; a resolver that answers nobody takes longest."""
STOP_S: Final = 3.0
WARN_DAYS: Final = 30
DAY_S: Final = 86_400.0


class _Worker(threading.Thread):
    """The thread. `hand_over` is called in it; `beaten` is when it last showed life."""

    def __init__(self, path: MqttPath, outbox: Outbox) -> None:
        super().__init__(name="mqtt-path", daemon=True)
        self.outbox = outbox
        self.stopping = threading.Event()
        self.beaten = time.monotonic()
        self._path = path
        self._delay = ReconnectDelay(path.config.reconnect_max_s)
        self._told: LinkDown | None = None
        self._noticed = CertificateNotice(None, 0)
        self._look_at = 0.0

    def beat(self) -> None:
        """Still alive; once a day, look at the certificate."""
        self.beaten = time.monotonic()
        if self.beaten >= self._look_at:
            self._look_at = self.beaten + DAY_S
            self._look_at_certificate()

    def run(self) -> None:
        """Until stopped."""
        try:
            while not self.stopping.is_set():
                self._look_at = 0.0
                self.beat()
                end = self._connect_once()
                if self.stopping.is_set():
                    break
                self._tell_down(end)
                wait_s = self._delay.after_loss(Instant(time.monotonic_ns()), random.random())  # noqa: S311
                self.outbox.interrupted()
                self._rest(wait_s)
        finally:
            self.outbox.close()
            self.outbox.dispose()

    def _connect_once(self) -> LinkDown:
        path = self._path
        session = Session(
            path.config,
            path.panel,
            path.boot,
            path.base,
            self.outbox,
            self._up,
            self._message,
            self.beat,
        )
        path.session = session.name
        try:
            return session.run()
        except Exception as error:
            # whatever the library raises ends this connection, never the thread
            log.exception("MQTT connection ended by an unforeseen error")
            return LinkDown(LinkCause.ADAPTER_FAULT, repr(error))

    def _rest(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self.stopping.is_set():
            self.beat()
            left = until - time.monotonic()
            if left <= 0:
                return
            self.outbox.sleep(min(left, 1.0))

    def _up(self) -> None:
        self._delay.accepted(Instant(time.monotonic_ns()))
        self._told = None
        self._path.hand_over(self, LinkUp())

    def _message(self, topic: str, payload: bytes) -> None:
        item = decode(self._path.panel, topic, payload)
        if isinstance(item, Malformed):
            self._path.malformed += 1
            log.warning("malformed %s: %s: %r", item.clause, item.reason, item.raw)
            return
        self._path.hand_over(self, item)

    def _tell_down(self, end: LinkDown) -> None:
        """Say it once, not at each attempt."""
        if self._told is None or self._told.cause is not end.cause:
            log.warning("MQTT path down: %s %s", end.cause.value, end.detail)
            self._told = end
            self._path.hand_over(self, end)

    def _look_at_certificate(self) -> None:
        cause: LinkCause | None = None
        try:
            days = days_left(self._path.config, self._path.base)
        except (OSError, ValueError):
            days = 0.0
            cause = LinkCause.CERTIFICATE_UNREADABLE
        else:
            if days < 0:
                cause = LinkCause.CERTIFICATE_EXPIRED
            elif days <= WARN_DAYS:
                cause = LinkCause.CERTIFICATE_EXPIRES
        notice = CertificateNotice(cause, int(days) if cause else 0)
        if notice != self._noticed:
            self._noticed = notice
            self._path.hand_over(self, notice)


class MqttPath:
    """One panel's connection to the broker.

    `deliver` is called in `loop`'s thread. `publish` and `reconnect` may be called from there at
    any time. Paths in `config` are relative to `base`.
    """

    def __init__(
        self,
        config: MqttConfig,
        panel: str,
        boot: str,
        base: Path,
        loop: asyncio.AbstractEventLoop,
        deliver: Deliver,
    ) -> None:
        self.config = config
        self.panel = panel
        self.boot = boot
        self.base = base
        self.session = ""
        """Name of the connection that is up, or was last."""
        self.malformed = 0
        """Messages that were none."""
        self.restarts = 0
        """Times the thread had to be replaced."""
        self._loop = loop
        self._deliver = deliver
        self._worker: _Worker | None = None
        self._watch: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._begin()
        self._watch = self._loop.call_later(WATCH_S, self._look)

    def stop(self) -> None:
        """Say farewell and end the thread; waits up to STOP_S. Nothing is delivered afterwards."""
        if self._watch is not None:
            self._watch.cancel()
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.stopping.set()
            worker.outbox.interrupt(LinkCause.STOPPED)
            worker.join(STOP_S)

    def publish(self, leaf: str, payload: bytes) -> bool:
        """Hand one message over. False: not connected or too many on the way; it is still owed."""
        worker = self._worker
        return worker is not None and worker.outbox.put(topics.topic(self.panel, leaf), payload)

    def reconnect(self, cause: LinkCause) -> None:
        """Drop the connection and make a new one."""
        if self._worker is not None:
            self._worker.outbox.interrupt(cause)

    def hand_over(self, worker: _Worker, item: Delivery) -> None:
        """From the thread to the loop. Deliveries of a replaced thread are dropped."""
        try:
            self._loop.call_soon_threadsafe(self._arrived, worker, item)
        except RuntimeError:
            # the loop is closed: the program is ending
            worker.stopping.set()

    def _arrived(self, worker: _Worker, item: Delivery) -> None:
        if worker is self._worker:
            self._deliver(item)

    def _begin(self) -> None:
        self._worker = _Worker(self, Outbox(limit=2 * self.config.window + 16))
        self._worker.start()

    def _look(self) -> None:
        self._watch = self._loop.call_later(WATCH_S, self._look)
        worker = self._worker
        if worker is None:
            return
        if worker.is_alive() and time.monotonic() - worker.beaten < HUNG_S:
            return
        log.error("MQTT thread %s", "hangs" if worker.is_alive() else "died")
        self.restarts += 1
        worker.stopping.set()
        self._begin()
        self._deliver(LinkDown(LinkCause.ADAPTER_FAULT, "thread replaced"))
