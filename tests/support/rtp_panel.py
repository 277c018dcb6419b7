"""A panel's call at the level of RTP packets: what a gateway may make of Contact ID on its way."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

import numpy as np

from protocols.audiosocket import Kind
from protocols.contact_id.message import keys_of
from protocols.tones.ear import Ear
from protocols.tones.elements import FRAME_MS, FRAME_SAMPLES, Digits
from protocols.tones.g711 import Law, decode, encode
from protocols.tones.listening import PANEL
from protocols.tones.synthesis import Player
from tests.support.audio_panel import AudioPanel
from tests.support.sip_peer import Rtp, SipPeer

EVENT_KEYS = "0123456789*#ABCD"
"""RFC 4733 events 0 to 15, in order."""
EVENT_FRAMES, GAP_FRAMES = 3, 2
Spoil = Callable[[int, Rtp], None]


class RtpPanel(AudioPanel):
    """Over the dialog of a SipPeer. `events`: digits as RFC 4733 instead of tones; `leak`: so many
    frames of each digit's tone pass before the gateway has noticed.
    """

    def __init__(
        self, peer: SipPeer, *, events: bool = False, leak: int = 0, law: Law = Law.MU
    ) -> None:
        super().__init__("", 0, most_ms=40_000)
        self._peer = peer
        self._events = events
        self._law = law
        self._keys: deque[str] = deque()
        self._leak = leak
        self._turn = 0

    def report(self, digits: Sequence[str], spoil: Spoil = lambda frame, rtp: None) -> RtpPanel:
        """Send these blocks of hex digits; `spoil` is asked before each packet of 20 ms."""
        self._blocks = [(Digits(keys_of(each)),) for each in digits]
        self._place = self._try = 0
        self._player, self._ear = Player(), Ear(PANEL)
        self._waits_until = self._ending = None
        self._invited = False
        rtp, there = self._peer.rtp, self._peer.there
        due, frame = time.monotonic(), 0
        while not self.over_by:
            spoil(frame, rtp)
            self._packet(rtp, there)
            frame += 1
            due += FRAME_MS / 1000
            time.sleep(max(0.0, due - time.monotonic()))
            for payload in rtp.drain():
                if len(payload) == FRAME_SAMPLES:
                    heard = decode(payload, self._law)
                    self._frame(Kind.AUDIO, heard.astype("<i2").tobytes())
        return self

    def _packet(self, rtp: Rtp, there: int) -> None:
        audio = np.frombuffer(self._next()[3:], "<i2")
        turn = self._turn
        self._turn = (turn + 1) % (EVENT_FRAMES + GAP_FRAMES) if self._keys else 0
        if not self._keys or turn >= EVENT_FRAMES:
            if self._keys and turn == EVENT_FRAMES:
                self._keys.popleft()
            rtp.send(there, encode(audio, self._law).tobytes(), 0 if self._law is Law.MU else 8)
            return
        if turn < self._leak:
            tone = Player()
            tone.play([Digits(self._keys[0], 200, 0)])
            leaked = tone.read(FRAME_SAMPLES * (turn + 1))[-FRAME_SAMPLES:]
            rtp.send(there, encode(leaked, self._law).tobytes())
            return
        key = EVENT_KEYS.index(self._keys[0])
        last = turn == EVENT_FRAMES - 1
        for _ in range(3 if last else 1):
            rtp.event(there, key, end=last, lasted=160 * (turn + 1))
        if last:
            rtp.stamp += 160 * (EVENT_FRAMES - self._leak)

    def _send(self, after_ms: int) -> None:
        super()._send(after_ms)
        if self._events and self._place < len(self._blocks):
            (block,) = self._blocks[self._place]
            assert isinstance(block, Digits)
            self._keys.extend(block.keys)
            self._player.clear()
