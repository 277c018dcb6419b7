"""The real path over a real broker through a bad line: delivery resumes, causes have names."""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trustme

from edge.adapters.mqtt_delivery import CertificateNotice
from edge.adapters.mqtt_paho import MqttPath
from edge.reporting.path_causes import LinkCause
from edge.reporting.reporter import LinkUp, PathState, Reconnect
from hil.drivers.link_sim import Conditions, LinkSim, Mode
from tests.support.brokers import MOSQUITTO, NATS, Broker, Centre, Certificates, free_port
from tests.support.path_rig import PANEL, PathRig, quick

pytestmark = pytest.mark.system


@dataclass
class Site:
    """Broker, line and centre; the panel dials the line."""

    folder: Path
    certificates: Certificates
    broker: Broker
    centre: Centre
    line: LinkSim

    def rig(self, **changes: Any) -> PathRig:
        return PathRig(MqttPath, quick(self.line.port, **changes), self.folder)


@pytest.fixture(params=[NATS, MOSQUITTO])
def kind(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def certificates(tmp_path: Path) -> Certificates:
    issued = Certificates(tmp_path)
    issued.issue("broker", "127.0.0.1", "broker.test")
    issued.issue("centre")
    issued.issue(PANEL)
    return issued


@pytest.fixture
def site(kind: str, tmp_path: Path, certificates: Certificates) -> Iterator[Site]:
    with (
        Broker(kind, tmp_path) as broker,
        Centre(broker.port, tmp_path) as centre,
        LinkSim(("127.0.0.1", broker.port), seed=7) as line,
    ):
        yield Site(tmp_path, certificates, broker, centre, line)


def run(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 90))


def test_broker_killed_and_started_with_an_empty_store(site: Site) -> None:
    async def scenario() -> None:
        async with site.rig() as rig:
            await rig.all_acknowledged(rig.owe(20))
            site.broker.kill()
            while_down = rig.owe(200)
            await rig.until("the loss", rig.causes)
            site.broker.start()
            await rig.all_acknowledged([*while_down, *rig.owe(5)])
        assert len(rig.acknowledged) == len(set(rig.acknowledged)) == 225

    run(scenario())


@pytest.mark.parametrize("silence", ["blackhole", "strand"])
def test_half_open_connection_is_found_out_and_replaced(site: Site, silence: str) -> None:
    """Both ends believe in a connection that carries nothing (users.md D1)."""

    async def scenario() -> None:
        async with site.rig() as rig:
            await rig.all_acknowledged(rig.owe(3))
            assert rig.of(PathState) == [PathState(True, "acknowledged")]
            if silence == "blackhole":
                site.line.set(Mode.BLACKHOLE)
            else:
                site.line.strand()
            lost = rig.owe(30)
            await rig.until(
                "the verdict", lambda: PathState(False, "not_acknowledged") in rig.effects
            )
            await rig.until("a forced reconnect", lambda: rig.of(Reconnect))
            site.line.set(Mode.OPEN)
            await rig.all_acknowledged(lost)
            assert rig.of(PathState)[-1].up
            assert LinkCause.NOT_ACKNOWLEDGED in rig.causes()

    run(scenario())


def test_collector_silent_behind_a_healthy_broker(site: Site) -> None:
    """PUBACKs come, receipts do not: the path is down and everything stays owed (B2)."""

    async def scenario() -> None:
        async with site.rig() as rig:
            await rig.all_acknowledged(rig.owe(3))
            site.centre.mute = True
            unheard = rig.owe(10)
            await rig.until(
                "the verdict", lambda: PathState(False, "not_acknowledged") in rig.effects
            )
            assert rig.reporter.owed() == 10
            site.centre.mute = False
            await rig.all_acknowledged(unheard)

    run(scenario())


def test_cut_in_the_middle_of_records(site: Site) -> None:
    """The line resets at random bytes in both directions, again and again."""

    async def scenario() -> None:
        site.line.condition(
            up=Conditions(drop_every_bytes=60_000, split_bytes=700),
            down=Conditions(drop_every_bytes=60_000, jitter_ms=2),
        )
        async with site.rig() as rig:
            keys = []
            for _ in range(60):
                keys += rig.owe(10)
                await asyncio.sleep(0.01)
            await rig.until(
                "several cuts", lambda: len(rig.of(LinkUp)) >= 3 or not rig.reporter.owed()
            )
            site.line.condition(up=Conditions(), down=Conditions())
            site.line.drop()
            await rig.all_acknowledged(keys, 40)
        assert len(rig.acknowledged) == len(set(rig.acknowledged)) == 600
        assert site.line.accepted >= 2

    run(scenario())


def test_garbled_bytes_end_the_connection_not_the_records(site: Site) -> None:
    async def scenario() -> None:
        async with site.rig() as rig:
            await rig.linked()
            site.line.condition(up=Conditions(garble_every_bytes=2_000))
            keys = rig.owe(100)
            await rig.until("TLS to notice", rig.causes)
            site.line.condition(up=Conditions())
            await rig.all_acknowledged(keys)
        assert site.centre.model.malformed == 0

    run(scenario())


def test_line_cut_and_refused(site: Site) -> None:
    async def scenario() -> None:
        async with site.rig() as rig:
            await rig.linked()
            site.line.set(Mode.REFUSE)
            keys = rig.owe(5)
            await rig.until("refusal", lambda: LinkCause.REFUSED in rig.causes())
            site.line.set(Mode.CUT)
            await rig.until("loss", lambda: rig.causes()[-1] is LinkCause.CONNECTION_LOST)
            site.line.set(Mode.OPEN)
            await rig.all_acknowledged(keys)

    run(scenario())


async def first_cause(rig: PathRig) -> LinkCause:
    async with rig:
        await rig.until("a cause", rig.causes)
        return rig.causes()[0]


def test_name_that_does_not_resolve(certificates: Certificates, tmp_path: Path) -> None:
    rig = partial(PathRig, MqttPath, base=tmp_path)
    assert asyncio.run(first_cause(rig(quick(1, host="broker..invalid")))) is LinkCause.DNS_FAILURE
    assert asyncio.run(first_cause(rig(quick(1, host="no-such.invalid")))) is LinkCause.DNS_FAILURE


def test_own_certificate_has_ended(site: Site) -> None:
    """A named cause, retried calmly; when the certificate is renewed the path comes up."""

    async def scenario() -> None:
        site.certificates.issue(PANEL, valid_days=-1)
        async with site.rig() as rig:
            keys = rig.owe(5)
            await rig.until("the cause", rig.causes)
            assert rig.of(CertificateNotice)[0].cause is LinkCause.CERTIFICATE_EXPIRED
            await rig.until("three attempts", lambda: site.line.accepted >= 3)
            assert rig.causes() == [LinkCause.CERTIFICATE_EXPIRED], "said once, by its name"
            assert LinkCause.CERTIFICATE_EXPIRED.of_certificate
            site.certificates.issue(PANEL)
            await rig.all_acknowledged(keys)
            assert rig.of(CertificateNotice)[-1].cause is None

    run(scenario())


def test_own_certificate_revoked(tmp_path: Path, certificates: Certificates) -> None:
    """Mosquitto reads revocation lists; nats-server does not, there the collector must refuse."""
    certificates.revoke(PANEL)
    with Broker(MOSQUITTO, tmp_path) as broker:
        rig = PathRig(MqttPath, quick(broker.port), tmp_path)
        assert asyncio.run(first_cause(rig)) is LinkCause.CERTIFICATE_REVOKED


def test_own_certificate_of_another_authority(kind: str, tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    certificates.issue("broker", "127.0.0.1")
    certificates.issue(PANEL, ca=trustme.CA())
    with Broker(kind, tmp_path) as broker:
        rig = PathRig(MqttPath, quick(broker.port), tmp_path)
        assert asyncio.run(first_cause(rig)) is LinkCause.CERTIFICATE_REFUSED


@pytest.mark.parametrize(
    ("hosts", "days", "changes", "cause"),
    [
        (("127.0.0.1",), -1.0, {}, LinkCause.SERVER_CERTIFICATE_EXPIRED),
        (("127.0.0.2",), 9.0, {}, LinkCause.SERVER_NAME_MISMATCH),
        (("a.test",), 9.0, {"server_name": "b.test"}, LinkCause.SERVER_NAME_MISMATCH),
        (("127.0.0.1",), 9.0, {"ca": "other.crt"}, LinkCause.SERVER_CERTIFICATE_UNTRUSTED),
        (("127.0.0.1",), 9.0, {"ca": "missing.crt"}, LinkCause.CERTIFICATE_UNREADABLE),
        (("127.0.0.1",), 9.0, {"cert": "missing.crt"}, LinkCause.CERTIFICATE_UNREADABLE),
        (("127.0.0.1",), 9.0, {"key": "broker.key"}, LinkCause.CERTIFICATE_UNREADABLE),
        (("127.0.0.1",), 9.0, {"cert": "ca.key.txt"}, LinkCause.CERTIFICATE_UNREADABLE),
    ],
)
def test_certificate_faults_have_names(
    tmp_path: Path,
    hosts: tuple[str, ...],
    days: float,
    changes: dict[str, str],
    cause: LinkCause,
) -> None:
    certificates = Certificates(tmp_path)
    certificates.issue("broker", *hosts, valid_days=days)
    certificates.issue(PANEL)
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.crt")
    (tmp_path / "ca.key.txt").write_text("not a certificate")
    with Broker(MOSQUITTO, tmp_path) as broker:
        rig = PathRig(MqttPath, quick(broker.port, **changes), tmp_path)
        assert asyncio.run(first_cause(rig)) is cause
    assert cause.of_certificate


def test_server_name_is_checked_instead_of_the_address(site: Site) -> None:
    async def scenario() -> None:
        async with site.rig(host="localhost", server_name="broker.test") as rig:
            await rig.linked()

    run(scenario())


def test_certificate_that_ends_soon_is_told_with_its_days(site: Site) -> None:
    async def scenario() -> None:
        site.certificates.issue(PANEL, valid_days=12.5)
        async with site.rig() as rig:
            await rig.linked()
            assert rig.of(CertificateNotice) == [
                CertificateNotice(LinkCause.CERTIFICATE_EXPIRES, 12)
            ]

    run(scenario())


def test_who_accepts_and_never_answers(tmp_path: Path, certificates: Certificates) -> None:
    """A black hole from the first byte: the attempt ends by itself."""

    async def scenario() -> None:
        with LinkSim(("127.0.0.1", free_port())) as line:
            line.set(Mode.BLACKHOLE)
            async with PathRig(MqttPath, quick(line.port), tmp_path) as rig:
                await rig.until("an end", rig.causes, 20)
                assert rig.causes() == [LinkCause.TIMED_OUT]

    run(scenario())


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_dead_thread_is_replaced(tmp_path: Path, certificates: Certificates) -> None:
    """users.md §4: threads die and programs carry on publishing into nothing."""

    async def scenario() -> None:
        async with PathRig(MqttPath, quick(broker.port), tmp_path) as rig:
            await rig.all_acknowledged(rig.owe(3))
            (victim,) = [t for t in threading.enumerate() if t.name == "mqtt-path"]
            assert victim.ident is not None
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(victim.ident), ctypes.py_object(SystemExit)
            )
            await rig.until("its death", lambda: not victim.is_alive())
            keys = rig.owe(5)
            await rig.all_acknowledged(keys)
            assert LinkCause.ADAPTER_FAULT in rig.causes()
            assert isinstance(rig.path, MqttPath)
            assert rig.path.restarts == 1

    with Broker(NATS, tmp_path) as broker, Centre(broker.port, tmp_path):
        run(scenario())
