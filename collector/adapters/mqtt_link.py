"""The collector's connection to the broker: bytes in from all panels, acknowledgements out.

Everything goes at QoS 0 between broker and collector. Delivery is proved end to end by our own Ack
(rule 3), so a second acknowledgement towards the broker would prove nothing more, and it costs:
QoS 1 took 1.9 times the processor time here and 1.7 times at the broker (README.md).
"""

from __future__ import annotations

import contextlib
import random
import secrets
import threading
from collections.abc import Callable
from enum import StrEnum
from typing import Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import MQTTErrorCode

from collector.adapters.broker_session import BrokerAddress, BrokerSession, Offer, Terms
from protocols.mqtt.topics import FROM_PANEL, FROM_RECEIVER, ROOT, topic

KEEPALIVE_S: Final = 15
"""A silent broker is given up after one to two of these."""
FLUSH_S: Final = 0.005
"""Longer than the network thread ever needs to wake; shorter than anybody notices."""

BACKOFF_FIRST_S: Final = 0.2
BACKOFF_MAX_S: Final = 10.0


class LinkState(StrEnum):
    """State of the link as told to `on_state`."""

    UP = "up"
    DOWN = "down"


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
        topics = [f"{ROOT}/+/{leaf}" for leaf in (*FROM_PANEL, *FROM_RECEIVER)]
        self._terms = Terms(topics, "the panels' topics", qos, keepalive_s)
        self._broker = broker
        self._offer = offer
        self._on_state = on_state
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
            client_id = f"collector-{secrets.token_hex(8)}"
            session = BrokerSession(self._broker, client_id, self._terms, self._offer)
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
