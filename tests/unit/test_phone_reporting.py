"""The phone path's shell: what is kept over a restart, and a machine that fails and begins anew."""

from __future__ import annotations

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest

from edge.adapters.wall_clock import monotonic
from edge.clock.anchor import Stamp
from edge.config import PanelConfig
from edge.config_phone import LineDriver, PhoneLineConfig
from edge.journal.record_types import OwedKey, Stored
from edge.journal_thread import JournalThread
from edge.panel.inputs import Fault, PanelInput, PathChanged
from edge.phone_reporting import PHONE, PhoneReporting, read_memory, write_memory
from edge.reporting.phone.dialler_types import Memory, OwePhone, Reportable, Settled
from protocols.instants import NS_PER_S, Instant
from protocols.panel_event import Code, PanelEvent
from protocols.phone_batch import Sent
from tests.support.phone_site import phone_config
from tests.support.receiver_here import comes

HOLDUP = PanelEvent(Code.HOLDUP_SILENT, area=1, zone=4)


class Panel:
    """What the shell speaks to; notes what it is told."""

    def __init__(self) -> None:
        self.fed: list[PanelInput] = []
        self.emitted: list[PanelEvent] = []

    def feed(self, given: PanelInput) -> None:
        self.fed.append(given)

    def emit(self, event: PanelEvent) -> None:
        self.emitted.append(event)

    def acknowledged(self, path: str, keys: tuple[OwedKey, ...]) -> None: ...
    def path_changed(self, change: PathChanged) -> None: ...
    def reissued(self, stored: tuple[Stored, ...], epoch: int, upto: int) -> None: ...


@asynccontextmanager
async def shell(folder: Path) -> AsyncIterator[tuple[PhoneReporting, Panel, JournalThread]]:
    """On a real journal, and on a line nobody holds."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        line = PhoneLineConfig(
            driver=LineDriver.SOCKET, address=f"127.0.0.1:{taken.getsockname()[1]}"
        )
        phone = phone_config(line=line)
        config = msgspec.convert(
            {
                "id": "p-1",
                "name": "P",
                "areas": [{"number": 1, "name": "A"}],
                "zones": [
                    {
                        "number": 4,
                        "name": "B",
                        "area": 1,
                        "type": "holdup_silent",
                        "loop": {"input": "gpio:13"},
                    }
                ],
            },
            PanelConfig,
        )
        journal = JournalThread(config, folder, "boot-1", (PHONE,))
        await journal.open()
        panel = Panel()
        reporting = PhoneReporting(config, phone, folder, "boot-1", journal, panel)

        def stored(made: Sequence[tuple[Stored, PanelEvent]]) -> None:
            reporting.stored(made)

        journal.begin(lambda: (monotonic(), Stamp(None, None)), lambda: b"", stored)
        keeping = asyncio.create_task(journal.keep())
        try:
            await reporting.start(None)
            yield reporting, panel, journal
        finally:
            reporting.stop()
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)
            await journal.close()


def test_a_machine_that_fails_begins_anew_with_all_that_is_owed(tmp_path: Path) -> None:
    async def story() -> None:
        async with shell(tmp_path) as (reporting, panel, journal):
            journal.record(HOLDUP)
            await comes(lambda: reporting.owed() == 1)
            assert reporting.beat() is not None
            nonsense = PanelEvent("no code at all", zone=4)  # type: ignore[arg-type]
            key = OwedKey(1, 99, "f" * 64, 0, 4)
            reporting._give(OwePhone((Reportable(key, nonsense),)))
            faults = [each for each in panel.fed if isinstance(each, Fault)]
            assert [(each.code, each.on) for each in faults] == [(Code.TASK_RESTARTED, True)]
            assert reporting.owed() == 0
            assert reporting.beat() is None, "no heartbeat says that nothing is owed"
            await comes(lambda: reporting.owed() == 1)
            told = reporting.beat()
            assert told is not None
            assert told.owed == 1

    asyncio.run(story())


def test_a_heartbeat_counts_what_is_on_its_way_into_the_journal(tmp_path: Path) -> None:
    async def story() -> None:
        async with shell(tmp_path) as (reporting, _, journal):
            for number in range(1, 20):
                journal.record(HOLDUP)
                while reporting.owed() < number:
                    told = reporting.beat()
                    assert told is not None
                    assert told.owed == number
                    await asyncio.sleep(0)

    asyncio.run(asyncio.wait_for(story(), 20))


def test_what_was_kissed_off_is_on_the_disk_at_once(tmp_path: Path) -> None:
    """A panel killed in the next moment must not tell the alarm a second time."""
    data, killed = tmp_path / "data", tmp_path / "killed"
    data.mkdir()

    async def story() -> None:
        async with shell(data) as (reporting, _, journal):
            journal.record(HOLDUP)
            journal.record(HOLDUP)
            await comes(lambda: reporting.owed() == 2)
            first, second = journal.store.owed(PHONE)
            reporting._carry(Settled((first,), kissed=True))
            await comes(lambda: journal.store.owed(PHONE) == [second])
            await journal.stored()
            shutil.copytree(data, killed)

    asyncio.run(story())

    async def again() -> None:
        async with shell(killed) as (reporting, _, _journal):
            assert reporting.owed() == 1

    asyncio.run(again())


KEPT = Memory((Sent(1, 7, kissed=True, tries=2),), Instant(5 * NS_PER_S))


def test_what_is_kept_is_read_back_but_times_hold_in_their_boot_only(tmp_path: Path) -> None:
    file = tmp_path / "phone.state"
    kept = msgspec.json.encode({"boot": "b", "memory": KEPT})
    write_memory(file, kept)
    assert read_memory(file, "b") == KEPT
    assert read_memory(file, "c") == Memory(KEPT.unmarked)


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"\xff\xfe\x00", b"[]", b'{"boot":1}', b'{"boot":"b","memory":{"test_at":"x"}}',
     b'{"boot":"b","memory":{"unmarked":[{"epoch":1}]}}', b"[" * 100_000],
)  # fmt: skip
def test_a_damaged_memory_is_none(tmp_path: Path, damage: bytes) -> None:
    file = tmp_path / "phone.state"
    file.write_bytes(damage)
    assert read_memory(file, "b") == Memory()


def test_a_memory_cut_anywhere_is_none_and_a_disk_that_refuses_costs_no_report(
    tmp_path: Path,
) -> None:
    file = tmp_path / "phone.state"
    whole = msgspec.json.encode({"boot": "b", "memory": KEPT})
    for end in range(len(whole)):
        file.write_bytes(whole[:end])
        assert read_memory(file, "b") == Memory()
    file.unlink()
    file.mkdir()
    assert read_memory(file, "b") == Memory()
    write_memory(file, whole)
    write_memory(tmp_path / "gone" / "phone.state", whole)
