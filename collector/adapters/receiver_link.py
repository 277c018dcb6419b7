"""The receiver's way to the collector over MQTT: `rx` out of the spool, `rxack` back (R92).

Three kinds of thread: one keeps a connection (paho's own loop beneath it), one drives the Delivery
machine and reads the spool. Nothing is kept in the library: what is not acknowledged by the
collector is sent again from the spool.
"""

from __future__ import annotations

import contextlib
import queue
import random
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from collector.adapters.mqtt_link import BrokerAddress
from collector.adapters.spool_sqlite import Spool, SpoolError
from collector.reception.delivery import (
    Acknowledged,
    Ahead,
    AskFloor,
    Beat,
    Committed,
    Delivery,
    Effect,
    Floor,
    Input,
    LinkDown,
    LinkUp,
    Policy,
    Send,
)
from protocols.instants import NS_PER_S, Instant, UtcTime
from protocols.mqtt.payloads import MAX_PAYLOAD_BYTES
from protocols.mqtt.reception import MAX_ENTRIES, Reception, ReceptionAck, Taken
from protocols.mqtt.topics import RECEPTION, RECEPTION_ACK, topic

KEEPALIVE_S: Final = 15
SET_UP_S: Final = 15.0
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 15.0
SETTLED_S: Final = 30.0
"""A connection that lasted so long was a good one: the next wait is short again (users.md D4)."""

OnState = Callable[[bool, str], None]


class ReceiverLink:
    """Publishes the spool of `receiver`. `lines` tells the state of each line for the heartbeat;
    `on_state(up, why)` is called at each change. `committed` may be called from any thread.
    """

    def __init__(
        self,
        spool: Spool,
        receiver: str,
        broker: BrokerAddress,
        *,
        lines: Callable[[], Mapping[str, str]],
        utc: Callable[[], UtcTime],
        on_state: OnState,
        policy: Policy | None = None,
    ) -> None:
        self._spool = spool
        self._receiver = receiver
        self._broker = broker
        self._lines = lines
        self._utc = utc
        self._on_state = on_state
        self._policy = policy or Policy()
        self._given: queue.SimpleQueue[Input | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._client: mqtt.Client | None = None
        self._told = (False, "")
        self._delivery = self._new_delivery()
        self._threads: list[threading.Thread] = []
        self.acknowledged_at: float | None = None
        """time.monotonic() of the collector's last acknowledgement."""
        self.malformed = 0

    @property
    def up(self) -> bool:
        """Connected and subscribed; says nothing of the collector behind the broker."""
        return self._told[0]

    def start(self) -> None:
        """Begin; returns at once."""
        for work, name in ((self._keep_up, "rx-link"), (self._deliver, "rx-delivery")):
            thread = threading.Thread(target=work, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self) -> None:
        """Disconnect and wait for the threads."""
        self._stop.set()
        self._given.put(None)
        for thread in self._threads:
            thread.join()

    def committed(self) -> None:
        """The spool has more."""
        self._given.put(Committed(self._spool.newest))

    # -- delivery ------------------------------------------------------------------------------

    def _new_delivery(self) -> Delivery:
        spool = self._spool
        return Delivery(spool.epoch, spool.newest, spool.acked, self._policy)

    def _deliver(self) -> None:
        while not self._stop.is_set():
            due = self._delivery.deadline()
            wait = None if due is None else max(0.0, (due - _now()) / NS_PER_S)
            try:
                given = self._given.get(timeout=wait)
            except queue.Empty:
                self._do(self._delivery.tick(_now()))
                continue
            if given is not None:
                self._do(self._delivery.receive(given, _now()))

    def _do(self, effects: list[Effect]) -> None:
        for effect in effects:
            try:
                self._carry(effect)
            except SpoolError as error:
                self._on_state(self._told[0], str(error))  # sent again when it can be read

    def _carry(self, effect: Effect) -> None:
        match effect:
            case Send(after, most):
                entries = self._spool.read(after, most)
                while entries:
                    fits = self._fitting(entries)
                    self._publish(entries[:fits])
                    entries = entries[fits:]
            case Beat():
                self._publish([])
            case Acknowledged(upto):
                self.acknowledged_at = time.monotonic()
                self._spool.acknowledge(self._spool.epoch, upto)
            case AskFloor():
                self._do(self._delivery.receive(Floor(self._spool.floor()), _now()))
            case Ahead():
                self._spool.renew(self._utc())
                self._delivery = self._new_delivery()
                if self.up:
                    self._do(self._delivery.receive(LinkUp(), _now()))

    def _fitting(self, entries: list[Taken]) -> int:
        """How many entries one message may hold."""
        count = min(len(entries), MAX_ENTRIES)
        while count > 1 and len(msgspec.json.encode(entries[:count])) > MAX_PAYLOAD_BYTES - 4096:
            count //= 2
        return count

    def _publish(self, entries: list[Taken]) -> None:
        client = self._client
        if client is None:
            return
        spool = self._spool
        last = entries[-1].seq if entries else spool.acked
        reception = Reception(
            self._receiver,
            spool.epoch,
            entries,
            waiting=max(0, spool.newest - last),
            period_s=self._policy.heartbeat_s,
            floor=spool.floor(),
            sent=self._utc(),
            lines=dict(self._lines()),
        )
        client.publish(topic(self._receiver, RECEPTION), msgspec.json.encode(reception), qos=0)

    # -- the connection ------------------------------------------------------------------------

    def _keep_up(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            session = _Session(self._broker, self._receiver, self._acknowledgement)
            began = time.monotonic()
            try:
                why = session.open(self._stop)
                if why is None:
                    self._client = session.client
                    self._tell(True, "")
                    self._given.put(LinkUp())
                    why = session.lasts(self._stop)
                    self._given.put(LinkDown())
            finally:
                self._client = None
                session.close()
            self._tell(False, why)
            if time.monotonic() - began > SETTLED_S:
                attempt = 0
            most = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** min(attempt, 10))
            attempt += 1
            self._stop.wait(most * random.uniform(0.5, 1))  # noqa: S311 - spreads load only

    def _acknowledgement(self, payload: bytes) -> None:
        try:
            self._given.put(msgspec.json.decode(payload, type=ReceptionAck))
        except msgspec.DecodeError:
            self.malformed += 1

    def _tell(self, up: bool, why: str) -> None:
        if (up, why) != self._told:
            self._told = (up, why)
            self._on_state(up, why)


def _now() -> Instant:
    return Instant(time.monotonic_ns())


class _Session:
    """One TCP connection from connect to its end."""

    def __init__(
        self, broker: BrokerAddress, receiver: str, acknowledgement: Callable[[bytes], None]
    ) -> None:
        self._broker = broker
        self._topic = topic(receiver, RECEPTION_ACK)
        self._acknowledgement = acknowledgement
        self._ready = threading.Event()
        self._over = threading.Event()
        self._why = "connection lost"
        # A random id: whoever knew it could throw us out by taking it (MQTT 3.1.1, 3.1.4-2).
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"{receiver}-{secrets.token_hex(4)}",
            clean_session=True,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        self.client.connect_timeout = SET_UP_S
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
            self.client.connect(self._broker.host, self._broker.port, keepalive=KEEPALIVE_S)
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
        else:
            client.subscribe(self._topic, 0)

    def _subscribed(
        self, _client: mqtt.Client, _data: Any, _mid: int, codes: list[ReasonCode], _props: Any
    ) -> None:
        if any(code.is_failure for code in codes):
            self._fail("the broker gives us no right to read our acknowledgements")
        else:
            self._ready.set()

    def _disconnected(
        self, _client: mqtt.Client, _data: Any, _flags: Any, code: ReasonCode, _properties: Any
    ) -> None:
        if not self._over.is_set():
            self._fail(f"connection lost: {code}")

    def _message(self, _client: mqtt.Client, _data: Any, message: mqtt.MQTTMessage) -> None:
        self._acknowledgement(bytes(message.payload))
