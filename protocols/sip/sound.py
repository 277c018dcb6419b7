"""The audio of one call inside PJSUA: a port of its conference bridge, bound to a Stream.

The library's media clock (its own thread) asks for and brings a frame every 20 ms.
"""

from __future__ import annotations

import ctypes
import logging
from collections import deque
from typing import Any, Final

import numpy as np
import pjsua2 as pj

from protocols.sip.playout import FRAME_BYTES, SILENCE
from protocols.sip.stream import Stream
from protocols.tones.elements import DTMF_SYMBOLS, FRAME_MS, Digits
from protocols.tones.synthesis import Player

_LOG: Final = logging.getLogger(__name__)
EVENT_ON_MS: Final = 50
EVENT_OFF_MS: Final = 40
EVENTS_KEPT: Final = 64
Pointers = ctypes.c_void_p * 3


def octets(vector: Any) -> bytes:
    """A ByteVector's bytes. By address: begin and end are the first two words of a C++ vector."""
    begin, end, _ = Pointers.from_address(int(vector.this))
    return ctypes.string_at(begin, (end or 0) - (begin or 0)) if begin else b""


def _slow_octets(vector: Any) -> bytes:
    return bytes(vector)


_sample = bytes(range(256)) + bytes(64)
_vector = pj.ByteVector(_sample)
_read = octets if octets(_vector) == _sample else _slow_octets
"""Through SWIG's iterator a frame costs 107 us, by address 1 us; should a build of the library
lay its vectors out differently, the slow way is taken."""


class Sound(pj.AudioMediaPort):  # type: ignore[misc]
    """Both directions of one call. `rendered` counts telephone-events made into tones.

    Events overtake audio in the jitter buffer of `buffer_ms`: their tones wait as long, less a
    frame, so that what a gateway lets pass of a tone before it has noticed it is one with its tone.
    """

    def __init__(self, name: str, buffer_ms: int = 0) -> None:
        super().__init__()
        form = pj.MediaFormatAudio()
        form.type = pj.PJMEDIA_TYPE_AUDIO
        form.clockRate, form.channelCount, form.bitsPerSample = 8000, 1, 16
        form.frameTimeUsec = 20_000
        self.createPort(name, form)
        self.rendered = 0
        self.frames_in = 0
        self._stream: Stream | None = None
        self._events: deque[tuple[int, str]] = deque(maxlen=EVENTS_KEPT)
        """(number of the frame it begins in, key)"""
        self._delay = max(0, buffer_ms // FRAME_MS - 1)
        self._player = Player()
        self._silence = pj.ByteVector(SILENCE)

    def bind(self, stream: Stream | None) -> None:
        """A new call, or (None) the end of one. Ports are reused: to take one out of the bridge
        while its clock runs is asking for trouble.
        """
        if stream is not None:
            self.reset()
        self._stream = stream

    def reset(self) -> None:
        """Forget the last call."""
        self.rendered = self.frames_in = 0
        self._events.clear()
        self._player.clear()

    def event(self, key: str) -> None:
        """A telephone-event began (RFC 4733). Its tone replaces what the line says meanwhile."""
        if len(key) == 1 and key in DTMF_SYMBOLS:
            self._events.append((self.frames_in + self._delay, key))

    def onFrameRequested(self, frame: Any) -> None:  # noqa: N802
        """The call wants 20 ms."""
        stream = self._stream
        frame.type = pj.PJMEDIA_FRAME_TYPE_AUDIO
        frame.size = FRAME_BYTES
        if stream is None:
            frame.buf = self._silence
            return
        try:
            stream.poll()
            pcm = stream.playout.take()
            frame.buf = self._silence if pcm is SILENCE else pj.ByteVector(pcm)
        except Exception:  # noqa: BLE001  one that leaves here ends the process
            _LOG.exception("audio to the call")
            frame.buf = self._silence

    def onFrameReceived(self, frame: Any) -> None:  # noqa: N802
        """The call brings 20 ms."""
        stream = self._stream
        if stream is None:
            return
        try:
            self.frames_in += 1
            stream.audio(self._with_events(_read(frame.buf) or SILENCE))
        except Exception:  # noqa: BLE001
            _LOG.exception("audio from the call")

    def _with_events(self, pcm: bytes) -> bytes:
        while self._events and self._events[0][0] <= self.frames_in:
            _, key = self._events.popleft()
            self.rendered += 1
            self._player.play([Digits(key, EVENT_ON_MS, EVENT_OFF_MS)])
        if self._player.idle:
            return pcm
        return self._player.read(len(pcm) // 2).astype(np.dtype("<i2")).tobytes()
