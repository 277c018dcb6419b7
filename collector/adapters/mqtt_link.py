"""The collector's connection to the broker: bytes in from all panels, acknowledgements out.

Everything goes at QoS 0 between broker and collector. Delivery is proved end to end by our own Ack
(rule 3), so a second acknowledgement towards the broker would prove nothing more, and it costs:
QoS 1 took 1.9 times the processor time here and 1.7 times at the broker (README.md).
"""

from __future__ import annotations

import contextlib
import random
import secrets
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from protocols.mqtt.topics import FROM_PANEL, FROM_RECEIVER, ROOT, topic

KEEPALIVE_S: Final = 15
"""A silent broker is given up after one to two of these."""
SET_UP_S: Final = 15.0
"""From connect to all subscriptions granted, at most."""
FLUSH_S: Final = 0.005
"""Longer than the network thread ever needs to wake; shorter than anybody notices."""

BACKOFF_FIRST_S: Final = 0.2
BACKOFF_MAX_S: Final = 10.0


class LinkState(StrEnum):
    """State of the link as told to `on_state`."""

    UP = "up"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where a broker is, whom to trust there, and how to prove oneself."""

    host: str
    port: int
    ca: Path
    cert: Path
    key: Path = field(repr=False)


Offer = Callable[[str, bytes], None]
OnState = Callable[[LinkState, str], None]


class MqttLink:
    """Keeps one connection to the broker for ever, with jittered back-off, in threads of its own.

    `offer(topic, payload)` gets every message of every panel from the network thread and must only
    hand it on. `on_state(state, why)` is called at each change. Certificates are read anew at each
    attempt, so renewed files are taken up without a restart.
    """

    def __init__(
        self,
        broker: BrokerAddress,
        offer: Offer,
        on_state: OnState,
        *,
        qos: int = 0,
        keepalive_s: int = KEEPALIVE_S,
    ) -> None:
        self._keepalive_s = keepalive_s
        self._broker = broker
        self._offer = offer
        self._on_state = on_state
        self._qos = qos
        self._last: mqtt.MQTTMessageInfo | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._client: mqtt.Client | None = None
        self._state = LinkState.DOWN
        self._why = ""

    @property
    def up(self) -> bool:
        """True while connected and subscribed."""
        return self._state is LinkState.UP

    def start(self) -> None:
        """Begin connecting; returns at once."""
        self._stop.clear()
        self._thread = threading.Thread(target=self._keep_up, name="mqtt-link", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Disconnect and wait for the threads. Safe to call twice; not from a callback."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def publish(self, panel: str, leaf: str, payload: bytes) -> bool:
        """Send to one panel, from any thread. False: the link is down and nothing was sent.

        True means handed to the network, not received: a lost Ack is made good by the resend.
        """
        client = self._client
        if client is None:
            return False
        sent = client.publish(topic(panel, leaf), payload, qos=0)
        self._last = sent
        return sent.rc == MQTTErrorCode.MQTT_ERR_SUCCESS

    def flush(self) -> None:
        """Wait until the last publish was handed to the network, FLUSH_S at most."""
        with contextlib.suppress(ValueError, RuntimeError):  # not sent: the panel asks again
            if self._last is not None:
                self._last.wait_for_publish(FLUSH_S)

    def _keep_up(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            session = _Session(self._broker, self._offer, self._qos, self._keepalive_s)
            try:
                why = session.open(self._stop)
                if why is None:
                    attempt = 0
                    self._client = session.client
                    self._tell(LinkState.UP, "")
                    why = session.lasts(self._stop)
            finally:
                self._client = None
                session.close()
            self._tell(LinkState.DOWN, why)
            most = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(attempt, 10))
            attempt += 1
            self._stop.wait(most * random.uniform(0.5, 1))  # noqa: S311 - spreads load only

    def _tell(self, state: LinkState, why: str) -> None:
        """Once on loss and once on return; a new reason for staying down is told too."""
        if (state, why) != (self._state, self._why):
            self._state, self._why = state, why
            self._on_state(state, why)


class _Session:
    """One TCP connection from connect to its end."""

    def __init__(self, broker: BrokerAddress, offer: Offer, qos: int, keepalive_s: int) -> None:
        self._keepalive_s = keepalive_s
        self._broker = broker
        self._offer = offer
        self._qos = qos
        self._ready = threading.Event()
        self._over = threading.Event()
        self._why = "connection lost"
        # A random id: whoever knew it could throw us out by taking it (MQTT 3.1.1, 3.1.4-2).
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"collector-{secrets.token_hex(8)}",
            clean_session=True,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
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
            self.client.connect(self._broker.host, self._broker.port, keepalive=self._keepalive_s)
        except (OSError, ValueError) as error:
            return f"{self._broker.host}:{self._broker.port}: {error}"
        self.client.loop_start()
        waited = 0.0
        while not (self._ready.is_set() or self._over.is_set() or stop.is_set()):
            self._ready.wait(0.05)
            waited += 0.05
            if waited > SET_UP_S:
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
        leaves = (*FROM_PANEL, *FROM_RECEIVER)
        client.subscribe([(f"{ROOT}/+/{leaf}", self._qos) for leaf in leaves])

    def _subscribed(
        self, _client: mqtt.Client, _data: Any, _mid: int, codes: list[ReasonCode], _props: Any
    ) -> None:
        if any(code.is_failure for code in codes):
            self._fail("the broker gives us no right to read the panels' topics")
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
