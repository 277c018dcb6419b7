"""libosdp's controller on a pty, with one node process at the other end."""

from __future__ import annotations

import contextlib
import os
import time
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, TypeVar

import osdp_sys

from hil.drivers.node_process import NodeProcess

T = TypeVar("T")

osdp_sys.set_loglevel(osdp_sys.LOG_EMERG)


class NodePanel:
    """`inputs`, `local`: every snapshot told, oldest first. `reports`: payloads of MFGREP."""

    def __init__(self, directory: Path, address: int, runtime: str = "", ticks: int = 0) -> None:
        directory.mkdir(parents=True)
        self._link = directory / "uart"
        self.plug()
        self.address = address
        self.node = NodeProcess(directory, str(self._link), runtime, ticks=ticks)
        self.inputs: list[bytes] = []
        self.local: list[bytes] = []
        self.outputs: list[bytes] = []
        self.reports: list[bytes] = []
        self.secure = False
        self.default_key = False
        self._panel: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.node.stop()
        self._panel = None
        self.unplug()

    def plug(self) -> None:
        """A pty behind the node's port."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self._link.symlink_to(os.ttyname(self._slave))

    def unplug(self) -> None:
        """The port is gone."""
        self._link.unlink()
        os.close(self._slave)
        os.close(self._master)

    # --- libosdp's channel ---

    @property
    def id(self) -> int:
        return 1

    def read(self, most: int) -> bytes:
        try:
            return os.read(self._master, most)
        except BlockingIOError:
            return b""

    def write(self, data: bytes) -> int:
        with contextlib.suppress(BlockingIOError):
            return os.write(self._master, data)
        return len(data)

    def flush(self) -> None:
        self.read(4096)

    # --- the controller ---

    def connect(self, key: bytes, pairing: bool = False) -> None:
        """A new controller. `pairing`: where its key is refused it gives it by the default key."""
        self._panel = None
        self.flush()
        self.secure = self.default_key = False
        flags = osdp_sys.FLAG_ENABLE_NOTIFICATION
        if not pairing:
            flags |= osdp_sys.FLAG_ENFORCE_SECURE
        info: dict[str, Any] = {
            "name": "node",
            "address": self.address,
            "flags": flags,
            "channel": self,
            "scbk": key,
        }
        self._panel = osdp_sys.ControlPanel([info])
        self._panel.set_event_callback(self._heard)

    def rejoin(self) -> None:
        """Begin anew at once; libosdp by itself would wait for minutes."""
        self.secure = False
        self._panel.disable_pd(0)
        self.until("libosdp to let go", lambda: not self._panel.is_pd_enabled(0))
        self._panel.enable_pd(0)

    def until(self, what: str, probe: Callable[[], T | None], timeout_s: float = 10) -> T:
        """Runs the controller until `probe` is true."""
        end = time.monotonic() + timeout_s
        while True:
            self._panel.refresh()
            value = probe()
            if value:
                return value
            assert time.monotonic() < end, f"waited in vain for: {what}\n{self.node.tail()}"
            time.sleep(0.001)

    def online(self, timeout_s: float = 10) -> None:
        """Until the secure channel is there."""
        self.until("the secure channel", lambda: self.secure, timeout_s)

    def online_again(self, tries: int = 20) -> None:
        """Until the secure channel is there, begun anew each second as our panel would."""
        for _ in range(tries):
            self.rejoin()
            with contextlib.suppress(AssertionError):
                self.online(1)
                return
        self.online(1)

    def run(self, span_s: float) -> None:
        """Polls for a while."""
        end = time.monotonic() + span_s
        self.until("nothing", lambda: time.monotonic() > end, span_s + 5)

    def submit(self, command: dict[str, Any]) -> None:
        """The next command."""
        self.until("libosdp to take it", lambda: self._panel.submit_command(0, command))

    def settled(self, states: bytes, timeout_s: float = 10) -> None:
        """Until the last snapshot told is this."""
        self.until(
            f"inputs {states.hex()} (now {self.inputs[-1:]})",
            lambda: self.inputs and self.inputs[-1] == states,
            timeout_s,
        )

    def _heard(self, _place: int, event: dict[str, Any]) -> int:
        kind = event["event"]
        if kind == osdp_sys.EVENT_NOTIFICATION:
            if event["type"] == osdp_sys.EVENT_NOTIFICATION_SC_STATUS:
                self.default_key = bool(event["arg0"]) and bool(event["arg1"])
                self.secure = bool(event["arg0"]) and not self.default_key
            elif not event["arg0"]:
                self.secure = False
        elif kind == osdp_sys.EVENT_STATUS:
            told = {
                osdp_sys.STATUS_REPORT_INPUT: self.inputs,
                osdp_sys.STATUS_REPORT_LOCAL: self.local,
                osdp_sys.STATUS_REPORT_OUTPUT: self.outputs,
            }
            told[event["type"]].append(bytes(event["report"]))
        elif kind == osdp_sys.EVENT_MFGREP:
            self.reports.append(bytes(event["data"]))
        return 0
