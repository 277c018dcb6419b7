"""The families of voice modems that the simulator can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.voice_modem import Coding


@dataclass(frozen=True, slots=True)
class Kind:
    """What this modem can do, as real families differ."""

    formats: tuple[str, ...]
    duplex: bool
    plays: bool = True
    tones: bool = True
    volts: bool = True
    ends_with_etx: bool = True
    """A finished +VTX is answered by <DLE><ETX> OK; others say only VCON."""


_CONEXANT: Final = (
    '1,"UNSIGNED PCM",8,0,8000,0,0',
    '128,"8-BIT LINEAR",8,0,(7200,8000),0,0',
    '129,"16-BIT LINEAR",16,0,(7200,8000),0,0',
    '131,"ULAW",8,0,8000,0,0',
    '132,"ALAW",8,0,8000,0,0',
    '140,"2 Bit ADPCM",2,0,8000,0,0',
)
LABELS: Final = {
    "1": Coding.UNSIGNED_8,
    "128": Coding.SIGNED_8,
    "129": Coding.LINEAR_16,
    "131": Coding.ULAW,
    "132": Coding.ALAW,
}
KINDS: Final = {
    "duplex": Kind(_CONEXANT, duplex=True),
    "half": Kind(_CONEXANT[:2], duplex=False, tones=False, volts=False, ends_with_etx=False),
    "tones": Kind(_CONEXANT[-3:-1], duplex=False, plays=False),
}
"""Full duplex in 16 bit; half duplex in 8 bit with samples only; half duplex that plays nothing but
+VTS."""
