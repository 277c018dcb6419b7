"""kill -9 at random in an update: transfer, verification, unpacking, switch, trial, confirmation.

After each kill the node starts again, answers in a secure session, and runs a whole firmware: the
one it had, or the one it was given.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from firmware.node.slots import read_state
from protocols.osdp import codes
from tests.support.firmware_rig import PART_BYTES, FirmwareRig, firmware

pytestmark = [pytest.mark.system, pytest.mark.slow]

KILLS = 10
"""Of each node."""
NODES = 4
STAGES = {"transfer", "waiting", "trial"}
MOST = 40
"""On a slow machine a stage may need more kills to be hit."""


class Killer:
    """One node and its updates; `seen`: what was under way at each kill."""

    def __init__(self, directory: Path, seed: int, images: dict[tuple[int, int, int], bytes]):
        self.rig = FirmwareRig(directory)
        self.random = random.Random(seed)
        self.images = images
        self.seen: list[str] = []

    def run(self) -> None:
        with self.rig as rig:
            rig.node.start()
            rig.join()
            while len(self.seen) < KILLS or (STAGES - set(self.seen) and len(self.seen) < MOST):
                self.round()
            # Nothing is left over that would keep the last update out.
            self.whole(self.images[3, 0, 0])
            self.whole(self.images[2, 0, 0])

    def round(self) -> None:
        """One update that a kill cuts short somewhere; then what must be true."""
        rig = self.rig
        running = rig.version()
        wanted = (3, 0, 0) if running == (2, 0, 0) else (2, 0, 0)
        image = self.images[wanted]
        if self.random.random() < 0.5:
            self.in_transfer(image)
        else:
            self.after_transfer(image)
        self.seen.append(self.stage())
        rig.node.start()
        rig.join()
        found = rig.version()
        assert found in (running, wanted), f"after {self.seen[-1]}: {found}"
        state = rig.state()
        if found == wanted or state.trial:
            rig.until(lambda: rig.state().trial == 0, "the trial is confirmed")
            if state.trial and found == wanted:
                assert rig.state().good == state.trial
            rig.join()

    def in_transfer(self, image: bytes) -> None:
        parts = (len(image) + PART_BYTES - 1) // PART_BYTES
        for number in range(self.random.randrange(1, parts)):
            assert self.rig.part(image, number * PART_BYTES) == codes.FILE_OK
        self.killed_within(0.003, lambda: self.rig.part(image, (number + 1) * PART_BYTES))

    def after_transfer(self, image: bytes) -> None:
        assert self.rig.send(image) == codes.FILE_WILL_RESET
        # In a fifth of a second it restarts, unpacks, starts the trial, opens a session, confirms.
        self.killed_within(0.35, self.stay_in_session)

    def killed_within(self, most_s: float, meanwhile: Callable[[], object]) -> None:
        killer = threading.Timer(self.random.random() * most_s, self.rig.node.kill)
        killer.start()
        meanwhile()
        killer.join()

    def stay_in_session(self) -> None:
        rig = self.rig
        while rig.node.running():
            if rig.controller.channel is None or rig.ask(codes.POLL) is None:
                rig.controller.channel = None
                with contextlib.suppress(AssertionError):
                    rig.join(0.05)

    def stage(self) -> str:
        """What lay in the flash when the supply came back."""
        flash = self.rig.flash
        state = max(
            (s for n in "01" if (s := read_state(_bytes(flash / f"state{n}")))),
            key=lambda s: s.sequence,
            default=None,
        )
        if (flash / "update.img").exists():
            return "waiting" if not any(flash.glob("slots/?/new")) else "unpacking"
        if state is not None and state.trial:
            return "trial"
        return "transfer" if (flash / "update.part").exists() else "confirmed"

    def whole(self, image: bytes) -> None:
        rig = self.rig
        rig.join()
        updates = rig.state().updates
        assert rig.send(image) == codes.FILE_WILL_RESET
        rig.until(lambda: rig.state().updates == updates + 1, "a whole update is confirmed")


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


def test_a_node_killed_at_random_during_updates_always_starts_again(tmp_path: Path) -> None:
    images = {(major, 0, 0): firmware((major, 0, 0)) for major in (2, 3)}
    killers = [Killer(tmp_path / f"node-{seed}", seed, images) for seed in range(NODES)]
    with ThreadPoolExecutor(NODES) as pool:
        for done in [pool.submit(killer.run) for killer in killers]:
            done.result()
    seen = [stage for killer in killers for stage in killer.seen]
    assert len(seen) >= 40
    assert set(seen) >= STAGES, f"no kill hit one of the stages: {seen}"
