"""Hardware receivers played by a thread: over a pty as over a serial port, or over TCP either way.

sim = ReceiverSim(SurGardEncoder(), PtyTransport(), Habits(ack_s=0.2))
port = AutomationPort("mlr2", SurGard(), SerialTransport(SerialLine(sim.transport.device)), ...)

By hand: `python -m collector.adapters.automation_play --help`.
"""

from __future__ import annotations

import contextlib
import os
import pty
import select
import threading
import time
import tty
from collections.abc import Callable
from functools import partial
from typing import Final, Generic, TypeVar

from collector.adapters.automation_port import Transport
from protocols.automation.encoding import Encoder
from protocols.automation.sending import Frame, Habits, Sender
from protocols.instants import Instant

READ_S: Final = 0.02
RETRY_S: Final = 0.05
SEVEN: Final = 0x7F

Medium = TypeVar("Medium", bound=Transport)


class PtyTransport:
    """The receiver's end of a pseudo-terminal; the port opens `device` as a serial port."""

    def __init__(self) -> None:
        self._master, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.device = os.ttyname(self._slave)

    @property
    def waits(self) -> bool:
        """The other side opens the device."""
        return True

    @property
    def may_be_dead(self) -> bool:
        """It is held at both ends."""
        return False

    def open(self, timeout_s: float) -> bool:
        """It is always open: the slave end is held, so that nobody's closing hangs up."""
        return True

    def read(self, timeout_s: float) -> bytes:
        """What has come within `timeout_s`."""
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        return os.read(self._master, 4096) if poll.poll(timeout_s * 1000) else b""

    def write(self, data: bytes) -> None:
        """Send; when nobody reads for long the terminal is full and bytes are lost."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, data)

    def close(self) -> None:
        """Stays open until `shut`."""

    def shut(self) -> None:
        """Pull the plug: the device is gone."""
        for end in (self._master, self._slave):
            with contextlib.suppress(OSError):
                os.close(end)


class ReceiverSim(Generic[Medium]):
    """A receiver that queues, beats, repeats without an ACK and keeps what is not acknowledged.

    Dials, each for the next so many: `lose_answers` (automation's answers do not arrive), `garble`
    (a byte of a frame is changed), `cut` (the second half of a frame is missing). `mute`: nothing
    leaves. `seven_bits`: bytes bear an even parity bit, as of a line set to 7E1.
    """

    def __init__(self, encoder: Encoder, transport: Medium, habits: Habits | None = None) -> None:
        self.encoder = encoder
        self.transport = transport
        self.lose_answers = 0
        self.garble = 0
        self.cut = 0
        self.mute = False
        self.seven_bits = False
        self._sender = Sender(encoder, habits)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="receiver-sim", daemon=True)

    @property
    def acks(self) -> int:
        """Acknowledgements heard, heartbeats' among them."""
        return self._sender.acks

    @property
    def naks(self) -> int:
        """Refusals heard."""
        return self._sender.naks

    @property
    def waiting(self) -> int:
        """Frames automation has not acknowledged."""
        return self._sender.waiting

    @property
    def done(self) -> int:
        """Frames automation has acknowledged."""
        return self._sender.done

    @property
    def parked(self) -> bool:
        """It gave up until a heartbeat is acknowledged."""
        return self._sender.parked

    @property
    def skipped(self) -> int:
        """Frames thrown away for too many NAKs (Bosch)."""
        return self._sender.skipped

    def start(self) -> None:
        """Power on."""
        self._thread.start()

    def stop(self) -> None:
        """Power off."""
        self._stop.set()
        self._thread.join()
        self.transport.close()

    def put(self, frame: Frame) -> None:
        """A panel reported: `sim.put(lambda n: sim.encoder.contact_id(message, n))`."""
        with self._lock:
            self._write(self._sender.put(frame, _now()))

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                if not self.transport.open(READ_S):
                    continue
                self._do(self._sender.reconnected)
                while not self._stop.is_set():
                    data = self.transport.read(READ_S)
                    if data and self.lose_answers:
                        self.lose_answers -= 1
                        data = b""
                    if self.seven_bits:
                        data = bytes(byte & SEVEN for byte in data)
                    self._do(partial(self._sender.receive, data))
                    if _now() >= self._sender.deadline():
                        self._do(self._sender.tick)
            except OSError:
                self._stop.wait(RETRY_S)
            finally:
                self.transport.close()

    def _do(self, step: Callable[[Instant], list[bytes]]) -> None:
        with self._lock:
            self._write(step(_now()))

    def _write(self, frames: list[bytes]) -> None:
        for frame in frames:
            if self.mute:
                continue
            data = with_parity(frame) if self.seven_bits else frame
            if self.garble:
                self.garble -= 1
                middle = len(data) // 2
                data = data[:middle] + bytes((data[middle] ^ 0x40,)) + data[middle + 1 :]
            if self.cut:
                self.cut -= 1
                data = data[: len(data) // 2]
            with contextlib.suppress(OSError):  # the reading side notices and opens anew
                self.transport.write(data)


def _now() -> Instant:
    return Instant(time.monotonic_ns())


def with_parity(data: bytes) -> bytes:
    """Seven bits and an even parity bit."""
    return bytes(byte | (byte.bit_count() % 2) << 7 for byte in data)
