"""What an MQTT path hands to the panel, and the decoding of what comes from outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from edge.reporting.path_causes import LinkCause
from edge.reporting.reporter_types import AckArrived, LinkDown, LinkUp
from protocols.mqtt import topics
from protocols.mqtt.payloads import MAX_PAYLOAD_BYTES, Ack, Command


@dataclass(frozen=True, slots=True)
class CommandArrived:
    """An order from the collector."""

    command: Command


@dataclass(frozen=True, slots=True)
class CertificateNotice:
    """State of our own certificate, at start and whenever it changes; looked at daily.

    `cause` is CERTIFICATE_EXPIRES (30 days or less), CERTIFICATE_EXPIRED, CERTIFICATE_UNREADABLE,
    or None: in order again.
    """

    cause: LinkCause | None
    days_left: int


Delivery = LinkUp | LinkDown | AckArrived | CommandArrived | CertificateNotice
Deliver = Callable[[Delivery], None]


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are none of ours (rule 7)."""

    reason: str
    clause: str
    raw: bytes


_acks = msgspec.json.Decoder(Ack)
_commands: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


def decode(panel: str, topic: str, payload: bytes) -> AckArrived | CommandArrived | Malformed:
    """What a message for this panel means."""
    named = topics.split(topic)
    if named is None or named[0] != panel:
        return Malformed("topic of somebody else", topic, payload[:512])
    if len(payload) > MAX_PAYLOAD_BYTES:
        return Malformed("payload too large", named[1], payload[:512])
    try:
        match named[1]:
            case topics.ACK:
                return AckArrived(_acks.decode(payload))
            case topics.COMMAND:
                return CommandArrived(_commands.decode(payload))
            case _:
                return Malformed("leaf not for panels", named[1], payload[:512])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Malformed(str(error), named[1], payload[:512])
