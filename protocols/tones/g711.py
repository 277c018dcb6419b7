"""G.711 A-law and mu-law (ITU-T G.711), by table. int16 samples <-> one byte each."""

from __future__ import annotations

from enum import Enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
Bytes = NDArray[np.uint8]


class Law(Enum):
    """The two companding laws."""

    A = "a-law"
    MU = "mu-law"


def _expand_a(code: int) -> int:
    code ^= 0x55
    mantissa, segment = code & 0x0F, (code >> 4) & 7
    value = (mantissa << 4) + 8
    if segment:
        value = (value + 0x100) << (segment - 1)
    return value if code & 0x80 else -value


def _expand_mu(code: int) -> int:
    code = ~code & 0xFF
    value = ((((code & 0x0F) << 3) + 0x84) << ((code >> 4) & 7)) - 0x84
    return -value if code & 0x80 else value


def _compress_table(expand: Samples) -> Bytes:
    """Nearest code for each int16, at index sample + 32768. Ties go to the smaller magnitude."""
    wide = expand.astype(np.int32)
    order = np.lexsort((np.arange(256), wide))
    levels, first = np.unique(wide[order], return_index=True)
    codes = order[first]
    middles = (levels[1:] + levels[:-1]) / 2.0
    samples = np.arange(-32768, 32768)
    at = np.where(
        samples >= 0,
        np.searchsorted(middles, samples, side="left"),
        np.searchsorted(middles, samples, side="right"),
    )
    return codes[at].astype(np.uint8)


_EXPAND: Final[dict[Law, Samples]] = {
    Law.A: np.array([_expand_a(code) for code in range(256)], np.int16),
    Law.MU: np.array([_expand_mu(code) for code in range(256)], np.int16),
}
_COMPRESS: Final[dict[Law, Bytes]] = {law: _compress_table(_EXPAND[law]) for law in Law}


def encode(samples: Samples, law: Law) -> Bytes:
    """Samples of any shape to codes of that shape."""
    return _COMPRESS[law][samples.astype(np.int32) + 32768]


def decode(codes: Bytes | bytes, law: Law) -> Samples:
    """Codes to samples."""
    if isinstance(codes, bytes):
        codes = np.frombuffer(codes, np.uint8)
    return _EXPAND[law][codes]


def passed(samples: Samples, law: Law) -> Samples:
    """Samples as they come out of a line of that law."""
    return decode(encode(samples, law), law)
