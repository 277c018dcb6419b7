"""The registry file under many writers, damage and change by another process."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.adapters.registry import Certificate, Registry, RegistryError
from protocols.instants import UtcTime
from tests.support.mqtt_probe import until

NOW = UtcTime(1_000_000)


def entry(serial: int) -> Certificate:
    return Certificate(f"{serial:x}", "00", UtcTime(0), UtcTime(9_000_000))


def test_change_by_another_process_is_seen(tmp_path: Path) -> None:
    running, command = (Registry(tmp_path / "registry.json") for _ in range(2))
    assert not running.is_registered("shop-1")
    command.add_certificate("shop-1", entry(1), NOW, keep_old=False)
    until("the addition", lambda: running.is_registered("shop-1"))
    command.revoke("shop-1", NOW)
    until("the revocation", lambda: not running.is_registered("shop-1"))


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    def write(writer: int) -> None:
        registry = Registry(tmp_path / "registry.json")
        for number in range(10):
            registry.add_certificate(f"p{writer}-{number}", entry(number), NOW, keep_old=False)

    threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    content = Registry(tmp_path / "registry.json").content()
    assert len(content.panels) == 40
    assert content.revision == 40


@pytest.mark.parametrize("damage", [b"", b"{", b'{"panels": 7}', b"\xff\xfe", None])
def test_damage_leaves_the_last_good_answer_and_is_said(
    tmp_path: Path, damage: bytes | None
) -> None:
    path = tmp_path / "registry.json"
    registry = Registry(path)
    registry.add_certificate("shop-1", entry(1), NOW, keep_old=False)
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    with pytest.raises(RegistryError, match=r"registry\.json"):
        registry.content()
    registry._next_look = 0.0
    assert registry.is_registered("shop-1")
    with pytest.raises(RegistryError):
        registry.add_certificate("shop-2", entry(2), NOW, keep_old=False)
    if damage is not None:
        with pytest.raises(RegistryError):
            Registry(path)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "overlap", "revoke", "revoke one"]),
        st.sampled_from(["a", "b"]),
        st.integers(0, 5),
    ),
    max_size=20,
)


@settings(deadline=None, derandomize=True, max_examples=40)
@given(STEPS)
def test_a_certificate_once_revoked_stays_revoked(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, str, int]]
) -> None:
    path = tmp_path_factory.mktemp("registry") / "registry.json"
    registry = Registry(path)
    dead: set[str] = set()
    serial = 0
    for step, panel, pick in steps:
        known = registry.find(panel)
        match step:
            case "add" | "overlap":
                serial += 1
                registry.add_certificate(panel, entry(serial), NOW, keep_old=step == "overlap")
            case "revoke" if known:
                registry.revoke(panel, NOW)
                assert not registry.is_registered(panel)
            case "revoke one" if known:
                chosen = known.certificates[pick % len(known.certificates)].serial
                registry.revoke(panel, NOW, chosen)
                dead.add(chosen)
        content = Registry(path).content()
        certificates = [c for p in content.panels for c in p.certificates]
        now_dead = {c.serial for c in certificates if c.revoked is not None}
        assert dead <= now_dead
        dead = now_dead
        if step == "add":
            found = registry.find(panel)
            assert found is not None
            assert [c.serial for c in found.certificates if c.revoked is None] == [f"{serial:x}"]
