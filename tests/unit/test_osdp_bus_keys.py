"""Keys of OSDP nodes: RFC 5869, one master, and no renewal that can lock a side out."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edge.adapters.osdp_keys import KeysUnusableError, NodeKeys, hkdf_sha256

RFC_5869 = [
    (
        "0b" * 22,
        "000102030405060708090a0b0c",
        "f0f1f2f3f4f5f6f7f8f9",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    ),
    (
        "".join(f"{n:02x}" for n in range(0x50)),
        "".join(f"{n:02x}" for n in range(0x60, 0xB0)),
        "".join(f"{n:02x}" for n in range(0xB0, 0x100)),
        (
            "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac782"
            "7271cb41c65e590e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3"
            "434f1d87"
        ),
    ),
    (
        "0b" * 22,
        "",
        "",
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
    ),
]


@pytest.mark.parametrize(("key", "salt", "info", "output"), RFC_5869)
def test_hkdf_gives_the_vectors_of_rfc_5869(key: str, salt: str, info: str, output: str) -> None:
    expected = bytes.fromhex(output)
    given = [bytes.fromhex(text) for text in (key, salt, info)]
    assert hkdf_sha256(given[0], given[1], given[2], len(expected)) == expected


def test_keys_differ_by_everything_and_come_again_after_a_restart(tmp_path: Path) -> None:
    keys = NodeKeys(tmp_path, "panel")
    wanted = [keys.key(bus, address, g) for bus in "ab" for address in (1, 2) for g in (0, 1)]
    assert len(set(wanted)) == len(wanted)
    assert {len(key) for key in wanted} == {16}
    again = NodeKeys(tmp_path, "panel")
    assert [again.key(b, a, g) for b in "ab" for a in (1, 2) for g in (0, 1)] == wanted
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "bus.master").write_bytes((tmp_path / "bus.master").read_bytes())
    (tmp_path / "other" / "bus.master").chmod(0o600)
    assert NodeKeys(tmp_path / "other", "second").key("a", 1, 0) not in wanted


def test_the_master_is_made_for_the_owner_only(tmp_path: Path) -> None:
    NodeKeys(tmp_path, "panel")
    path = tmp_path / "bus.master"
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(bytes.fromhex(path.read_text().strip())) == 32


def test_a_master_others_can_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bus.master"
    NodeKeys(tmp_path, "panel")
    path.chmod(0o640)
    with pytest.raises(KeysUnusableError, match="readable by others"):
        NodeKeys(tmp_path, "panel")
    path.chmod(0o600)
    path.write_text("00ff")
    with pytest.raises(KeysUnusableError, match="64 hexadecimal"):
        NodeKeys(tmp_path, "panel")


def test_no_new_master_is_made_where_nodes_were_paired_with_another(tmp_path: Path) -> None:
    keys = NodeKeys(tmp_path, "panel")
    keys.commit("main", 1, keys.begin("main", 1))
    (tmp_path / "bus.master").unlink()
    with pytest.raises(KeysUnusableError, match="gone"):
        NodeKeys(tmp_path, "panel")
    assert not (tmp_path / "bus.master").exists()


def test_a_new_generation_is_on_disk_before_it_is_used_and_both_are_tried(tmp_path: Path) -> None:
    keys = NodeKeys(tmp_path, "panel")
    assert keys.candidates("main", 5) == (0,)
    assert keys.begin("main", 5) == 1
    restarted = NodeKeys(tmp_path, "panel")
    assert restarted.candidates("main", 5) == (1, 0)
    assert restarted.begin("main", 5) == 1
    restarted.commit("main", 5, 1)
    assert NodeKeys(tmp_path, "panel").candidates("main", 5) == (1,)


def test_a_pending_generation_the_node_never_took_is_over_once_the_old_key_worked(
    tmp_path: Path,
) -> None:
    keys = NodeKeys(tmp_path, "panel")
    keys.begin("main", 5)
    keys.commit("main", 5, 0)
    assert NodeKeys(tmp_path, "panel").candidates("main", 5) == (0,)


def test_two_buses_with_an_instance_each_do_not_undo_one_another(tmp_path: Path) -> None:
    first, second = NodeKeys(tmp_path, "panel"), NodeKeys(tmp_path, "panel")
    threads = [
        threading.Thread(
            target=lambda k=keys, b=bus: [k.commit(b, a, k.begin(b, a)) for a in range(10)]
        )
        for keys, bus in ((first, "left"), (second, "right"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = NodeKeys(tmp_path, "panel")
    assert all(after.candidates(bus, a) == (1,) for bus in ("left", "right") for a in range(10))


def test_a_directory_that_cannot_be_written_leaves_the_old_generation(tmp_path: Path) -> None:
    keys = NodeKeys(tmp_path, "panel")
    keys.commit("main", 5, keys.begin("main", 5))
    (tmp_path / "bus.generations.json.new").mkdir()
    with pytest.raises(OSError):
        keys.begin("main", 5)
    assert keys.candidates("main", 5) == (1,)


def test_a_key_shows_nowhere(tmp_path: Path) -> None:
    keys = NodeKeys(tmp_path, "panel")
    secret = keys.key("main", 1)
    assert secret.hex() not in repr(keys)
    keys.begin("main", 1)
    assert secret.hex().encode() not in (tmp_path / "bus.generations.json").read_bytes()
    assert (tmp_path / "bus.generations.json").stat().st_mode & 0o077 == 0
