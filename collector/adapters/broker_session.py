"""One connection to a broker, from connect to its end: what the collector's and a receiver's link
to it have in common. Each link decides when to try again.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

SET_UP_S: Final = 15.0
"""From connect to all subscriptions granted, at most."""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker is, whom to trust there, and how to prove oneself."""

    host: str
    port: int
    ca: Path
    cert: Path
    key: Path = field(repr=False)


Offer = Callable[[str, bytes], None]
"""(topic, payload), from the network thread: must only hand it on."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What one kind of link asks of a broker. `reads`: its topics in words, for a refusal."""

    topics: Sequence[str]
    reads: str
    qos: int
    keepalive_s: int
    connect_s: float | None = None
    """For TCP and TLS; None: the library's own."""
    may_miss: Sequence[str] = ()
    """Topics that a broker set up before they existed gives no right to; the link does without."""


class BrokerSession:
    """`client_id` should hold something random: whoever knew it could throw us out by taking it
    (MQTT 3.1.1, 3.1.4-2). Certificates are read anew by each session.
    """

    def __init__(self, broker: BrokerAddress, client_id: str, terms: Terms, offer: Offer) -> None:
        self._broker = broker
        self._terms = terms
        self._offer = offer
        self._ready = threading.Event()
        self._over = threading.Event()
        self._why = "connection lost"
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=True,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        if terms.connect_s is not None:
            self.client.connect_timeout = terms.connect_s
        self.client.on_connect = self._connected
        self.client.on_subscribe = self._subscribed
        self.client.on_disconnect = self._disconnected
        self.client.on_message = self._message

    def open(self, stop: threading.Event) -> str | None:
        """Connect and subscribe. None when all is granted, else the reason it failed."""
        try:
            context = ssl.create_default_context(cafile=str(self._broker.ca))
            context.load_cert_chain(self._broker.cert, self._broker.key)
            self.client.tls_set_context(context)
            self.client.connect(
                self._broker.host, self._broker.port, keepalive=self._terms.keepalive_s
            )
        except (OSError, ValueError) as error:
            return f"{self._broker.host}:{self._broker.port}: {error}"
        self.client.loop_start()
        limit = time.monotonic() + SET_UP_S
        while not (self._ready.is_set() or self._over.is_set() or stop.is_set()):
            self._ready.wait(0.05)
            if time.monotonic() > limit:
                return "the broker does not answer"
        return None if self._ready.is_set() else self._why

    def lasts(self, stop: threading.Event) -> str:
        """Block until the connection or the link ends; the reason."""
        while not stop.is_set():
            if self._over.wait(0.2):
                return self._why
        return "stopped"

    def close(self) -> None:
        """Leave politely if still there, and end the network thread."""
        with contextlib.suppress(OSError, ValueError):
            self.client.disconnect()
        self.client.loop_stop()

    def _fail(self, why: str) -> None:
        self._why = why
        self._over.set()

    def _connected(
        self, client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _properties: Any
    ) -> None:
        if code.is_failure:
            self._fail(f"the broker refuses us: {code}")
            return
        terms = self._terms
        client.subscribe([(name, terms.qos) for name in (*terms.topics, *terms.may_miss)])

    def _subscribed(
        self, _client: mqtt.Client, _data: Any, _mid: int, codes: list[ReasonCode], _props: Any
    ) -> None:
        if any(code.is_failure for code in codes[: len(self._terms.topics)]):
            self._fail(f"the broker gives us no right to read {self._terms.reads}")
        else:
            self._ready.set()

    def _disconnected(
        self, _client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _properties: Any
    ) -> None:
        if not self._over.is_set():
            self._fail(f"connection lost: {code}")

    def _message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        try:
            name = message.topic
        except UnicodeDecodeError:
            name = "\ufffd"
        try:
            self._offer(name, bytes(message.payload))
        except Exception as error:  # noqa: BLE001 - our fault; an unhandled one would end paho's thread
            self._fail(f"intake failed: {error!r}")
