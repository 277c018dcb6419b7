"""A journal that knew one path, opened with two: the new one owes what comes, not what was."""

from __future__ import annotations

from pathlib import Path

from edge.adapters.journal_sqlite import JournalStore
from edge.config import JournalConfig
from edge.journal.record_types import Stamped
from protocols.instants import Instant
from protocols.panel_event import Code, PanelEvent

BOTH = ("mqtt", "phone")


def opened(directory: Path, paths: tuple[str, ...]) -> JournalStore:
    return JournalStore.open(JournalConfig(), directory, "p", "boot", paths)


def add(store: JournalStore, zone: int) -> int:
    event = PanelEvent(Code.BURGLARY, zone=zone)
    (made,) = store.append([Stamped(event, Instant(zone))], b"state")
    return made.key.seq


def owed(store: JournalStore, path: str) -> list[int]:
    return [key.seq for key in store.owed(path)]


def test_a_path_met_for_the_first_time_owes_from_now_on(tmp_path: Path) -> None:
    store = opened(tmp_path, ("mqtt",))
    old = [add(store, zone) for zone in range(1, 6)]
    store.close()
    store = opened(tmp_path, BOTH)
    assert owed(store, "mqtt") == old, "the first path's debt is untouched"
    assert owed(store, "phone") == []
    new = add(store, 6)
    assert owed(store, "phone") == [new]
    store.close()
    store = opened(tmp_path, BOTH)
    assert owed(store, "phone") == [new], "and so after a restart"
    assert owed(store, "mqtt") == [*old, new]
    store.close()


def test_each_path_is_acknowledged_for_itself(tmp_path: Path) -> None:
    store = opened(tmp_path, BOTH)
    for zone in range(1, 4):
        add(store, zone)
    keys = store.owed("phone")
    store.acknowledge("phone", keys[:2])
    store.rotate()
    store.close()
    store = opened(tmp_path, BOTH)
    assert owed(store, "phone") == [keys[2].seq]
    assert owed(store, "mqtt") == [key.seq for key in keys]
    store.close()


def test_a_path_taken_away_no_longer_holds_records_back(tmp_path: Path) -> None:
    config = JournalConfig(max_records=1000)
    store = JournalStore.open(config, tmp_path, "p", "boot", BOTH)
    events = [Stamped(PanelEvent(Code.BURGLARY, zone=1), Instant(n)) for n in range(1500)]
    store.append(events, b"state")
    store.acknowledge("mqtt", store.owed("mqtt"))
    while store.rotate():
        pass
    assert store.count() == 1500, "the phone path still owes them (users.md L4)"
    store.close()
    store = JournalStore.open(config, tmp_path, "p", "boot", ("mqtt",))
    while store.rotate():
        pass
    assert store.count() == 1000
    store.close()
    store = JournalStore.open(config, tmp_path, "p", "boot", BOTH)
    assert owed(store, "phone") == []
    store.close()
