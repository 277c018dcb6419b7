"""Our own broker and the link to it, while things die around them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.adapters.authority import Authority
from collector.adapters.broker_host import find_server
from collector.adapters.broker_nats import NatsBroker, broker_state
from collector.adapters.mqtt_link import LinkState, MqttLink
from collector.adapters.nats_rights import BrokerError
from collector.adapters.registry import Registry
from protocols.mqtt.topics import topic
from tests.support.identity_rig import Rig
from tests.support.mqtt_probe import until

pytestmark = pytest.mark.system

HOLDER = """
import sys
from pathlib import Path
from collector.adapters.authority import Authority
from collector.adapters.broker_nats import NatsBroker
from collector.adapters.registry import Registry
data = Path(sys.argv[1])
registry = Registry(data / "registry.json")
broker = NatsBroker(data, Authority(data, registry), registry, port=0)
broker.start()
print(broker.pid, flush=True)
sys.stdin.read()
"""


class Centre:
    """Authority, registry, broker and link of one data folder, without the collector."""

    def __init__(self, folder: Path, port: int = 0) -> None:
        self.registry = Registry(folder / "registry.json")
        self.authority = Authority(folder, self.registry)
        if self.registry.find("shop-1") is None:
            self.authority.issue("shop-1", folder / "shop-1")
        self.faults: list[str] = []
        self.broker = NatsBroker(
            folder, self.authority, self.registry, port=port, on_fault=self.faults.append
        )
        self.broker.start()
        self.rig = Rig(folder, self.authority, self.registry, self.broker.address.port)
        self.got: list[bytes] = []
        self.states: list[LinkState] = []
        self.link = MqttLink(
            self.broker.address,
            lambda _name, payload: self.got.append(payload),
            lambda state, _why: self.states.append(state),
            keepalive_s=2,
        )
        self.link.start()
        until("the link", lambda: self.link.up)

    def stop(self) -> None:
        """Link first, so that it does not see the broker go."""
        self.link.stop()
        self.broker.stop()


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    made = Centre(tmp_path)
    try:
        yield made
    finally:
        made.stop()


def alive(pid: int) -> bool:
    """True while the process runs (a zombie does not)."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def test_killed_broker_is_restarted_and_the_link_resumes(centre: Centre) -> None:
    for death in range(1, 4):
        _kill_and_resume(centre, death)
    assert len(centre.faults) == 3


def _kill_and_resume(centre: Centre, death: int) -> None:
    before = centre.broker.pid
    assert before is not None
    os.kill(before, signal.SIGKILL)
    until("the link again", lambda: centre.states.count(LinkState.UP) == death + 1, 20)
    assert centre.broker.pid != before
    assert centre.broker.restarts == death
    with centre.rig.of("shop-1") as panel:
        assert panel.subscribe(topic("shop-1", "ack"))
        panel.publish(topic("shop-1", "ev"), b"%d" % death)
        until("the report", lambda: b"%d" % death in centre.got)
        until("a way back", lambda: centre.link.publish("shop-1", "ack", b"ack"))
        until("the ack", lambda: panel.payloads() == [b"ack"])


def test_rights_hold_after_a_restart(centre: Centre) -> None:
    issued = centre.authority.issue("lost", centre.rig.folder / "lost")
    centre.authority.revoke("lost")
    assert centre.broker.pid is not None
    os.kill(centre.broker.pid, signal.SIGKILL)
    until("the restart", lambda: centre.broker.restarts == 1)
    until("the registry", lambda: centre.broker.applied == centre.registry.content().revision)
    assert centre.rig.panel(issued).refused
    assert not centre.rig.of("shop-1").refused


def test_unreadable_registry_costs_no_broker(centre: Centre) -> None:
    """The last rights stay in force, the fault is told, and a mended file is taken up."""
    file = centre.rig.folder / "registry.json"
    good = file.read_bytes()
    file.write_bytes(b"{")
    until("the fault", lambda: any("registry.json" in text for text in centre.faults))
    assert centre.broker.pid is not None
    os.kill(centre.broker.pid, signal.SIGKILL)
    until("the link again", lambda: centre.states.count(LinkState.UP) == 2, 20)
    assert not centre.rig.of("shop-1").refused
    told = len(centre.faults)
    file.write_bytes(good)
    issued = centre.authority.issue("shop-2", centre.rig.folder / "shop-2")
    until("the registry", lambda: centre.broker.applied == centre.registry.content().revision)
    assert not centre.rig.panel(issued).refused
    assert len(centre.faults) == told <= 4


def test_hung_broker_is_noticed_by_the_link(centre: Centre) -> None:
    """Half-open: the broker is there but says nothing (stopped process), later it goes on."""
    assert centre.broker.pid is not None
    os.kill(centre.broker.pid, signal.SIGSTOP)
    try:
        until("the loss", lambda: not centre.link.up, 40)
    finally:
        os.kill(centre.broker.pid, signal.SIGCONT)
    until("the link again", lambda: centre.link.up, 30)


def test_intake_that_fails_does_not_end_the_link(tmp_path: Path, centre: Centre) -> None:
    taken: list[bytes] = []

    def offer(_name: str, payload: bytes) -> None:
        if payload == b"bad":
            raise RuntimeError("intake")
        taken.append(payload)

    reasons: list[str] = []
    link = MqttLink(centre.broker.address, offer, lambda _state, why: reasons.append(why))
    link.start()
    try:
        until("the link", lambda: link.up)
        with centre.rig.of("shop-1") as panel:
            panel.publish(topic("shop-1", "ev"), b"bad")
            until("the fault", lambda: any("intake" in why for why in reasons))
            until("the link again", lambda: link.up)
            panel.publish(topic("shop-1", "ev"), b"good")
            until("the next one", lambda: b"good" in taken)
    finally:
        link.stop()


def test_offered_payloads_are_exact_and_in_order(centre: Centre) -> None:
    wanted = [bytes([n % 256]) * (n % 300) for n in range(1, 2000)]
    with centre.rig.of("shop-1") as panel:
        for payload in wanted:
            panel.client.publish(topic("shop-1", "ev"), payload, qos=0)
        until("all of them", lambda: len(centre.got) == len(wanted), 20)
    assert centre.got == wanted


def test_port_is_kept_and_the_state_file_tells_it(tmp_path: Path) -> None:
    first = Centre(tmp_path)
    port = first.broker.address.port
    state = broker_state(tmp_path)
    assert state is not None
    assert (state.port, state.applied) == (port, first.registry.content().revision)
    first.stop()
    assert broker_state(tmp_path) is None
    second = Centre(tmp_path)
    assert second.broker.address.port == port
    second.stop()


def test_stop_ends_the_broker(tmp_path: Path) -> None:
    centre = Centre(tmp_path)
    pid = centre.broker.pid
    assert pid is not None
    centre.stop()
    centre.stop()
    assert not alive(pid)


def test_second_collector_on_the_same_data_is_refused(centre: Centre) -> None:
    again = NatsBroker(centre.rig.folder, centre.authority, centre.registry, port=0)
    with pytest.raises(BrokerError, match="another collector is running"):
        again.start()
    assert centre.link.up


def test_taken_port_is_said_and_leaves_nothing_behind(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry.json")
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        broker = NatsBroker(tmp_path, Authority(tmp_path, registry), registry, port=port)
        with pytest.raises(BrokerError, match=f"port {port}: .* in use"):
            broker.start()
    broker.start()  # free now, and the lock was let go
    broker.stop()


def test_broker_that_cannot_start_says_why(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry.json")
    authority = Authority(tmp_path, registry)
    broker = NatsBroker(tmp_path, authority, registry, port=0)
    (tmp_path / "pki" / "server.crt").write_text("no certificate")
    with pytest.raises(BrokerError, match=r"ended at once with status 1: .*certificate/key pair"):
        broker.start()


def test_killed_collector_takes_its_broker_along(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout is not None
        pid = int(holder.stdout.readline())
        assert alive(pid)
        holder.kill()
    until("the broker to end too", lambda: not alive(pid))
    Centre(tmp_path).stop()


def test_orphan_of_an_earlier_run_is_ended(tmp_path: Path) -> None:
    """Where the kernel has no death signal, a broker may outlive its collector."""
    first = Centre(tmp_path)
    port = first.broker.address.port
    first.stop()
    orphan = subprocess.Popen([find_server(), "-c", str(tmp_path / "broker" / "nats.conf")])
    with orphan:
        (tmp_path / "broker" / "pid").write_text(str(orphan.pid))
        until("the orphan to listen", lambda: _listens(port))
        second = Centre(tmp_path)
        assert second.broker.address.port == port
        assert orphan.poll() is not None
        second.stop()


def test_stranger_with_the_number_of_an_old_broker_is_left_alone(tmp_path: Path) -> None:
    Centre(tmp_path).stop()
    with subprocess.Popen(["sleep", "60"]) as stranger:
        (tmp_path / "broker" / "pid").write_text(str(stranger.pid))
        Centre(tmp_path).stop()
        assert stranger.poll() is None
        stranger.kill()


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_broker_killed_while_it_starts_is_started_again(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "registry.json")
    broker = NatsBroker(tmp_path, Authority(tmp_path, registry), registry, port=0)
    first: list[int] = []

    def kill_the_first() -> None:
        until("a broker process", lambda: broker.pid is not None, 20)
        first.append(broker.pid or 0)
        os.kill(first[0], signal.SIGKILL)

    killer = threading.Thread(target=kill_the_first)
    killer.start()
    try:
        broker.start()
        killer.join()
        until("another broker", lambda: broker.pid not in (None, first[0]), 20)
        assert broker.applied >= 0
    finally:
        broker.stop()
