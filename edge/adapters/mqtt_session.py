"""One MQTT connection from DNS to its end. Everything runs in the calling thread, so that the TLS
socket is never touched by two at once and no thread of the library's own can die unseen.
"""

from __future__ import annotations

import secrets
import select
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode
from paho.mqtt.reasoncodes import ReasonCode

from edge.adapters.mqtt_outbox import Outbox
from edge.adapters.mqtt_tls import NamedContext, WatchedSocket, cause_of, client_context, days_left
from edge.config import MqttConfig
from edge.reporting.path_causes import LinkCause
from edge.reporting.reporter_types import LinkDown
from protocols.mqtt import topics
from protocols.mqtt.payloads import Will

CONNECT_MIN_S: Final = 3.0
POLL_S: Final = 1.0
FAREWELL_S: Final = 1.0
_QOS: Final = 1
_GRANTED: Final = (0, 1, 2)
_KEEPALIVE_TIMEOUT: Final = 141


class Session:
    """`run` returns why the connection ended, or why there was none. Used once.

    `up` is called when subscribed, `message(topic, payload)` for each message, `beat` at least
    once in POLL_S while connected.
    """

    def __init__(
        self,
        config: MqttConfig,
        panel: str,
        boot: str,
        base: Path,
        outbox: Outbox,
        up: Callable[[], None],
        message: Callable[[str, bytes], None],
        beat: Callable[[], None],
    ) -> None:
        self._config = config
        self._panel = panel
        self._boot = boot
        self._base = base
        self._outbox = outbox
        self._up = up
        self._message = message
        self._beat = beat
        self._connect_s = max(CONNECT_MIN_S, 2 * config.ack_timeout_s)
        """For each step of connecting: a network slower than this cannot acknowledge in time."""
        self._subscribed = False
        self._end: LinkDown | None = None
        self.name = f"{panel}-{secrets.token_hex(4)}"
        """Client id. New for each connection: nobody who knows a panel's id can throw it out by
        taking its client id, and a will is told from that of the connection after it."""

    def run(self) -> LinkDown:
        """Connect, serve, end."""
        try:
            context = client_context(self._config, self._base)
        except (OSError, ValueError) as error:
            return LinkDown(LinkCause.CERTIFICATE_UNREADABLE, str(error))
        client = self._client(context)
        try:
            return self._dial(client, context) or self._serve(client, context)
        finally:
            self._outbox.close()
            if context.latest is not None:
                context.latest.close()

    def _client(self, context: NamedContext) -> paho.Client:
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=self.name,
            clean_session=True,
            protocol=paho.MQTTv311,
            reconnect_on_failure=False,
        )
        client.connect_timeout = self._connect_s
        client.tls_set_context(context)
        client.max_inflight_messages_set(0)
        client.will_set(
            topics.topic(self._panel, topics.WILL),
            msgspec.json.encode(Will(self._panel, self._boot, self.name)),
            qos=_QOS,
        )
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        return client

    def _dial(self, client: paho.Client, context: NamedContext) -> LinkDown | None:
        try:
            client.connect(self._config.host, self._config.port, self._config.keepalive_s)
        except (OSError, ValueError) as error:
            return self._judge(cause_of(error), str(error))
        return None if context.latest is not None else LinkDown(LinkCause.TLS_FAILURE, "no TLS")

    def _serve(self, client: paho.Client, context: NamedContext) -> LinkDown:
        tls = context.latest
        assert tls is not None
        poll = select.poll()
        poll.register(self._outbox.fileno(), select.POLLIN)
        limit = time.monotonic() + self._connect_s
        while client.socket() is not None and self._end is None:
            self._beat()
            interest = select.POLLIN | (select.POLLOUT if client.want_write() else 0)
            poll.register(tls.fileno(), interest)
            ready = dict(poll.poll(0 if tls.pending() else POLL_S * 1000))
            if self._outbox.fileno() in ready:
                self._outbox.drain()
                cause = self._outbox.interrupted()
                if cause is not None:
                    return self._leave(client, cause)
                for topic, payload in self._outbox.take():
                    client.publish(topic, payload, qos=_QOS)
            if tls.fileno() in ready or tls.pending():
                client.loop_read()
            if client.socket() is not None and client.want_write():
                client.loop_write()
            if client.socket() is not None:
                client.loop_misc()
            if not self._subscribed and time.monotonic() > limit:
                return LinkDown(LinkCause.TIMED_OUT, "no answer to CONNECT or SUBSCRIBE")
        return self._verdict(tls)

    def _verdict(self, tls: ssl.SSLSocket) -> LinkDown:
        end = self._end or LinkDown(LinkCause.CONNECTION_LOST)
        fault = tls.fault if isinstance(tls, WatchedSocket) else None
        if fault is not None and end.cause is LinkCause.CONNECTION_LOST:
            end = LinkDown(cause_of(fault), str(fault))
        return self._judge(end.cause, end.detail) if not self._subscribed else end

    def _judge(self, cause: LinkCause, detail: str) -> LinkDown:
        """Refused before login with a certificate that has ended: that is why, however it was said.

        Brokers often just close, or send a general alert.
        """
        if cause in {
            LinkCause.CONNECTION_LOST,
            LinkCause.TLS_FAILURE,
            LinkCause.CERTIFICATE_REFUSED,
            LinkCause.LOGIN_REFUSED,
        }:
            try:
                ended = days_left(self._config, self._base) < 0
            except (OSError, ValueError):
                ended = False
            if ended:
                return LinkDown(LinkCause.CERTIFICATE_EXPIRED, detail)
        return LinkDown(cause, detail)

    def _leave(self, client: paho.Client, cause: LinkCause) -> LinkDown:
        if cause is LinkCause.STOPPED:
            # a clean farewell keeps the last will unsaid
            client.disconnect()
            limit = time.monotonic() + FAREWELL_S
            while client.want_write() and client.socket() is not None:
                if (
                    time.monotonic() > limit
                    or client.loop_write() != MQTTErrorCode.MQTT_ERR_SUCCESS
                ):
                    break
                time.sleep(0.01)
        return LinkDown(cause)

    # -- callbacks of the library, in our own thread ---------------------------------------------

    def _on_connect(
        self, client: paho.Client, userdata: Any, flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        if code.is_failure:
            self._end = LinkDown(LinkCause.LOGIN_REFUSED, str(code))
            return
        names = [topics.topic(self._panel, leaf) for leaf in topics.TO_PANEL]
        client.subscribe([(name, 0) for name in names])  # a lost Ack costs one resend, no more

    def _on_subscribe(
        self,
        client: paho.Client,
        userdata: Any,
        mid: int,
        codes: list[ReasonCode],
        properties: Any,
    ) -> None:
        if any(code.value not in _GRANTED for code in codes):
            self._end = LinkDown(LinkCause.SUBSCRIPTION_REFUSED, ", ".join(map(str, codes)))
            return
        self._subscribed = True
        self._outbox.open()
        self._up()

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""
        self._message(topic, bytes(message.payload))

    def _on_publish(
        self, client: paho.Client, userdata: Any, mid: int, code: Any, properties: Any
    ) -> None:
        self._outbox.acknowledged()

    def _on_disconnect(
        self, client: paho.Client, userdata: Any, flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        if self._end is None:
            silent = code.value == _KEEPALIVE_TIMEOUT
            cause = LinkCause.KEEPALIVE if silent else LinkCause.CONNECTION_LOST
            self._end = LinkDown(cause, str(code))
