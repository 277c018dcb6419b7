"""What a voice modem says and is told: V.253 / IS-101 (`AT+FCLASS=8`), what a phone line needs.

Command mode is lines; voice data is bytes in which <DLE> (0x10) announces an event or an order, and
<DLE><DLE> is one byte 0x10 of audio. Both ends are here: panel and centre, modem and simulator.
Sources: command manuals of CX930xx and USR softmodems (tables "shielded codes"), Silicon Labs AN93.
"""

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

DLE: Final = 0x10
ETX: Final = 0x03
_TWO: Final = 0x1A
"""<DLE><SUB> is two bytes 0x10 of audio (V.253)."""
END: Final = bytes((DLE, ETX))
"""To the modem: no more to play, finish what is buffered. From it: the stream has ended."""
CANCEL: Final = bytes((DLE, 0x18))
"""To the modem: forget what is buffered."""
STOP_HEARING: Final = bytes((DLE, ord("!")))
"""Ends +VRX."""
STOP_DUPLEX: Final = bytes((DLE, ord("^")))
"""Ends +VTR."""


class Coding(Enum):
    """How one sample is written."""

    UNSIGNED_8 = "unsigned_8"
    SIGNED_8 = "signed_8"
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
)
"""The law codes carry 13 bit; 8 linear bits leave 24 dB less for a weak kiss-off."""


@dataclass(frozen=True, slots=True)
class VoiceFormat:
    """One line of the modem's answer to `AT+VSM=?` that this program can speak at 8 kHz."""

    label: str
    name: str
    coding: Coding


class Result(Enum):
    """Final and intermediate result codes in words (`ATV1`)."""

    OK = "OK"
    CONNECT = "CONNECT"
    VCON = "VCON"
    RING = "RING"
    RINGING = "RINGING"
    NO_CARRIER = "NO CARRIER"
    NO_DIALTONE = "NO DIALTONE"
    NO_ANSWER = "NO ANSWER"
    BUSY = "BUSY"
    ERROR = "ERROR"


_SPELLINGS: Final = {
    **{result.value.replace(" ", ""): result for result in Result},
    "NODIAL": Result.NO_DIALTONE,
    "VOICE": Result.VCON,
}


_NUMBER: Final = re.compile(r"(?:\+VCID:\s*)?NMBR\s*=\s*(\+?[0-9A-Z]{0,24})$")
_VOLTS: Final = re.compile(r"(?:-TRV:\s*)?(\d{1,3}(?:\.\d+)?)\s*V?")
"""A line of its own: digits in noise are no voltage."""


def result_of(line: str) -> Result | None:
    """The result code a line is, however it spaces it; None for other lines."""
    return _SPELLINGS.get(re.sub(r"\s+", "", line.upper()))


def caller_in(line: str) -> str | None:
    """The number of a formatted caller id (`+VCID=1`: `NMBR = 02155512345`), empty where it is
    withheld (P) or not available (O); None for other lines.
    """
    match = _NUMBER.match(line.upper())
    if match is None:
        return None
    return match[1] if match[1].strip("+").isdigit() else ""


def volts_in(line: str) -> float | None:
    """The line's voltage in an answer to `AT-TRV`; None for other lines and for noise."""
    match = _VOLTS.fullmatch(line)
    return None if match is None else float(match[1])


def formats_of(lines: list[str]) -> list[VoiceFormat]:
    """The formats of a `+VSM=?` answer that are plain samples at 8 kHz; others are passed over.

    A line is `label,"NAME",bits,timing,rates,...`; rates: `8000`, `(7200,8000)` or `7200-11025`.
    """
    found = []
    for line in lines:
        text = re.sub(r"^\+?VSM:\s*", "", line.strip())
        match = re.match(r'(\d+)\s*[,;]\s*"?([^",;]*)"?\s*[,;]\s*(\d+)\s*[,;](.*)', text)
        if match is None:
            continue
        coding = _coding(match[2].upper(), int(match[3]))
        if coding is not None and _offers_8000(match[4]):
            found.append(VoiceFormat(match[1], match[2].strip(), coding))
    return found


def choose(formats: list[VoiceFormat]) -> VoiceFormat | None:
    """The one with most bits in it; None when there is none."""
    return min(formats, key=lambda one: _PREFERENCE.index(one.coding), default=None)


def _coding(name: str, bits: int) -> Coding | None:
    if "ADPCM" in name or "CELP" in name:
        return None
    if re.search(r"A[\s.-]?LAW|711A", name):
        return Coding.ALAW
    if re.search(r"[UµM]U?[\s.-]?LAW|711U|711M", name):
        return Coding.ULAW
    if bits == 16:
        return Coding.LINEAR_16
    if bits != 8 or not re.search(r"PCM|LINEAR|LIN", name):
        return None
    # Conexant's "8-BIT LINEAR" is two's complement, its "UNSIGNED PCM" is offset binary
    return Coding.UNSIGNED_8 if "UNSIGNED" in name else Coding.SIGNED_8


def _offers_8000(rest: str) -> bool:
    if re.search(r"\b8000\b", rest):
        return True
    return any(
        int(low) <= RATE_HZ <= int(high) for low, high in re.findall(r"(\d{4,})-(\d{4,})", rest)
    )


def to_bytes(pcm: Pcm, coding: Coding) -> bytes:
    """Samples as the modem wants them, not yet shielded."""
    match coding:
        case Coding.LINEAR_16:
            return pcm.astype("<i2").tobytes()
        case Coding.UNSIGNED_8:
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
        case Coding.UNSIGNED_8:
            return ((np.frombuffer(data, np.uint8).astype(np.int16) - 128) * 256).astype(np.int16)
        case Coding.SIGNED_8:
            return (np.frombuffer(data, np.int8).astype(np.int16) * 256).astype(np.int16)
        case Coding.ALAW:
            return g711.decode(data, g711.Law.A)
        case Coding.ULAW:
            return g711.decode(data, g711.Law.MU)


class Unpack:
    """Unshielded bytes in any pieces -> samples: half a sample waits for its other half."""

    def __init__(self, coding: Coding) -> None:
        self._coding = coding
        self._odd = b""

    def feed(self, data: bytes) -> Pcm:
        """The samples that are whole by now."""
        data = self._odd + data
        whole = len(data) // self._coding.sample_bytes * self._coding.sample_bytes
        self._odd = data[whole:]
        return from_bytes(data[:whole], self._coding)


def _eight(pcm: Pcm) -> npt.NDArray[np.int32]:
    rounded: npt.NDArray[np.int32] = (pcm.astype(np.int32) + 128) >> 8
    return np.clip(rounded, -128, 127).astype(np.int32)


def shield(data: bytes) -> bytes:
    """Audio bytes as they may stand in the stream."""
    return data.replace(b"\x10", b"\x10\x10")


class Unshield:
    """Bytes of a voice stream in any pieces -> audio bytes and shielded codes."""

    def __init__(self) -> None:
        self._escaped = False

    def feed(self, data: bytes) -> tuple[bytes, bytes, bytes | None]:
        """(audio, codes, rest): codes without their <DLE>, in order; `rest` is what stood behind
        <DLE><ETX>, the end of the stream, and None while the stream lasts.
        """
        audio = bytearray()
        codes = bytearray()
        at = 0
        while at < len(data):
            if self._escaped:
                self._escaped = False
                code = data[at]
                at += 1
                if code == DLE:
                    audio.append(DLE)
                elif code == _TWO:
                    audio += b"\x10\x10"
                else:
                    codes.append(code)
                    if code == ETX:
                        return bytes(audio), bytes(codes), data[at:]
                continue
            end = data.find(DLE, at)
            if end < 0:
                audio += data[at:]
                break
            audio += data[at:end]
            self._escaped = True
            at = end + 1
        return bytes(audio), bytes(codes), None
