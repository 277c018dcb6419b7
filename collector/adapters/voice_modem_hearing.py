"""The ear of a call on a voice modem: samples in any pieces -> frames -> tone bank and call."""

from __future__ import annotations

from typing import Final

import numpy as np

from collector.adapters.reception_call import SILENCE, LineCall
from protocols.tones.bank import ToneBank
from protocols.tones.elements import FRAME_MS, FRAME_SAMPLES, RATE_HZ, DigitHeard, PulseDigitHeard
from protocols.voice_modem.samples import Coding, Pcm, Unpack

FRAME_S: Final = FRAME_MS / 1000
EARLY_S: Final = 2.0
"""So much audio may be in hand, when a modem gives what it had kept."""
LATELY_MS: Final = 2000
"""The modem's word for busy, dial tone or silence counts when no digit came for so long: its
detectors also start at tones of panels.
"""


class Hearing:
    """Frames go to the bank and the call, whose clocks go together."""

    def __init__(self, call: LineCall, coding: Coding, now: float) -> None:
        self.call = call
        self._unpack = Unpack(coding)
        self.came_at = now
        """When audio came last."""
        self.suspected = ""
        """Why the modem thinks that the caller is gone; forgotten with the next digit."""
        self._began = self._until = now
        self._given_s = 0.0
        self._bank = ToneBank(1)
        self._rest = np.zeros(0, np.int16)
        self._quiet_ms = LATELY_MS

    def stream_begins(self) -> None:
        """What was half a sample or frame belongs to a stream before."""
        self._unpack = Unpack(self.coding)
        self._rest = self._rest[:0]

    @property
    def coding(self) -> Coding:
        """How its samples are written, as far as is known."""
        return self._unpack.coding

    @property
    def over(self) -> bool:
        """The line is to be let go."""
        return self.call.left or self.call.over

    @property
    def lately(self) -> bool:
        """A digit was heard a moment ago."""
        return self._quiet_ms < LATELY_MS

    def audio(self, data: bytes, now: float) -> list[Pcm]:
        """Whole frames of unshielded bytes."""
        self.came_at = self._until = now
        fresh = self._unpack.feed(data)
        self._given_s += len(fresh) / RATE_HZ
        pcm = np.concatenate((self._rest, fresh))
        whole = len(pcm) // FRAME_SAMPLES * FRAME_SAMPLES
        self._rest = pcm[whole:]
        return list(pcm[:whole].reshape(-1, FRAME_SAMPLES))

    @property
    def too_fast(self) -> bool:
        """More audio has come than time has passed: no telephone line does that."""
        return self._given_s > 1.1 * (self.came_at - self._began) + EARLY_S

    def quiet(self, now: float) -> None:
        """Nothing can be heard, or nothing came, until now."""
        while now - self._until >= FRAME_S:
            self._until += FRAME_S
            self.frame(SILENCE)

    def frame(self, pcm: Pcm) -> None:
        """20 ms have passed."""
        if self.call.over:
            return
        heard = [each for _, each in self._bank.feed(pcm.reshape(1, FRAME_SAMPLES))]
        self._quiet_ms += FRAME_MS
        if any(isinstance(each, DigitHeard | PulseDigitHeard) for each in heard):
            self._quiet_ms = 0
            self.suspected = ""
        self.call.frame(pcm.astype("<i2").tobytes(), heard)
