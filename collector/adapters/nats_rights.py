"""The configuration of our own broker, nats-server, with the rights of everyone. Pure.

Rights come from the client certificate alone: `verify_and_map` looks up the certificate's URI
`urn:tocsin:<name>:<serial>` among the users, so a user is one certificate, not one panel.

| who | may publish | may subscribe |
|---|---|---|
| panel | tocsin.v1.<panel>.{ev,hb,site,will,gone} | tocsin.v1.<panel>.{ack,cmd} |
| receiver | tocsin.v1.<receiver>.rx | tocsin.v1.<receiver>.{rxack,rxpin} |
| collector | tocsin.v1.*.{ack,cmd,rxack,rxpin} | tocsin.v1.*.{ev,hb,site,will,gone,rx} |
| revoked certificate | nothing, and a password nobody has | nothing |

Nobody gets any `$MQTT`, `$JS` or `$SYS` subject; at QoS 0 no MQTT client needs one. A revoked
certificate stays in the list, locked, so that the broker's log says who it was, until it expires.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from collector import CollectorError
from collector.adapters.authority import KeyPair, identity
from collector.adapters.registry import COLLECTOR, RegistryContent
from protocols.instants import UtcTime
from protocols.mqtt.payloads import MAX_PAYLOAD_BYTES
from protocols.mqtt.topics import FROM_PANEL, FROM_RECEIVER, ROOT, TO_PANEL, TO_RECEIVER

_FROM_ALL: Final = (*FROM_PANEL, *FROM_RECEIVER)
_TO_ALL: Final = (*TO_PANEL, *TO_RECEIVER)
LOG_BYTES: Final = 8 << 20
LOG_FILES: Final = 4
STORE_BYTES: Final = 256 << 20
PENDING_BYTES: Final = 32 << 20
"""Waiting for one slow reader, at most; then it is disconnected."""


class BrokerError(CollectorError):
    """The broker cannot be started or does not take its configuration; the text says why."""


@dataclass(frozen=True, slots=True)
class Listening:
    """Where and as whom the broker stands. `folder` is for its log and store."""

    folder: Path
    server: KeyPair
    host: str
    mqtt_port: int
    client_port: int
    max_connections: int


def configuration(content: RegistryContent, at: Listening, lock_words: str, now: UtcTime) -> str:
    """The broker's configuration file. `lock_words`: a password that nobody knows.

    The NATS client port cannot be switched off, so it is bound to loopback, and every user is
    allowed over MQTT only. Raises BrokerError for a folder the configuration cannot name.
    """
    host = f"[{at.host}]" if ":" in at.host else at.host
    users = "\n".join(
        [
            *(
                _user(COLLECTOR, entry.serial, _TO_ALL, _FROM_ALL, "*")
                for entry in content.own
                if entry.revoked is None
            ),
            *(
                _user(one.id, entry.serial, publish, subscribe, one.id)
                if one.active and entry.revoked is None
                else _locked_user(one.id, entry.serial, lock_words)
                for everyone, publish, subscribe in (
                    (content.panels, FROM_PANEL, TO_PANEL),
                    (content.receivers, FROM_RECEIVER, TO_RECEIVER),
                )
                for one in everyone
                for entry in one.certificates
                if entry.not_after > now
            ),
            *(
                _locked_user(COLLECTOR, entry.serial, lock_words)
                for entry in content.own
                if entry.revoked is not None and entry.not_after > now
            ),
        ]
    )
    return f"""# Written by the collector; changes are lost.
server_name: tocsin
listen: {_quoted(f"127.0.0.1:{at.client_port}")}
max_payload: {2 * MAX_PAYLOAD_BYTES}
max_pending: {PENDING_BYTES}
max_connections: {at.max_connections}
logfile: {_quoted(str(at.folder / "nats.log"))}
logfile_size_limit: {LOG_BYTES}
logfile_max_num: {LOG_FILES}
logtime: true
logtime_utc: true
jetstream {{
  store_dir: {_quoted(str(at.folder / "store"))}
  max_memory_store: {STORE_BYTES}
  max_file_store: {STORE_BYTES}
}}
mqtt {{
  listen: {_quoted(f"{host}:{at.mqtt_port}")}
  reject_qos2_publish: true
  tls {{
    cert_file: {_quoted(str(at.server.cert))}
    key_file: {_quoted(str(at.server.key))}
    ca_file: {_quoted(str(at.server.ca))}
    verify_and_map: true
    timeout: 10
  }}
}}
authorization {{
  timeout: 10
  users = [
{users}
  ]
}}
"""


def _user(
    name: str, serial: str, publish: tuple[str, ...], subscribe: tuple[str, ...], panel: str
) -> str:
    return (
        f"    {{user: {_quoted(identity(name, serial))}, permissions: {{"
        f"publish: {{allow: [{_subjects(panel, publish)}]}}, "
        f"subscribe: {{allow: [{_subjects(panel, subscribe)}]}}}}, "
        f'allowed_connection_types: ["MQTT"]}}'
    )


def _locked_user(name: str, serial: str, lock_words: str) -> str:
    return (
        f"    {{user: {_quoted(identity(name, serial))}, password: {_quoted(lock_words)}, "
        'permissions: {publish: {deny: [">"]}, subscribe: {deny: [">"]}}, '
        'allowed_connection_types: ["MQTT"]}'
    )


def _subjects(panel: str, leaves: tuple[str, ...]) -> str:
    root = ROOT.replace("/", ".")
    return ", ".join(_quoted(f"{root}.{panel}.{leaf}") for leaf in leaves)


def _quoted(text: str) -> str:
    """A string of the configuration language. Raises BrokerError for what it cannot hold."""
    if '"' in text or "\\" in text or not text.isprintable():
        raise BrokerError(f"the broker cannot use a path with quotes or backslashes: {text!r}")
    return f'"{text}"'
