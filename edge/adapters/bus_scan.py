"""A scan on a real port: exclusive, one question at a time, each answer heard to its end."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from edge.adapters.bus_scan_types import Question, Result, Scan, Setting
from edge.adapters.serial_port import PortGoneError, SerialPort

BY_ID: Final = Path("/dev/serial/by-id")
HEARD_BYTES: Final = 2048
"""A station that never stops is not listened to any longer."""
SPIKE_BYTES: Final = 3
"""What the turn of the line may make: the answer is still to come."""
BUSY: Final = frozenset({errno.EBUSY, errno.EAGAIN, errno.EWOULDBLOCK})


class ScanRun:
    """Runs a scan. Raises PortGoneError (see `is_busy`) when the port cannot be had or goes."""

    def __init__(self, path: str, told: Callable[[Question], None] = lambda _: None) -> None:
        self._path = path
        self.told = told
        self._port: SerialPort | None = None
        self._setting: Setting | None = None
        self.echo = False
        """The adapter hears itself."""

    def run(self, scan: Scan) -> Result:
        """All of it."""
        try:
            question = next(scan)
            while True:
                self.told(question)
                question = scan.send(self._ask(question))
        except StopIteration as done:
            result: Result = done.value
            return result
        finally:
            if self._port is not None:
                self._port.close()

    def _at(self, setting: Setting) -> SerialPort:
        if self._port is None or setting != self._setting:
            if self._port is not None:
                self._port.close()
                self._port = None
            self._port = SerialPort(self._path, setting.baud, setting.parity)
            self._setting = setting
        return self._port

    def _ask(self, question: Question) -> bytes:
        port = self._at(question.setting)
        if question.data:
            port.read()
            port.write(question.data)
        return self._hear(port, question)

    def _hear(self, port: SerialPort, question: Question) -> bytes:
        heard, sent = b"", question.data
        now_s = time.monotonic()
        ends_s = now_s + question.longest_s
        last_s = ends_s + 1
        while now_s < ends_s and len(heard) < HEARD_BYTES:
            if port.wait(ends_s - now_s):
                heard += port.read()
                if not (sent and sent.startswith(heard)):
                    if sent and heard.startswith(sent):
                        heard, sent, self.echo = heard[len(sent) :], b"", True
                    if question.data and len(heard) > SPIKE_BYTES:
                        ends_s = min(time.monotonic() + question.quiet_s, last_s)
            now_s = time.monotonic()
        return b"" if sent and heard == sent else heard


def is_busy(error: PortGoneError) -> bool:
    """Somebody else has the port."""
    return error.errno in BUSY


def stable_path(path: str, by_id: Path = BY_ID) -> str:
    """The name of this port that stays when it is plugged in again (users.md J3); else itself."""
    try:
        real = Path(path).resolve()
        for name in sorted(by_id.iterdir()):
            if name.resolve() == real:
                return str(name)
    except OSError:
        pass
    return path


def ports_by_id(by_id: Path = BY_ID) -> list[str]:
    """Serial adapters plugged in."""
    try:
        return sorted(str(name) for name in by_id.iterdir())
    except OSError:
        return []
