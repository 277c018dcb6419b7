"""What a played modem has in hand to play: the computer's voice bytes, taken apart and kept."""

from __future__ import annotations

from typing import Final

import numpy as np

from protocols.tones.elements import FRAME_SAMPLES
from protocols.voice_modem.samples import Coding, Pcm, Unpack
from protocols.voice_modem.stream import Unshield

PLAY_BUFFER: Final = 32_000
"""Samples of its transmit buffer; more is lost, and counted."""
QUIET: Final = np.zeros(FRAME_SAMPLES, np.int16)


class VoiceBuffer:
    """One voice stream of the computer, from its CONNECT on."""

    def __init__(self, coding: Coding) -> None:
        self.lost_samples = 0
        self.ending = False
        """<DLE><ETX> has come: what is in hand is the rest."""
        self._unshield = Unshield()
        self._unpack = Unpack(coding)
        self._half_code = False
        self._samples = QUIET[:0]
        self._begun = False

    def piece(self, data: bytes) -> int:
        """Bytes up to the next shielded code, or that code: an order may end the stream."""
        code = data.find(b"\x10")
        if self._half_code:
            taken = 1
        elif code == 0:
            taken = min(2, len(data))
        else:
            taken = code if code > 0 else len(data)
        self._half_code = not self._half_code and data[:taken] == b"\x10"
        return taken

    def feed(self, piece: bytes, *, keep: bool) -> bytes:
        """Codes in it; audio is kept where it is to be played."""
        audio, codes, _ = self._unshield.feed(piece)
        pcm = self._unpack.feed(audio) if keep else QUIET[:0]
        if len(self._samples) + len(pcm) > PLAY_BUFFER:
            self.lost_samples += len(pcm)
        elif len(pcm):
            self._samples = np.concatenate((self._samples, pcm))
            self._begun = True
        return codes

    def forget(self) -> None:
        """<DLE><CAN>."""
        self._samples = QUIET[:0]

    def frame(self) -> tuple[Pcm, bool, bool]:
        """(20 ms to play, whether all has been played, whether it ran dry before its end)."""
        said, self._samples = self._samples[:FRAME_SAMPLES], self._samples[FRAME_SAMPLES:]
        short = len(said) < FRAME_SAMPLES
        dry = short and not self.ending and self._begun
        if dry:
            self._begun = False
        return np.concatenate((said, QUIET[len(said) :])), short and self.ending, dry
