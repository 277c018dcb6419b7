"""Real brokers with real certificates, started for a test and killed after it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Self

import msgspec
import paho.mqtt.client as paho
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from paho.mqtt.enums import CallbackAPIVersion

from protocols.mqtt import topics
from tests.support.ack_model import AckModel

NATS = "nats"
MOSQUITTO = "mosquitto"


def until(what: str, probe: Callable[[], Any], timeout_s: float = 15.0) -> Any:
    """First true value of `probe`; fails the test naming `what`."""
    end = time.monotonic() + timeout_s
    while not (value := probe()):
        assert time.monotonic() < end, f"waited {timeout_s:g} s in vain for: {what}"
        time.sleep(0.01)
    return value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


class Certificates:
    """One CA and what it issues, as PEM files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.ca.cert_pem.write_to_path(folder / "ca.crt")
        self._revoked: list[x509.Certificate] = []
        self.revocations()

    def issue(self, name: str, *hosts: str, valid_days: float = 365, ca: Any = None) -> None:
        """`name`.crt and `name`.key; negative `valid_days`: ended then."""
        now = datetime.now(UTC)
        cert = (ca or self.ca).issue_cert(
            *(hosts or (f"{name}.invalid",)),
            common_name=name,
            not_before=now - timedelta(days=400),
            not_after=now + timedelta(days=valid_days),
        )
        cert.private_key_pem.write_to_path(self.folder / f"{name}.key")
        (self.folder / f"{name}.crt").write_bytes(
            b"".join(blob.bytes() for blob in cert.cert_chain_pems)
        )

    def revoke(self, name: str) -> None:
        pem = (self.folder / f"{name}.crt").read_bytes()
        self._revoked.append(x509.load_pem_x509_certificate(pem))
        self.revocations()

    def revocations(self) -> None:
        """Write `revoked.crl`."""
        now = datetime.now(UTC)
        authority = x509.load_pem_x509_certificate(self.ca.cert_pem.bytes())
        builder = x509.CertificateRevocationListBuilder(
            issuer_name=authority.subject,
            last_update=now - timedelta(days=1),
            next_update=now + timedelta(days=30),
        )
        for cert in self._revoked:
            entry = x509.RevokedCertificateBuilder(cert.serial_number, now - timedelta(hours=1))
            builder = builder.add_revoked_certificate(entry.build())
        key: Any = serialization.load_pem_private_key(self.ca.private_key_pem.bytes(), None)
        crl = builder.sign(key, hashes.SHA256())
        (self.folder / "revoked.crl").write_bytes(crl.public_bytes(serialization.Encoding.PEM))


class Broker:
    """nats-server or Mosquitto with client certificates required; memory only."""

    def __init__(self, kind: str, folder: Path, certificate: str = "broker") -> None:
        self.kind = kind
        self.port = free_port()
        self._folder = folder
        self._log = folder / f"{kind}.log"
        self._process: subprocess.Popen[bytes] | None = None
        if kind == NATS:
            self._argv = [str(Path(sys.executable).parent / "nats-server"), "-c", "nats.conf"]
            (folder / "nats.conf").write_text(
                f"""server_name: t
                listen: "127.0.0.1:-1"
                jetstream {{ store_dir: "{folder}/store" }}
                mqtt {{ listen: "127.0.0.1:{self.port}"
                  tls {{ cert_file: "{certificate}.crt", key_file: "{certificate}.key",
                    ca_file: "ca.crt", verify: true }} }}"""
            )
        else:
            search = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
            program = shutil.which("mosquitto", path=search)
            assert program, "these tests need Mosquitto"
            self._argv = [program, "-c", "mosquitto.conf"]
            (folder / "mosquitto.conf").write_text(
                f"listener {self.port} 127.0.0.1\n"
                f"cafile ca.crt\ncertfile {certificate}.crt\nkeyfile {certificate}.key\n"
                "crlfile revoked.crl\nrequire_certificate true\nallow_anonymous true\n"
                "persistence false\nset_tcp_nodelay true\n"
                + ("user root\n" if os.geteuid() == 0 else "")
            )

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv, cwd=self._folder, stdout=log, stderr=subprocess.STDOUT
            )
        until(f"{self.kind} to listen", self._listens)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()[-2000:]
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class Centre:
    """A collector at the broker: an AckModel that answers, and a record of all it saw."""

    def __init__(self, port: int, folder: Path, name: str = "centre") -> None:
        self.model = AckModel()
        self.seen: list[tuple[str, bytes]] = []
        self.mute = False
        """Do not answer."""
        self._ready = threading.Event()
        client = self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv311
        )
        client.tls_set(str(folder / "ca.crt"), str(folder / f"{name}.crt"), f"{folder}/{name}.key")
        client.reconnect_delay_set(1, 1)
        client.max_inflight_messages_set(0)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        client.connect("127.0.0.1", port, keepalive=5)
        client.loop_start()
        until("the centre to subscribe", self._ready.is_set)

    def say(self, panel: str, leaf: str, payload: bytes) -> None:
        self._client.publish(topics.topic(panel, leaf), payload, qos=1)

    def of(self, leaf: str) -> list[bytes]:
        """Payloads seen on one leaf."""
        return [payload for topic, payload in list(self.seen) if topic.endswith("/" + leaf)]

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _on_connect(self, client: paho.Client, *_: Any) -> None:
        client.subscribe([(f"{topics.ROOT}/+/{leaf}", 1) for leaf in topics.FROM_PANEL])

    def _on_subscribe(self, *_: Any) -> None:
        self._ready.set()

    def _on_message(self, client: paho.Client, userdata: Any, message: paho.MQTTMessage) -> None:
        payload = bytes(message.payload)
        self.seen.append((message.topic, payload))
        named = topics.split(message.topic)
        if named is None or self.mute:
            return
        ack = None
        if named[1] == topics.REPORT:
            ack = self.model.report(payload)
        elif named[1] == topics.HEARTBEAT:
            ack = self.model.heartbeat(payload)
        if ack is not None:
            self.say(named[0], topics.ACK, msgspec.json.encode(ack))
