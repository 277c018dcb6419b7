"""The receiver's way to the collector over MQTT: `rx` out of the spool, `rxack` back (R92).

Three kinds of thread: one keeps a connection (paho's own loop beneath it), one drives the Delivery
machine and reads the spool. Nothing is kept in the library: what is not acknowledged by the
collector is sent again from the spool.
"""

from __future__ import annotations

import queue
import random
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

import msgspec
import paho.mqtt.client as mqtt

from collector.adapters.broker_session import SET_UP_S, BrokerAddress, BrokerSession, Terms
from collector.adapters.pins_file import PinsFile
from collector.adapters.spool_reading import SpoolError
from collector.adapters.spool_sqlite import Spool
from collector.reception.delivery import (
    LINES_BYTES,
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
    lines_to_tell,
)
from protocols.instants import NS_PER_S, Instant, UtcTime
from protocols.mqtt.payloads import MAX_PAYLOAD_BYTES
from protocols.mqtt.reception import MAX_ENTRIES, Reception, ReceptionAck, Taken
from protocols.mqtt.topics import RECEIVER_PINS, RECEPTION, RECEPTION_ACK, topic

KEEPALIVE_S: Final = 15
ENTRIES_BYTES: Final = MAX_PAYLOAD_BYTES - LINES_BYTES - 4096
BACKOFF_FIRST_S: Final = 0.5
BACKOFF_MAX_S: Final = 15.0
_NOT_US: Final = ("refuses us", "no right", "Unspecified error", "SSL", "X509", "PEM")
"""Signs that a certificate was not accepted; the broker hangs up without a word (Unspecified)."""
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
        pins: PinsFile,
        policy: Policy | None = None,
    ) -> None:
        self._spool = spool
        self._receiver = receiver
        self._broker = broker
        self._terms = Terms(
            [topic(receiver, RECEPTION_ACK)],
            "our acknowledgements",
            0,
            KEEPALIVE_S,
            connect_s=SET_UP_S,
            may_miss=[topic(receiver, RECEIVER_PINS)],
        )
        self._lines = lines
        self._utc = utc
        self._on_state = on_state
        self._pins = pins
        self._policy = policy or Policy()
        self._given: queue.SimpleQueue[Input | None] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._client: mqtt.Client | None = None
        self._told = (False, "")
        self._delivery = self._new_delivery()
        self._threads: list[threading.Thread] = []
        self.acknowledged_at: float | None = None
        """time.monotonic() of the collector's last acknowledgement, of a heartbeat too."""
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
        while count > 1 and len(msgspec.json.encode(entries[:count])) > ENTRIES_BYTES:
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
            lines=lines_to_tell(self._lines()),
            pins=self._pins.version,
            ages=spool.ages(entries[0].seq, len(entries)) if entries else [],
        )
        client.publish(topic(self._receiver, RECEPTION), msgspec.json.encode(reception), qos=0)

    # -- the connection ------------------------------------------------------------------------

    def _keep_up(self) -> None:
        attempt = 0
        while not self._stop.is_set():
            client_id = f"{self._receiver}-{secrets.token_hex(4)}"
            session = BrokerSession(self._broker, client_id, self._terms, self._told_by_collector)
            began = time.monotonic()
            try:
                why = session.open(self._stop)
                if why is not None:
                    why += _identity_hint(why, self._receiver)
                else:
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

    def _told_by_collector(self, name: str, payload: bytes) -> None:
        if name == topic(self._receiver, RECEIVER_PINS):
            self._pins.offer(payload)
            return
        try:
            self._given.put(msgspec.json.decode(payload, type=ReceptionAck))
        except msgspec.DecodeError:
            self.malformed += 1
        else:
            self.acknowledged_at = time.monotonic()

    def _tell(self, up: bool, why: str) -> None:
        if (up, why) != self._told:
            self._told = (up, why)
            self._on_state(up, why)


def _identity_hint(why: str, receiver: str) -> str:
    """What to do where it is not the network but who we are, or whom we trust."""
    if not any(sign in why for sign in _NOT_US):
        return ""
    return (
        "; the folder `identity` is of another centre, damaged, revoked or replaced:"
        f" `tocsin-collector receiver add {receiver} --out DIR` makes a new one"
    )


def _now() -> Instant:
    return Instant(time.monotonic_ns())
