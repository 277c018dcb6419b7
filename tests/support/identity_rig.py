"""What must hold of any broker that serves panels: the same checks for NATS and Mosquitto."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from collector.adapters.authority import Authority, Issued, KeyPair, identity, utc_now
from collector.adapters.certificates import CLIENT, PEM, Subject, key_pem, leaf
from collector.adapters.registry import Registry
from protocols.mqtt.topics import (
    FROM_PANEL,
    FROM_RECEIVER,
    RECEPTION,
    RECEPTION_ACK,
    TO_PANEL,
    TO_RECEIVER,
    topic,
)
from tests.support.mqtt_probe import Keys, Probe, until

MARK = b"mark"

FORBIDDEN_FILTERS = (
    *(topic("shop-2", leaf) for leaf in (*TO_PANEL, *FROM_PANEL)),
    "#",
    "+/#",
    "+/+/+/+",
    "tocsin/#",
    "tocsin/v1/#",
    "tocsin/v1/+/ack",
    "tocsin/v1/+/ev",
    "tocsin/v1/shop-2/#",
    "tocsin.v1.shop-2.ack",
    "$SYS/#",
    "$JS/#",
    "$JS/API/#",
    "$MQTT/#",
    "$MQTT/sub/#",
    "$MQTT/sub/+",
    "$MQTT/msgs/#",
    "$share/thief/tocsin/v1/+/ack",
)
FORBIDDEN_TOPICS = (
    *(topic("shop-2", leaf) for leaf in (*FROM_PANEL, *TO_PANEL)),
    *(topic("shop-1", leaf) for leaf in TO_PANEL),
    topic("collector", "ev"),
    topic("shop-1", "ev/x"),
    "tocsin/v1",
    "tocsin.v1.shop-2.ev",
    "$SYS/REQ/SERVER/PING",
    "$JS/API/STREAM/LIST",
    "$MQTT/msgs/tocsin/v1/shop-2/ev",
    "$MQTT/sess/x",
)


@dataclass(frozen=True)
class Rig:
    """A running broker with panels shop-1 and shop-2 registered."""

    folder: Path
    authority: Authority
    registry: Registry
    port: int

    def panel(self, issued: Issued, **options: object) -> Probe:
        """Connect with an issued certificate."""
        keys = Keys(self.authority.ca_file, issued.cert_file, issued.key_file)
        return Probe(self.port, keys, **options)  # type: ignore[arg-type]

    def of(self, panel: str, **options: object) -> Probe:
        """Connect as a panel issued into `<folder>/<panel>`."""
        return Probe(self.port, self.keys(panel), **options)  # type: ignore[arg-type]

    def keys(self, panel: str) -> Keys:
        """The files of a panel issued into `<folder>/<panel>`."""
        home = self.folder / panel
        return Keys(self.authority.ca_file, home / "panel.crt", home / "panel.key")

    def collector(self, **options: object) -> Probe:
        """Connect as the collector, reading all panels."""
        pair = self.authority.collector
        probe = Probe(self.port, Keys(pair.ca, pair.cert, pair.key), **options)  # type: ignore[arg-type]
        assert not probe.refused, probe.refused
        for name in (*FROM_PANEL, *FROM_RECEIVER):
            assert probe.subscribe(f"tocsin/v1/+/{name}")
        return probe


def foreign_certificate(folder: Path, ca: Path) -> Keys:
    """A certificate for shop-1 from another CA."""
    made = trustme.CA().issue_cert("shop-1", common_name="shop-1")
    cert, key = folder / "foreign.crt", folder / "foreign.key"
    cert.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    key.write_bytes(made.private_key_pem.bytes())
    return Keys(ca, cert, key)


def expired_certificate(folder: Path, authority: Authority, registry: Registry) -> Keys:
    """A certificate the registry holds as valid, issued long ago."""
    long_ago = utc_now() - datetime.timedelta(days=1000)
    signer = authority._signer()
    return _signed(folder / "expired", signer, "shop-1", long_ago, authority.ca_file)


def unregistered_certificate(folder: Path, authority: Authority) -> Keys:
    """A certificate of our CA that the registry does not know."""
    return _signed(folder / "unknown", authority._signer(), "shop-1", utc_now(), authority.ca_file)


def server_as_client(authority: Authority) -> Keys:
    """The broker's own certificate, shown as if it were a client's."""
    pair: KeyPair = authority.server
    return Keys(pair.ca, pair.cert, pair.key)


def _signed(folder: Path, signer: object, name: str, when: datetime.datetime, ca: Path) -> Keys:
    folder.mkdir()
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    urn = x509.UniformResourceIdentifier(identity(name, f"{serial:x}"))
    subject = Subject(name, key.public_key(), CLIENT, [urn], serial, 730)
    made = leaf(signer, subject, when)  # type: ignore[arg-type]
    (folder / "panel.crt").write_bytes(made.public_bytes(PEM))
    (folder / "panel.key").write_bytes(key_pem(key))
    return Keys(ca, folder / "panel.crt", folder / "panel.key")


def own_topics_work(rig: Rig) -> None:
    """A panel reports on its five topics and reads its two; the collector the other way round."""
    with rig.collector() as collector, rig.of("shop-1") as panel:
        for name in TO_PANEL:
            assert panel.subscribe(topic("shop-1", name))
        for name in FROM_PANEL:
            panel.publish(topic("shop-1", name), name.encode())
        until("all reports", lambda: len(collector.received) == len(FROM_PANEL))
        assert sorted(collector.received) == sorted(
            (topic("shop-1", name), name.encode()) for name in FROM_PANEL
        )
        for name in TO_PANEL:
            collector.publish(topic("shop-1", name), name.encode(), qos=0 if name == "ack" else 1)
        until("ack and cmd", lambda: len(panel.received) == len(TO_PANEL))
        assert sorted(panel.payloads()) == sorted(name.encode() for name in TO_PANEL)


def cannot_publish_elsewhere(rig: Rig, topic_: str) -> None:
    """Nothing of shop-1 arrives anywhere it may not publish."""
    with rig.collector() as collector, rig.of("shop-1") as thief, rig.of("shop-2") as victim:
        for name in TO_PANEL:
            assert victim.subscribe(topic("shop-2", name))
        thief.publish(topic_, b"forged")
        if thief.connected:
            thief.publish(topic("shop-1", "ev"), MARK)
            until("the mark", lambda: MARK in collector.payloads())
        # Through the broker once more, so that anything forged would be there before it.
        victim.publish(topic("shop-2", "ev"), b"end")
        until("the end", lambda: b"end" in collector.payloads())
        collector.publish(topic("shop-2", "ack"), b"end")
        until("the end at the victim", lambda: b"end" in victim.payloads())
        assert b"forged" not in collector.payloads()
        assert victim.payloads() == [b"end"]


def cannot_read_elsewhere(rig: Rig, filter_: str) -> None:
    """Whatever shop-1 subscribes to, it gets only its own ack and cmd."""
    with rig.collector() as collector, rig.of("shop-2") as victim, rig.of("shop-1") as thief:
        assert thief.subscribe(topic("shop-1", "ack"))
        thief.subscribe(filter_, 0)
        if thief.connected:
            thief.subscribe(filter_, 1)
        if not thief.connected:
            return
        for name in TO_PANEL:
            assert victim.subscribe(topic("shop-2", name))
        for name in FROM_PANEL:
            victim.publish(topic("shop-2", name), b"secret")
        until("the reports", lambda: len(collector.received) == len(FROM_PANEL))
        for name in TO_PANEL:
            collector.publish(topic("shop-2", name), b"secret")
        until("the answers", lambda: len(victim.received) == len(TO_PANEL))
        collector.publish(topic("shop-1", "ack"), MARK)
        until("the mark", lambda: MARK in thief.payloads())
        assert set(thief.received) == {(topic("shop-1", "ack"), MARK)}


def cannot_leave_a_will_elsewhere(rig: Rig) -> None:
    """A last will on another panel's topic is not published when the connection is cut."""
    with rig.collector() as collector:
        thief = rig.of("shop-1", will=(topic("shop-2", "will"), b"forged"))
        if not thief.refused:
            thief.cut()
        honest = rig.of("shop-1", will=(topic("shop-1", "will"), b"honest"))
        assert not honest.refused
        honest.cut()
        until("the honest will", lambda: b"honest" in collector.payloads())
        assert b"forged" not in collector.payloads()


def cannot_take_over_a_session(rig: Rig) -> None:
    """Another panel's client id gives neither its subscriptions nor what waits for it."""
    with rig.of("shop-2", client_id="session-2", clean=False) as victim:
        assert victim.subscribe(topic("shop-2", "cmd"), 1)
    with rig.collector() as collector:
        collector.publish(topic("shop-2", "cmd"), b"waiting")
        thief = rig.of("shop-1", client_id="session-2", clean=False)
        if not thief.refused:
            assert thief.subscribe(topic("shop-1", "ack"))
            collector.publish(topic("shop-2", "cmd"), b"later")
            collector.publish(topic("shop-1", "ack"), MARK)
            until("the mark", lambda: MARK in thief.payloads() or not thief.connected)
            assert set(thief.payloads()) <= {MARK}
            thief.close()


def collector_may_not_report(rig: Rig) -> None:
    """The collector's certificate is no panel: it cannot forge a report."""
    with rig.collector() as reader, rig.collector() as forger, rig.of("shop-1") as panel:
        if forger.connected:
            forger.publish(topic("shop-1", "ev"), b"forged")
        if not reader.connected:  # one identity, one connection: the newer one replaced it
            reader = forger
        until("a way to publish", lambda: panel.connected)
        panel.publish(topic("shop-1", "ev"), MARK)
        until("the mark", lambda: MARK in reader.payloads())
        assert b"forged" not in reader.payloads()


def a_receiver_has_rx_and_rxack_and_nothing_else(rig: Rig) -> None:
    """With receiver rx-1 issued into `<folder>/rx-1`."""
    home = rig.folder / "rx-1"
    keys = Keys(rig.authority.ca_file, home / "receiver.crt", home / "receiver.key")
    forbidden = [topic("rx-1", leaf) for leaf in (*FROM_PANEL, *TO_PANEL, *TO_RECEIVER)]
    forbidden += [topic("shop-1", leaf) for leaf in (*FROM_PANEL, *TO_PANEL, RECEPTION)]
    forbidden.append(topic("rx-2", RECEPTION))
    with (
        rig.collector() as collector,
        rig.of("shop-1") as panel,
        Probe(rig.port, keys, client_id="rx-1") as receiver,
    ):
        receiver.subscribe(topic("rx-1", RECEPTION_ACK))
        panel.publish(topic("rx-1", RECEPTION), b"from a panel", qos=0)
        panel.publish(topic("shop-1", RECEPTION), b"from a panel", qos=0)
        for name in forbidden:
            receiver.publish(name, b"forbidden", qos=0)
        receiver.publish(topic("rx-1", RECEPTION), MARK, qos=0)
        panel.publish(topic("shop-1", FROM_PANEL[0]), MARK, qos=0)
        until("both marks", lambda: collector.payloads().count(MARK) == 2)
        assert set(collector.payloads()) == {MARK}
        collector.publish(topic("rx-1", RECEPTION_ACK), MARK)
        until("the acknowledgement", lambda: receiver.payloads() == [MARK])
