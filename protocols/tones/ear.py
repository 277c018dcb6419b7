"""One line's hearing: a ToneBank of one that takes audio in any pieces."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from protocols.tones.bank import ToneBank
from protocols.tones.elements import Heard
from protocols.tones.listening import PANEL, Listen
from protocols.tones.spectrum import HOP

Samples = NDArray[np.int16]


class Ear:
    """One line's hearing. `feed` takes bytes (int16, little endian) or samples, in any pieces."""

    def __init__(self, listen: Listen = PANEL) -> None:
        self._bank = ToneBank(1, listen)
        self._rest = np.zeros(0, np.int16)
        self._odd = b""

    @property
    def now_ms(self) -> int:
        """How much audio was judged, in whole 10 ms."""
        return self._bank.now_ms(0)

    def reset(self) -> None:
        """A new call."""
        self._bank.reset(0)
        self._rest, self._odd = self._rest[:0], b""

    def dialled(self) -> None:
        """We have dialled: see ToneBank.dialled."""
        self._bank.dialled(0)

    def feed(self, audio: bytes | Samples) -> list[Heard]:
        """What is heard by the end of this piece."""
        if isinstance(audio, bytes):
            data = self._odd + audio
            whole = len(data) & ~1
            self._odd = data[whole:]
            audio = np.frombuffer(data[:whole], "<i2").astype(np.int16, copy=False)
        rest = np.concatenate((self._rest, audio)) if len(self._rest) else audio
        count = len(rest) - len(rest) % HOP
        self._rest = rest[count:].copy()
        return [heard for _, heard in self._bank.feed(rest[None, :count])]
