"""A plain MQTT client with one certificate, as an attacker or a panel would write it (paho)."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion


def until(what: str, probe: Callable[[], Any], timeout_s: float = 10.0) -> Any:
    """First true value of `probe`; fails the test naming `what`."""
    end = time.monotonic() + timeout_s
    while not (value := probe()):
        assert time.monotonic() < end, f"waited {timeout_s:g} s in vain for: {what}"
        time.sleep(0.005)
    return value


@dataclass(frozen=True)
class Keys:
    """What a client shows: certificate and key, or nothing; whom it trusts."""

    ca: Path
    cert: Path | None = None
    key: Path | None = None


class Probe:
    """One connection. `refused` tells why there is none; `received` is everything delivered."""

    def __init__(
        self,
        port: int,
        keys: Keys,
        *,
        client_id: str = "",
        clean: bool = True,
        will: tuple[str, bytes] | None = None,
    ) -> None:
        self.received: list[tuple[str, bytes]] = []
        self.refused = ""
        self.ended = threading.Event()
        self._connected = threading.Event()
        self._answers: dict[int, list[bool]] = {}
        self._acknowledged: set[int] = set()
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=clean,
            protocol=mqtt.MQTTv311,
            reconnect_on_failure=False,
        )
        context = ssl.create_default_context(cafile=str(keys.ca))
        if keys.cert is not None:
            context.load_cert_chain(keys.cert, keys.key)
        self.client.tls_set_context(context)
        if will is not None:
            self.client.will_set(*will, qos=1)
        self.client.on_connect = self._on_connect
        self.client.on_disconnect = self._on_disconnect
        self.client.on_message = lambda _c, _u, message: self.received.append(
            (message.topic, bytes(message.payload))
        )
        self.client.on_subscribe = lambda _c, _u, mid, codes, _p: self._answers.update(
            {mid: [not code.is_failure for code in codes]}
        )
        self.client.on_publish = lambda _c, _u, mid, _code, _p: self._acknowledged.add(mid)
        try:
            self.client.connect("127.0.0.1", port, keepalive=20)
        except OSError as error:
            self.refused = repr(error)
            return
        self.client.loop_start()
        until("an answer to CONNECT", lambda: self._connected.is_set() or self.ended.is_set())

    def __enter__(self) -> Self:
        assert not self.refused, self.refused
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def connected(self) -> bool:
        """True while the broker keeps the connection."""
        return self._connected.is_set() and not self.ended.is_set()

    def subscribe(self, filter_: str, qos: int = 0) -> bool | None:
        """True: granted. False: denied. None: the broker cut the connection instead."""
        code, mid = self.client.subscribe(filter_, qos)
        if code != mqtt.MQTT_ERR_SUCCESS or mid is None:
            return None
        until("an answer to SUBSCRIBE", lambda: mid in self._answers or self.ended.is_set())
        return self._answers[mid][0] if mid in self._answers else None

    def publish(self, topic: str, payload: bytes, qos: int = 1) -> None:
        """Returns when the broker has acknowledged it or has cut the connection."""
        info = self.client.publish(topic, payload, qos)
        until("an answer to PUBLISH", lambda: info.mid in self._acknowledged or self.ended.is_set())

    def payloads(self) -> list[bytes]:
        """What was delivered, in order."""
        return [payload for _, payload in list(self.received)]

    def cut(self) -> None:
        """End the TCP connection without DISCONNECT, as a dead panel does."""
        sock = self.client.socket()
        assert sock is not None
        sock.close()
        self.client.loop_stop()

    def close(self) -> None:
        """Disconnect politely."""
        self.client.disconnect()
        self.client.loop_stop()

    def _on_connect(self, _c: Any, _u: Any, _flags: Any, code: Any, _props: Any) -> None:
        if code.is_failure:
            self.refused = str(code)
        else:
            self._connected.set()

    def _on_disconnect(self, _c: Any, _u: Any, _flags: Any, code: Any, _props: Any) -> None:
        if not self._connected.is_set():
            self.refused = self.refused or f"disconnected: {code}"
        self.ended.set()
