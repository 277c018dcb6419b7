"""One AudioSocket connection that never blocks; used by the media clock and the main loop alike."""

from __future__ import annotations

import json
import socket
import threading
from collections import deque
from typing import Any, Final

from protocols import audiosocket
from protocols.audiosocket import Frame, Kind
from protocols.sip.playout import Playout

UNSENT_BYTES: Final = 32_000
"""Two seconds of audio that the other side did not take: later audio is thrown away."""
FRAMES_KEPT: Final = 256
"""Frames other than audio that nobody fetched; a flood of them ends the connection."""


class Stream:
    """Audio out by `audio`, audio in through `playout`, other frames in `frames`.

    `closed` once the other side has gone, was cut off for flooding, or the socket broke.
    """

    def __init__(self, connection: socket.socket, playout: Playout) -> None:
        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.playout = playout
        self.frames: deque[Frame] = deque()
        self.closed = False
        self.heard = False
        """Whether any frame ever arrived."""
        self.unsent_frames = 0
        self._socket = connection
        self._reader = audiosocket.Reader()
        self._unsent = bytearray()
        self._lock = threading.RLock()

    def fileno(self) -> int:
        """For a selector."""
        return self._socket.fileno()

    def audio(self, pcm: bytes) -> None:
        """One frame of audio; thrown away when the other side does not read."""
        with self._lock:
            if len(self._unsent) > UNSENT_BYTES:
                self.unsent_frames += 1
                self._flush()
            else:
                self.send(Kind.AUDIO, pcm)

    def say(self, what: dict[str, Any]) -> None:
        """One CONTROL frame."""
        self.send(Kind.CONTROL, json.dumps(what, separators=(",", ":")).encode())

    def send(self, kind: int, payload: bytes = b"") -> None:
        """One frame, kept if it cannot go now."""
        with self._lock:
            self._unsent += audiosocket.encode(kind, payload)
            self._flush()

    def _flush(self) -> None:
        if self.closed or not self._unsent:
            return
        try:
            sent = self._socket.send(self._unsent)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            self.closed = True
            return
        del self._unsent[:sent]

    def poll(self) -> None:
        """Take in whatever has arrived, at most 64 KiB at a time."""
        with self._lock:
            if self.closed:
                return
            self._flush()
            try:
                data = self._socket.recv(65_536)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data = b""
            if not data:
                self.closed = True
                return
            self.heard = True
            for frame in self._reader.feed(data):
                if frame.kind == Kind.AUDIO:
                    self.playout.put(frame.payload)
                else:
                    self.frames.append(frame)
            if len(self.frames) > FRAMES_KEPT:
                self.closed = True

    def close(self) -> None:
        """Close the socket; what could not be sent is lost."""
        with self._lock:
            self._flush()
            self.closed = True
            self._socket.close()
