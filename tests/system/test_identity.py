"""Issue test 4 on our own broker: a certificate opens its own topics and nothing else."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from collector.adapters.authority import Authority, identity
from collector.adapters.broker_log import Refusal, Refused
from collector.adapters.broker_nats import NatsBroker
from collector.adapters.registry import Registry, Role
from protocols.mqtt.payloads import MAX_PAYLOAD_BYTES
from protocols.mqtt.topics import topic
from tests.support import identity_rig as checks
from tests.support.identity_rig import Rig
from tests.support.mqtt_probe import Keys, Probe, until

pytestmark = pytest.mark.system


@dataclass(frozen=True)
class NatsRig(Rig):
    """The rig with what our own broker tells."""

    broker: NatsBroker
    refusals: list[Refused] = field(default_factory=list)

    def applied(self) -> None:
        """Wait until the broker has the registry in force."""
        until("the reload", lambda: self.broker.applied == self.registry.content().revision)

    def recorded(self, reason: Refusal, matches: Callable[[str], bool]) -> Refused:
        """Wait until such a refusal was delivered."""
        return until(
            f"a recorded {reason}",
            lambda: next(
                (r for r in list(self.refusals) if r.reason is reason and matches(r.subject)), None
            ),
        )


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsRig]:
    folder = tmp_path_factory.mktemp("nats")
    registry = Registry(folder / "registry.json")
    authority = Authority(folder, registry)
    for panel in ("shop-1", "shop-2"):
        authority.issue(panel, folder / panel)
    authority.issue("rx-1", folder / "rx-1", role=Role.RECEIVER)
    refusals: list[Refused] = []
    broker = NatsBroker(folder, authority, registry, port=0, on_refused=refusals.append)
    broker.start()
    try:
        yield NatsRig(folder, authority, registry, broker.address.port, broker, refusals)
    finally:
        broker.stop()


def test_a_receiver_has_rx_and_rxack_and_nothing_else(rig: NatsRig) -> None:
    checks.a_receiver_has_rx_and_rxack_and_nothing_else(rig)


def test_own_topics_work(rig: NatsRig) -> None:
    checks.own_topics_work(rig)


@pytest.mark.parametrize("name", checks.FORBIDDEN_TOPICS)
def test_panel_cannot_publish_elsewhere_and_it_is_recorded(rig: NatsRig, name: str) -> None:
    checks.cannot_publish_elsewhere(rig, name)
    # In NATS a level separator is a dot, and a dot two slashes.
    subject = name.replace("/", "\0").replace(".", "//").replace("\0", ".")
    rig.recorded(Refusal.PUBLISH_DENIED, lambda shown: shown.startswith(f"{subject} by"))


@pytest.mark.parametrize("filter_", checks.FORBIDDEN_FILTERS)
def test_panel_cannot_read_elsewhere(rig: NatsRig, filter_: str) -> None:
    checks.cannot_read_elsewhere(rig, filter_)


def test_a_denied_subscription_is_recorded(rig: NatsRig) -> None:
    with rig.of("shop-1", client_id="nosy") as thief:
        assert not thief.subscribe("tocsin/v1/+/ack")
    rig.recorded(Refusal.SUBSCRIBE_DENIED, lambda shown: shown == 'tocsin.v1.*.ack by "nosy"')


def test_panel_cannot_leave_a_will_elsewhere(rig: NatsRig) -> None:
    checks.cannot_leave_a_will_elsewhere(rig)


def test_panel_cannot_take_over_a_session(rig: NatsRig) -> None:
    checks.cannot_take_over_a_session(rig)


def test_collector_may_not_report(rig: NatsRig) -> None:
    checks.collector_may_not_report(rig)


def test_claimed_name_and_password_count_for_nothing(rig: NatsRig) -> None:
    """Rights come from the certificate, whatever CONNECT says."""
    own = rig.registry.content().own[-1].serial
    keys = rig.keys("shop-1")
    with rig.collector() as collector, rig.of("shop-1") as honest:
        thief = Probe(rig.port, keys, client_id="collector")
        thief.client.username_pw_set(identity("collector", own), "")
        thief.client.reconnect()
        thief.publish(topic("shop-2", "ev"), b"forged")
        thief.close()
        honest.publish(topic("shop-1", "ev"), checks.MARK)
        until("the mark", lambda: checks.MARK in collector.payloads())
        assert b"forged" not in collector.payloads()


def test_no_certificate_is_refused_and_recorded(rig: NatsRig) -> None:
    assert Probe(rig.port, Keys(rig.authority.ca_file)).refused
    rig.recorded(Refusal.NO_CERTIFICATE, lambda shown: True)


def test_wrong_authority_is_refused_and_recorded(rig: NatsRig) -> None:
    keys = checks.foreign_certificate(rig.folder, rig.authority.ca_file)
    assert Probe(rig.port, keys).refused
    found = rig.recorded(Refusal.UNKNOWN_AUTHORITY, lambda shown: "CN=shop-1" in shown)
    assert "SHA-256: " in found.subject
    assert found.peer.startswith("127.0.0.1:")


def test_expired_certificate_is_refused_and_recorded(rig: NatsRig) -> None:
    keys = checks.expired_certificate(rig.folder, rig.authority, rig.registry)
    assert Probe(rig.port, keys).refused
    rig.recorded(Refusal.EXPIRED, lambda shown: "CN=shop-1" in shown)


def test_unregistered_certificate_of_our_own_ca_is_refused_and_recorded(rig: NatsRig) -> None:
    keys = checks.unregistered_certificate(rig.folder, rig.authority)
    assert Probe(rig.port, keys, client_id="who").refused
    rig.recorded(Refusal.NOT_REGISTERED, lambda shown: "who" in shown)


def test_server_certificate_is_no_client(rig: NatsRig) -> None:
    assert Probe(rig.port, checks.server_as_client(rig.authority)).refused


def test_plain_tcp_gets_nothing(rig: NatsRig) -> None:
    with socket.create_connection(("127.0.0.1", rig.port), timeout=20) as plain:
        plain.sendall(b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04evil")
        answer = plain.recv(100)
        assert not answer.startswith(b"\x20")  # no CONNACK; a TLS alert at most


def test_client_port_lets_nobody_in(rig: NatsRig) -> None:
    """The port NATS cannot do without: a name from the list without its certificate is refused."""
    serial = rig.registry.content().own[-1].serial
    port = rig.broker._ports.client
    for words in (
        b"{}",
        b'{"user":"%s","pass":""}' % identity("collector", serial).encode(),
        b'{"user":"%s"}' % identity("collector", serial).encode(),
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            stream = plain.makefile("rb")
            assert stream.readline().startswith(b"INFO ")
            plain.sendall(b"CONNECT " + words + b"\r\nSUB > 1\r\nPING\r\n")
            assert b"Authorization Violation" in stream.readline()


def test_a_report_larger_than_allowed_ends_the_connection_and_is_recorded(rig: NatsRig) -> None:
    with rig.collector() as collector, rig.of("shop-1", client_id="fat") as panel:
        panel.publish(topic("shop-1", "ev"), bytes(MAX_PAYLOAD_BYTES))
        until("the largest report", lambda: len(collector.received) == 1)
        panel.publish(topic("shop-1", "ev"), bytes(4 * MAX_PAYLOAD_BYTES))
        assert panel.ended.wait(10)
    rig.recorded(Refusal.TOO_LARGE, lambda shown: "fat" in shown)


def test_adding_a_panel_disconnects_nobody(rig: NatsRig) -> None:
    with rig.of("shop-1") as first, rig.collector() as collector:
        rig.authority.issue("added", rig.folder / "added")
        rig.applied()
        with rig.of("added") as newcomer:
            newcomer.publish(topic("added", "ev"), b"hello")
            until("the newcomer", lambda: b"hello" in collector.payloads())
        first.publish(topic("shop-1", "ev"), b"still here")
        until("the first panel", lambda: b"still here" in collector.payloads())
        assert first.connected
        assert collector.connected


def test_revoking_cuts_the_connection_and_refuses_the_next(rig: NatsRig) -> None:
    issued = rig.authority.issue("lost", rig.folder / "lost")
    rig.applied()
    bystander = rig.of("shop-1")
    panel = rig.panel(issued)
    assert panel.connected
    rig.authority.revoke("lost")
    assert panel.ended.wait(10)
    rig.applied()
    assert rig.panel(issued).refused
    name = identity("lost", issued.certificate.serial)
    rig.recorded(Refusal.REVOKED, lambda shown: shown == name)
    assert bystander.connected
    bystander.close()
    assert not rig.registry.is_registered("lost")


def test_a_new_certificate_of_the_same_name_keeps_the_lost_one_out(rig: NatsRig) -> None:
    old = rig.authority.issue("stolen", rig.folder / "stolen")
    rig.applied()
    assert not rig.panel(old).refused
    new = rig.authority.issue("stolen", rig.folder / "stolen-new")
    rig.applied()
    assert rig.panel(old).refused
    with rig.panel(new) as panel, rig.collector() as collector:
        panel.publish(topic("stolen", "ev"), b"new")
        until("the new one", lambda: b"new" in collector.payloads())
    name = identity("stolen", old.certificate.serial)
    rig.recorded(Refusal.REVOKED, lambda shown: shown == name)


def test_both_certificates_work_while_the_overlap_lasts(rig: NatsRig) -> None:
    old = rig.authority.issue("moving", rig.folder / "moving")
    new = rig.authority.issue("moving", rig.folder / "moving-new", keep_old=True)
    rig.applied()
    with rig.panel(old) as a, rig.panel(new) as b:
        assert a.connected
        assert b.connected
        rig.authority.revoke("moving", old.certificate.serial)
        assert a.ended.wait(10)
        assert b.connected
    assert rig.registry.is_registered("moving")


def test_a_name_added_while_running_is_in_the_server_certificate(
    rig: NatsRig, tmp_path: Path
) -> None:
    """`panel add --server-name` must work without a restart."""
    import ssl

    rig.authority.renew_own(["alarm.example.org"])
    rig.authority.issue("far", tmp_path)
    rig.applied()
    context = ssl.create_default_context(cafile=str(rig.authority.ca_file))
    context.load_cert_chain(tmp_path / "panel.crt", tmp_path / "panel.key")
    with (
        socket.create_connection(("127.0.0.1", rig.port), timeout=10) as plain,
        context.wrap_socket(plain, server_hostname="alarm.example.org") as secured,
    ):
        assert secured.version() == "TLSv1.3"
