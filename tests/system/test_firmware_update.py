"""An update over the bus, from libosdp's controller to the node process and its restart into it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from protocols.osdp import codes
from protocols.osdp.update_reasons import in_words
from protocols.osdp.update_report import (
    BAD_FORM,
    BAD_HASH,
    BAD_SIGNATURE,
    NONE,
    OTHER_BOARD,
    TOO_OLD,
    TRIAL_FAILED,
)
from tests.support.firmware_rig import FirmwareRig, LibosdpPanel, firmware, patched, sources

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def second() -> bytes:
    return firmware((2, 0, 0), security=7)


@pytest.fixture(scope="module")
def updated_once(second: bytes, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a node that runs `second` as its good firmware."""
    directory = tmp_path_factory.mktemp("updated") / "node"
    with FirmwareRig(directory) as rig:
        rig.node.start()
        updated(rig, second)
    return directory


@pytest.fixture
def node_of_second(updated_once: Path, tmp_path: Path) -> Iterator[FirmwareRig]:
    shutil.copytree(updated_once, tmp_path / "node")
    with FirmwareRig(tmp_path / "node", commissioned=False) as rig:
        rig.node.start()
        rig.join()
        yield rig


def updated(rig: FirmwareRig, image: bytes) -> None:
    """Sent, restarted into, confirmed."""
    rig.join()
    resets, updates = rig.node.resets, rig.state().updates
    assert rig.send(image) == codes.FILE_WILL_RESET
    rig.until(lambda: rig.state().updates > updates, "the update is confirmed")
    assert rig.node.resets > resets


def rolled_back(rig: FirmwareRig, image: bytes) -> None:
    """Sent, tried until its tries are used up, given up."""
    rig.join()
    before = rig.state()
    assert rig.send(image) == codes.FILE_WILL_RESET
    rig.until(lambda: rig.state().rollbacks > before.rollbacks, "the update is given up", 20)
    state = rig.state()
    assert (state.good, state.trial, state.reason) == (before.good, 0, TRIAL_FAILED)
    assert state.minimum == before.minimum


def test_libosdps_controller_updates_the_node(tmp_path: Path, second: bytes) -> None:
    with FirmwareRig(tmp_path / "node") as rig:
        rig.node.start()
        panel = LibosdpPanel(rig.master)
        assert panel.until(panel.connected), rig.node.tail()
        assert panel.firmware_version() == 0x010000
        panel.send_file(second)
        assert panel.until(lambda: rig.node.resets == 1), rig.node.tail()
        assert rig.state().reason == 0
        panel.again()
        assert panel.until(lambda: panel.connected() and panel.firmware_version() == 0x020000)
        assert panel.until(lambda: rig.state().good == 1), rig.node.tail()
        assert rig.state().trial == 0


def test_libosdps_controller_learns_of_a_refusal(tmp_path: Path, second: bytes) -> None:
    with FirmwareRig(tmp_path / "node") as rig:
        rig.node.start()
        panel = LibosdpPanel(rig.master)
        assert panel.until(panel.connected), rig.node.tail()
        panel.send_file(second[:6000])
        assert panel.until(lambda: rig.state().reason == BAD_FORM), rig.node.tail()
        # It drops a node that says no; brought back, it finds the firmware there was.
        panel.again()
        assert panel.until(lambda: panel.connected() and panel.firmware_version() == 0x010000)
        assert rig.node.resets == 0


def test_a_trial_reports_itself_until_it_is_confirmed(tmp_path: Path) -> None:
    slow = patched("firmware/node/update.py", ("CONFIRM_MS = 5000", "CONFIRM_MS = 1000"))
    with FirmwareRig(tmp_path / "node") as rig:
        rig.node.start()
        rig.join()
        assert rig.send(firmware((2, 0, 0), slow, quick=False)) == codes.FILE_WILL_RESET
        rig.until(lambda: rig.node.resets == 1 and rig.state().trial == 1, "the trial starts")
        rig.join()
        report = rig.report()
        assert report.trial
        assert report.firmware == (2, 0, 0)
        rig.until(lambda: rig.state().good == 1, "it is confirmed")
        assert not rig.report().trial


def test_what_is_not_for_this_node_is_refused_with_its_reason(
    tmp_path: Path, second: bytes
) -> None:
    with FirmwareRig(tmp_path / "node") as rig:
        rig.node.start()
        rig.join()
        for image, status, reason in (
            (firmware((2, 0, 0), board="rp2040"), codes.FILE_UNRECOGNISED, OTHER_BOARD),
            (_other_signature(second), codes.FILE_UNRECOGNISED, BAD_SIGNATURE),
            (second[:-1] + b"\0", codes.FILE_UNRECOGNISED, BAD_HASH),
        ):
            before = rig.state().refusals
            assert rig.send(image) == status
            assert rig.state().reason == reason
            assert rig.state().refusals == before + 1
            told = rig.refusal()
            assert (told.reason, told.refusals) == (reason, before + 1)
            assert in_words(told.reason)
        assert rig.version() == (1, 0, 0)
        assert rig.node.resets == 0


def test_an_older_security_number_does_not_come_back(node_of_second: FirmwareRig) -> None:
    rig = node_of_second
    assert rig.send(firmware((3, 0, 0), security=6)) == codes.FILE_UNRECOGNISED
    assert rig.state().reason == TOO_OLD
    # An older version under the same number is the owner's to choose.
    updated(rig, firmware((1, 0, 0), security=7))
    rig.join()
    assert rig.version() == (1, 0, 0)
    assert rig.state().good == 2


def test_updates_that_crash_or_never_confirm_give_way_to_the_last_good_one(
    node_of_second: FirmwareRig,
) -> None:
    main, update, loop = "firmware/main.py", "firmware/node/update.py", "firmware/node/loop.py"
    crash = patched(main, ("import os\n", "import os\nraise ValueError\n"))
    crash_late = patched(main, ("    board = this_board()", "    board = None"))
    ends = patched(loop, ("        while True:", "        while False:"))
    silent = patched(
        update,
        ("CONFIRM_MS = 5000", "CONFIRM_MS = 500000"),
        ("TRIAL_MS = 180000", "TRIAL_MS = 150"),
    )
    hung = patched(
        loop,
        ("self.watch.progressed(CHECK)", "pass"),
        ("start_watchdog(TIMEOUT_MS)", "start_watchdog(150)"),
    )
    rig = node_of_second
    for changed in (crash, crash_late, ends, silent, hung):
        quick = changed not in (silent, hung)
        rolled_back(rig, firmware((9, 0, 0), changed, security=8, quick=quick))
        rig.node.kill()
        rig.node.start()
        rig.join()
        told = rig.refusal()
        assert (told.reason, told.rollbacks) == (TRIAL_FAILED, rig.state().rollbacks)
        assert rig.version() == (2, 0, 0)
    updated(rig, firmware((3, 0, 0), security=7))
    assert rig.state().reason == NONE


def test_a_slot_changed_in_the_flash_is_not_started(node_of_second: FirmwareRig) -> None:
    rig = node_of_second
    rig.node.power_cut()
    place = rig.flash / "slots/a/firmware/node/loops.mpy"
    place.write_bytes(place.read_bytes()[:-1] + b"\x01\x02")
    rig.node.start()
    rig.join()
    assert rig.version() == (1, 0, 0)


def test_the_same_under_cpython_with_an_image_of_sources(tmp_path: Path) -> None:
    with FirmwareRig(tmp_path / "node", runtime="cpython") as rig:
        rig.node.start()
        rig.join()
        assert rig.send(sources((2, 0, 0))) == codes.FILE_WILL_RESET
        rig.until(lambda: rig.state().good == 1, "the update is confirmed")
        rig.join()
        assert rig.version() == (2, 0, 0)


def test_without_slots_or_with_rubbish_for_a_record_the_built_in_firmware_runs(
    tmp_path: Path,
) -> None:
    with FirmwareRig(tmp_path / "node") as rig:
        (rig.flash / "state0").write_bytes(b"\xff" * 31)
        (rig.flash / "state1").write_bytes(b"")
        (rig.flash / "update.img").write_bytes(b"TOCSINFW" + b"\xff" * 900)
        rig.node.start()
        rig.join()
        assert rig.version() == (1, 0, 0)


def _other_signature(image: bytes) -> bytes:
    """The header changed where only its signature tells."""
    changed = bytearray(image)
    changed[19] ^= 1
    return bytes(changed)
