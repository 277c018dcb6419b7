"""A node process started by its loader, on a pty, images to send it, and controllers for it."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import select
import tempfile
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

import osdp_sys

from firmware.build import assemble, compile_file, contents
from firmware.node.image import header_length
from firmware.node.slots import State, read_state
from hil.drivers.node_process import NodeProcess
from protocols.osdp import codes, update_report
from protocols.osdp.node_report import decode
from protocols.osdp.update_report import UpdateState
from tests.shared.firmware_images import MODULUS, sign
from tests.support.osdp_controller import Controller

KEY = bytes(range(16, 32))
ADDRESS = 5
FIRMWARE = 1
PART_BYTES = 180
ROOT = Path(__file__).resolve().parents[2]
QUICK = (("CONFIRM_MS = 5000", "CONFIRM_MS = 100"), ("RESTART_MS = 1000", "RESTART_MS = 20"))
"""For firmware that a test updates: what a node waits for takes no test's time."""


@functools.cache
def compiled(board: str) -> dict[str, bytes]:
    return dict(contents(board))


def patched(path: str, *changes: tuple[str, str]) -> tuple[str, bytes]:
    """A file of the image, compiled from its source with some text replaced."""
    text = (ROOT / path).read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    with tempfile.TemporaryDirectory(dir=ROOT / ".pytest_cache") as folder:
        changed = Path(folder) / "changed.py"
        changed.write_text(text)
        return path.removesuffix(".py") + ".mpy", compile_file(changed, "unix")


def signed(image: bytes) -> bytes:
    size = header_length(image)
    return image[:size] + sign(image[:size]) + image[size + 384 :]


def firmware(
    version: tuple[int, int, int],
    *changed: tuple[str, bytes],
    board: str = "unix",
    security: int = 0,
    quick: bool = True,
) -> bytes:
    """The node's real firmware as a signed image of this version, some files replaced."""
    files = dict(compiled("unix"))
    words = "({}, {}, {})".format(*version)
    files.update([patched("firmware/node/version.py", ("(1, 0, 0)", words))])
    if quick:
        files.update([patched("firmware/node/update.py", *QUICK)])
    files.update(changed)
    return signed(assemble(sorted(files.items()), board, version, security))


def sources(version: tuple[int, int, int]) -> bytes:
    """The same uncompiled, for a node under CPython."""
    files = dict(contents("unix", source=True))
    words = "({}, {}, {})".format(*version).encode()
    path = "firmware/node/version.py"
    files[path] = files[path].replace(b"(1, 0, 0)", words)
    path = "firmware/node/update.py"
    for old, new in QUICK:
        files[path] = files[path].replace(old.encode(), new.encode())
    return signed(assemble(sorted(files.items()), "unix", version))


class FirmwareRig:
    """One node on one pty. `node.start()` starts it by firmware/boot.py."""

    def __init__(self, directory: Path, *, commissioned: bool = True, runtime: str = "") -> None:
        self.master, self._slave = os.openpty()
        tty.setraw(self.master)
        tty.setraw(self._slave)
        self.directory = directory
        self.node = NodeProcess(directory, os.ttyname(self._slave), runtime, script="boot")
        self.flash = directory / "flash"
        if commissioned:
            self.node.commission(ADDRESS, KEY)
            raw = MODULUS.to_bytes(384, "big")
            (self.flash / "update.key").write_bytes(raw + hashlib.sha256(raw).digest()[:4])
        self.controller = Controller(ADDRESS, KEY)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.node.stop()
        os.close(self.master)
        os.close(self._slave)

    # --- the wire ---

    def exchange(self, command: bytes, within_s: float = 0.2) -> tuple[int, bytes] | None:
        """One command and its reply; None: no reply that fits."""
        self.controller.reader.reset()
        while select.select([self.master], [], [], 0)[0]:
            os.read(self.master, 4096)
        os.write(self.master, command)
        end = time.monotonic() + within_s
        while (left_s := end - time.monotonic()) > 0:
            if not select.select([self.master], [], [], left_s)[0]:
                return None
            reply = self.controller.hear(os.read(self.master, 4096))
            if reply is not None:
                return reply
        return None

    def ask(self, code: int, payload: bytes = b"") -> tuple[int, bytes] | None:
        return self.exchange(self.controller.ask(code, payload))

    def join(self, within_s: float = 8.0) -> None:
        """A secure channel with the node, which may be starting."""
        end = time.monotonic() + within_s
        controller = self.controller
        while time.monotonic() < end:
            controller.restart()
            proof = controller.prove(self.exchange(controller.challenge(), 0.05))
            if proof and controller.settle(self.exchange(proof)):
                return
        raise AssertionError(f"the node does not come up: {self.node.tail()}")

    def version(self) -> tuple[int, int, int]:
        reply = self.ask(codes.ID, b"\0")
        assert reply is not None
        assert reply[0] == codes.PDID
        return reply[1][9], reply[1][10], reply[1][11]

    def part(self, image: bytes, offset: int, size: int = PART_BYTES) -> int | None:
        """Sends one part: its FTSTAT status; None: no answer."""
        data = image[offset : offset + size]
        head = bytes((FIRMWARE,)) + len(image).to_bytes(4, "little")
        head += offset.to_bytes(4, "little") + len(data).to_bytes(2, "little")
        reply = self.ask(codes.FILETRANSFER, head + data)
        if reply is None or reply[0] != codes.FTSTAT:
            return None
        return int.from_bytes(reply[1][3:5], "little", signed=True)

    def send(self, image: bytes) -> int | None:
        """The whole transfer; the last status, or the first that is not "go on"."""
        status: int | None = None
        for offset in range(0, len(image), PART_BYTES):
            status = self.part(image, offset)
            if status != codes.FILE_OK:
                return status
        return status

    def report(self) -> Any:
        """What the node says of itself when asked."""
        ask = codes.VENDOR.to_bytes(3, "little") + bytes((codes.ASK_REPORT,))
        assert self.ask(codes.MFG, ask) is not None
        for _ in range(50):
            reply = self.ask(codes.POLL)
            assert reply is not None
            if reply[0] == codes.MFGREP and reply[1][3] == codes.REPORT_NODE:
                newest = decode(reply[1][3:])
            elif reply[0] == codes.ACK:
                return newest
        raise AssertionError("no report")

    def refusal(self) -> UpdateState:
        """What the node tells of a refused or given-up update, of its own accord."""
        end = time.monotonic() + 3
        while time.monotonic() < end:
            reply = self.ask(codes.POLL)
            if reply is not None and reply[0] == codes.MFGREP:
                told = update_report.decode(reply[1][3:])
                if told is not None:
                    return told
        raise AssertionError("it tells nothing of its update")

    # --- what the node does by itself ---

    def until(self, done: Callable[[], bool], what: str, within_s: float = 10.0) -> None:
        """Polls the node, so that its session lasts, until `done`."""
        end = time.monotonic() + within_s
        while not done():
            if self.controller.channel is None or self.ask(codes.POLL) is None:
                with contextlib.suppress(AssertionError):
                    self.join(0.06)
            assert time.monotonic() < end, f"never: {what}; {self.node.tail()}"

    def state(self) -> State:
        """The newest record of the slots."""
        found = [read_state(self._file("state0")), read_state(self._file("state1"))]
        return max((s for s in found if s), key=lambda s: s.sequence, default=State())

    def _file(self, name: str) -> bytes | None:
        with contextlib.suppress(FileNotFoundError):
            return (self.flash / name).read_bytes()
        return None


class LibosdpPanel:
    """libosdp's own ControlPanel on the rig's pty, with its own way of sending a file."""

    id = 1

    def __init__(self, master: int) -> None:
        self._master = master
        self.image = b""
        self.online = False
        self.secure = False
        osdp_sys.set_loglevel(osdp_sys.LOG_EMERG)
        flags = osdp_sys.FLAG_ENABLE_NOTIFICATION | osdp_sys.FLAG_ENFORCE_SECURE
        info = {"name": "node", "address": ADDRESS, "flags": flags, "channel": self, "scbk": KEY}
        self._context = osdp_sys.ControlPanel([info])
        self._context.set_event_callback(lambda _place, _event: 0)
        operations: dict[str, Callable[..., Any]] = {
            "open": lambda _file, _size: len(self.image),
            "read": lambda size, offset: self.image[offset : offset + min(PART_BYTES, size)],
            "write": lambda _data, _offset: -1,
            "close": lambda _file: 0,
        }
        assert self._context.register_file_ops(0, operations)

    def read(self, most: int) -> bytes:
        if not select.select([self._master], [], [], 0)[0]:
            return b""
        return os.read(self._master, most)

    def write(self, data: bytes) -> int:
        return os.write(self._master, data)

    def flush(self) -> None:
        while self.read(4096):
            pass

    def until(self, done: Callable[[], object], within_s: float = 15.0) -> bool:
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            self._context.refresh()
            if done():
                return True
            select.select([self._master], [], [], 0.001)
        return False

    def connected(self) -> bool:
        return bool(self._context.sc_status())

    def again(self) -> None:
        """Out of libosdp's 300 s after a restart."""
        assert self._context.disable_pd(0)
        assert self.until(lambda: not self._context.is_pd_enabled(0))
        assert self._context.enable_pd(0)

    def send_file(self, image: bytes) -> None:
        self.image = image
        command = {"command": osdp_sys.CMD_FILE_TX, "id": FIRMWARE, "flags": 0}
        assert self._context.submit_command(0, command)

    def status(self) -> dict[str, int] | None:
        told: dict[str, int] | None = self._context.get_file_tx_status(0)
        return told

    def firmware_version(self) -> int:
        return int(self._context.get_pd_id(0)["firmware_version"])
