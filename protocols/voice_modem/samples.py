"""Audio as a voice modem writes it: the formats of `+VSM`, samples to bytes and back."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

import numpy as np
import numpy.typing as npt

from protocols.tones import g711
from protocols.tones.elements import RATE_HZ

Pcm = npt.NDArray[np.int16]

SERIAL_BITS: Final = 10
"""A byte on a serial line, with start and stop bit."""
JUDGED_BYTES: Final = 400
"""50 ms of a line tell how its 8 bit linear samples are meant."""


class Coding(Enum):
    """How one sample is written."""

    UNSIGNED_8 = "unsigned_8"
    SIGNED_8 = "signed_8"
    LINEAR_8 = "linear_8"
    """Either of these: makers mean different things by "8-BIT LINEAR"; see Unpack."""
    LINEAR_16 = "linear_16"
    """Signed, little endian."""
    ULAW = "ulaw"
    ALAW = "alaw"

    @property
    def sample_bytes(self) -> int:
        """Bytes a sample."""
        return 2 if self is Coding.LINEAR_16 else 1


_PREFERENCE: Final = (
    Coding.LINEAR_16,
    Coding.ALAW,
    Coding.ULAW,
    Coding.UNSIGNED_8,
    Coding.SIGNED_8,
    Coding.LINEAR_8,
)
"""The law codes carry 13 bit; 8 linear bits leave 24 dB less for a weak kiss-off."""


@dataclass(frozen=True, slots=True)
class VoiceFormat:
    """One line of the modem's answer to `AT+VSM=?` that this program can speak at 8 kHz."""

    label: str
    name: str
    coding: Coding

    @property
    def needs_baud(self) -> int:
        """Speed of a real serial line that carries it."""
        return RATE_HZ * self.coding.sample_bytes * SERIAL_BITS


def formats_of(lines: list[str]) -> list[VoiceFormat]:
    """The formats of a `+VSM=?` answer that are plain samples at 8 kHz; others are passed over.

    A line is `label,"NAME",bits,timing,rates,...`, or `label,"NAME",(rates)`; rates: `8000`,
    `(7200,8000)` or `7200-11025`.
    """
    found = []
    for line in lines:
        text = re.sub(r"^\+?VSM:\s*", "", line.strip())
        match = re.match(r'(\d+)\s*[,;]\s*"?([^",;]*)"?\s*[,;]\s*(.*)', text)
        if match is None:
            continue
        label, name, rest = match[1], match[2].strip(), match[3]
        bits = re.match(r"(\d{1,2})\s*[,;]", rest) or re.search(
            r"\b(\d{1,2})[\s-]?BIT", name.upper()
        )
        coding = _coding(name.upper(), int(bits[1]) if bits else None)
        if coding is not None and _offers_8000(rest):
            found.append(VoiceFormat(label, name, coding))
    return found


def choose(formats: list[VoiceFormat], baud: int) -> VoiceFormat | None:
    """The one with most bits in it that the serial line carries; None when there is none."""
    return min(
        (each for each in formats if each.needs_baud <= baud),
        key=lambda one: _PREFERENCE.index(one.coding),
        default=None,
    )


def _coding(name: str, bits: int | None) -> Coding | None:
    if re.search(r"ADPCM|CELP|G\.?72|GSM", name):
        return None
    if re.search(r"A[\s.-]?LAW|711A", name):
        return Coding.ALAW
    if re.search(r"[UµM]U?[\s.-]?LAW|711U|711M", name):
        return Coding.ULAW
    if bits == 16:
        return Coding.LINEAR_16
    if bits != 8 or not re.search(r"PCM|LINEAR|LIN", name):
        return None
    if "UNSIGNED" in name:
        return Coding.UNSIGNED_8
    return Coding.SIGNED_8 if "SIGNED" in name else Coding.LINEAR_8


def _offers_8000(rest: str) -> bool:
    if re.search(r"\b8000\b", rest):
        return True
    return any(
        int(low) <= RATE_HZ <= int(high) for low, high in re.findall(r"(\d{4,})-(\d{4,})", rest)
    )


def to_bytes(pcm: Pcm, coding: Coding) -> bytes:
    """Samples as the modem wants them, not yet shielded. LINEAR_8 is taken for offset binary."""
    match coding:
        case Coding.LINEAR_16:
            return pcm.astype("<i2").tobytes()
        case Coding.UNSIGNED_8 | Coding.LINEAR_8:
            return (_eight(pcm) + 128).astype(np.uint8).tobytes()
        case Coding.SIGNED_8:
            return _eight(pcm).astype(np.int8).tobytes()
        case Coding.ALAW:
            return g711.encode(pcm, g711.Law.A).tobytes()
        case Coding.ULAW:
            return g711.encode(pcm, g711.Law.MU).tobytes()


def from_bytes(data: bytes, coding: Coding) -> Pcm:
    """Samples of unshielded bytes. An odd last byte of 16-bit samples is left out."""
    match coding:
        case Coding.LINEAR_16:
            return np.frombuffer(data[: len(data) // 2 * 2], "<i2").astype(np.int16)
        case Coding.UNSIGNED_8 | Coding.LINEAR_8:
            return ((np.frombuffer(data, np.uint8).astype(np.int16) - 128) * 256).astype(np.int16)
        case Coding.SIGNED_8:
            return (np.frombuffer(data, np.int8).astype(np.int16) * 256).astype(np.int16)
        case Coding.ALAW:
            return g711.decode(data, g711.Law.A)
        case Coding.ULAW:
            return g711.decode(data, g711.Law.MU)


class Unpack:
    """Unshielded bytes in any pieces -> samples: half a sample waits for its other half.

    LINEAR_8 is judged by the first 50 ms of a line, which is never at full level then: read as the
    wrong one of the two, silence is a full-scale rattle. `coding` is what it was found to be.
    """

    def __init__(self, coding: Coding) -> None:
        self.coding = coding
        self._odd = b""

    def feed(self, data: bytes) -> Pcm:
        """The samples that are whole by now."""
        data = self._odd + data
        if self.coding is Coding.LINEAR_8:
            if len(data) < JUDGED_BYTES:
                self._odd = data
                return np.zeros(0, np.int16)
            self.coding = _meant(data[:JUDGED_BYTES])
        whole = len(data) // self.coding.sample_bytes * self.coding.sample_bytes
        self._odd = data[whole:]
        return from_bytes(data[:whole], self.coding)


def _meant(data: bytes) -> Coding:
    """Of a byte, distances from 0 (signed) and from 128 (offset) add up to 128."""
    from_middle = np.abs(np.frombuffer(data, np.uint8).astype(np.int16) - 128)
    return Coding.UNSIGNED_8 if float(from_middle.mean()) <= 64 else Coding.SIGNED_8


def _eight(pcm: Pcm) -> npt.NDArray[np.int32]:
    rounded: npt.NDArray[np.int32] = (pcm.astype(np.int32) + 128) >> 8
    return np.clip(rounded, -128, 127).astype(np.int32)
