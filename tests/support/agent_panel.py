"""A panel at a line of the SIP agent, by the control protocol alone (bytes in, bytes out)."""

from __future__ import annotations

import json
import socket
import time
from types import TracebackType
from typing import Any, Self

import numpy as np

from hil.drivers.process import RigError
from protocols import audiosocket
from protocols.audiosocket import Kind

SILENCE = bytes(320)


class AgentPanel:
    """One connection. `said` is all that the agent told, in order."""

    def __init__(self, address: str, number: str = "55501234") -> None:
        host, _, port = address.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), 5)
        self._reader = audiosocket.Reader()
        self.said: list[dict[str, Any]] = []
        self.audio_bytes = self.loudest = 0
        self._socket.sendall(
            audiosocket.encode(Kind.ID, audiosocket.call_id(number, bytes(8)).bytes)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def do(self, what: str, **more: object) -> None:
        """Order something."""
        self.send(json.dumps({"do": what, **more}).encode())

    def send(self, payload: bytes, kind: int = Kind.CONTROL) -> None:
        """Any frame."""
        self._socket.sendall(audiosocket.encode(kind, payload))

    def until(self, what: str, timeout_s: float = 10) -> dict[str, Any]:
        """Read until the agent says `what`. Audio that comes is answered by silence."""
        end = time.monotonic() + timeout_s
        at = len(self.said)
        while True:
            for told in self.said[at:]:
                if told["is"] == what:
                    return told
            at = len(self.said)
            self._socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                data = self._socket.recv(65_536)
            except TimeoutError:
                raise RigError(f"waited in vain for {what!r}; was told {self.said}") from None
            if not data:
                raise RigError(f"connection closed before {what!r}; was told {self.said}")
            for frame in self._reader.feed(data):
                if frame.kind == Kind.CONTROL:
                    self.said.append(json.loads(frame.payload))
                elif frame.kind == Kind.AUDIO:
                    self.audio_bytes += len(frame.payload)
                    samples = np.frombuffer(frame.payload, "<i2").astype(int)
                    self.loudest = max(self.loudest, int(np.abs(samples).max()))
                    self.send(SILENCE, Kind.AUDIO)
