"""Issue test 4 on Mosquitto with the files of `panel mosquitto-acl`, and the link through it.

What cannot be recorded there: Mosquitto keeps refusals in its own log only, names no certificate in
it, and acknowledges a publish outside the ACL as if it were delivered.
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from collector.adapters.authority import Authority
from collector.adapters.broker_host import free_port
from collector.adapters.broker_mosquitto import write_fragment
from collector.adapters.broker_session import BrokerAddress
from collector.adapters.mqtt_link import LinkState, MqttLink
from collector.adapters.registry import Registry, Role
from protocols.mqtt.topics import topic
from tests.support import identity_rig as checks
from tests.support.identity_rig import Rig
from tests.support.mqtt_probe import Keys, Probe, until

pytestmark = pytest.mark.system

MOSQUITTO = "/usr/sbin/mosquitto"


@dataclass(frozen=True)
class MosquittoRig(Rig):
    """The rig with the process of the broker."""

    conf: Path
    broker: list[subprocess.Popen[bytes]]

    def start(self) -> None:
        """Start Mosquitto and wait until it answers TLS."""
        # Mosquitto gives up root for an account that could not read the files of a root-run test.
        user = ["user root"] if os.geteuid() == 0 else []
        whole = self.conf.with_name("whole.conf")
        whole.write_text("\n".join([*user, self.conf.read_text()]))
        log = (self.folder / "mosquitto.log").open("ab")
        with log:
            self.broker.append(
                subprocess.Popen([MOSQUITTO, "-c", str(whole)], stdout=log, stderr=log)
            )
        until("mosquitto", lambda: self.admits("shop-2"))

    def admits(self, panel: str) -> bool:
        """True when that panel gets a connection."""
        probe = self.of(panel)
        if not probe.refused:
            probe.close()
        return not probe.refused

    def reload(self) -> None:
        """What an administrator does after a revocation: the files anew, then SIGHUP."""
        write_fragment(self.authority, self.folder / "mosquitto", [], self.port, ["rx-1"])
        self.broker[-1].send_signal(signal.SIGHUP)


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MosquittoRig]:
    folder = tmp_path_factory.mktemp("mosquitto")
    registry = Registry(folder / "registry.json")
    authority = Authority(folder, registry)
    for panel in ("shop-1", "shop-2"):
        authority.issue(panel, folder / panel)
    authority.issue("rx-1", folder / "rx-1", role=Role.RECEIVER)
    port = free_port("127.0.0.1")
    conf = write_fragment(authority, folder / "mosquitto", ["localhost"], port, ["rx-1"])[0]
    rig = MosquittoRig(folder, authority, registry, port, conf, [])
    rig.start()
    try:
        yield rig
    finally:
        rig.broker[-1].terminate()
        rig.broker[-1].wait(10)


def test_a_receiver_has_rx_and_rxack_and_nothing_else(rig: MosquittoRig) -> None:
    checks.a_receiver_has_rx_and_rxack_and_nothing_else(rig)


def test_own_topics_work(rig: MosquittoRig) -> None:
    checks.own_topics_work(rig)


@pytest.mark.parametrize("name", checks.FORBIDDEN_TOPICS)
def test_panel_cannot_publish_elsewhere(rig: MosquittoRig, name: str) -> None:
    checks.cannot_publish_elsewhere(rig, name)


@pytest.mark.parametrize("filter_", checks.FORBIDDEN_FILTERS)
def test_panel_cannot_read_elsewhere(rig: MosquittoRig, filter_: str) -> None:
    checks.cannot_read_elsewhere(rig, filter_)


def test_panel_cannot_leave_a_will_elsewhere(rig: MosquittoRig) -> None:
    checks.cannot_leave_a_will_elsewhere(rig)


def test_panel_cannot_take_over_a_session(rig: MosquittoRig) -> None:
    checks.cannot_take_over_a_session(rig)


def test_panel_cannot_throw_out_another_by_its_client_id(rig: MosquittoRig) -> None:
    with (
        rig.of("shop-2", client_id="shop-2") as victim,
        rig.of("shop-1", client_id="shop-2") as thief,
        rig.collector() as collector,
    ):
        thief.publish(topic("shop-1", "ev"), b"1")
        victim.publish(topic("shop-2", "ev"), b"2")
        until("both", lambda: set(collector.payloads()) == {b"1", b"2"})
        assert victim.connected


def test_collector_may_not_report(rig: MosquittoRig) -> None:
    checks.collector_may_not_report(rig)


def test_without_a_valid_certificate_nobody_gets_in(rig: MosquittoRig) -> None:
    ca = rig.authority.ca_file
    for keys in (
        Keys(ca),
        checks.foreign_certificate(rig.folder, ca),
        checks.expired_certificate(rig.folder, rig.authority, rig.registry),
        checks.server_as_client(rig.authority),
    ):
        assert Probe(rig.port, keys).refused, keys
    assert rig.admits("shop-1")


def test_revoked_certificate_is_refused_after_reload_and_its_successor_is_not(
    rig: MosquittoRig,
) -> None:
    old = rig.authority.issue("stolen", rig.folder / "stolen")
    assert not rig.panel(old).refused
    new = rig.authority.issue("stolen", rig.folder / "stolen-new")
    rig.reload()
    until("the revocation", lambda: rig.panel(old).refused)
    assert not rig.panel(new).refused


def test_link_reads_all_panels_and_survives_the_broker(rig: MosquittoRig) -> None:
    """`run --broker`: the same link as with our own broker."""
    pair = rig.authority.collector
    got: list[tuple[str, bytes]] = []
    states: list[LinkState] = []
    link = MqttLink(
        BrokerAddress("localhost", rig.port, pair.ca, pair.cert, pair.key),
        lambda name, payload: got.append((name, payload)),
        lambda state, _why: states.append(state),
    )
    link.start()
    try:
        until("the link", lambda: link.up)
        with rig.of("shop-1") as panel:
            assert panel.subscribe(topic("shop-1", "ack"))
            panel.publish(topic("shop-1", "ev"), b"report")
            until("the report", lambda: got == [(topic("shop-1", "ev"), b"report")])
            assert link.publish("shop-1", "ack", b"ack")
            until("the ack", lambda: panel.payloads() == [b"ack"])
        rig.broker[-1].kill()
        rig.broker[-1].wait(10)
        until("the loss", lambda: not link.up)
        assert not link.publish("shop-1", "ack", b"lost")
        rig.start()
        until("the link again", lambda: link.up, 20)
        with rig.of("shop-2") as panel:
            panel.publish(topic("shop-2", "hb"), b"beat")
            until("the beat", lambda: (topic("shop-2", "hb"), b"beat") in got)
    finally:
        link.stop()
    assert states.count(LinkState.UP) == 2
    assert states[-1] is LinkState.DOWN
