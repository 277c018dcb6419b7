"""The families of voice modems that can be played, each with the habits its manual tells of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from protocols.voice_modem.samples import Coding


@dataclass(frozen=True, slots=True)
class Kind:
    """What this modem can do and how it says so."""

    formats: tuple[str, ...]
    """Its answer to +VSM=?."""
    codings: dict[str, Coding]
    """What its labels really mean."""
    duplex: bool = False
    plays: bool = True
    hears: bool = True
    vts: tuple[str, ...] = ("{}", "[]", "[,]")
    """Forms of +VTS: digits in braces, three values in brackets, brackets with values missing."""
    volts: bool = False
    test_forms: bool = True
    """+VTX=? and the like are answered; else ERROR though the command works (CX93001)."""
    vsm_values: int = 4
    """So many values +VSM takes; more are an ERROR (AN93: one)."""
    silence_off: str = "128,0"
    lifts: tuple[str, ...] = ("+VLS=1", "H1", "A")
    lifted: str = "OK"
    caller_id: str = "+VCID"
    events: bool = False
    """In voice mode a ring is <DLE>R, and a caller's number a <DLE>X message."""
    forgetful: bool = False
    """It leaves voice mode when it hangs up."""
    end: str = "etx"
    """A finished stream is answered by `etx`: <DLE><ETX> and OK; `vcon`: VCON alone."""
    any_character: bool = False
    """Any character ends +VRX, and nothing else does."""
    no_dial_tone: str = "NO DIALTONE"
    line_words: bool = False
    """It says NO LINE and LINE IN USE instead of trying."""


KINDS: Final = {
    # CX930xx with full duplex: no test forms, voltage
    "conexant": Kind(
        (
            '0,"SIGNED PCM",8,0,8000,0,0',
            '1,"UNSIGNED PCM",8,0,8000,0,0',
            '129,"IMA ADPCM",4,0,8000,0,0',
            '131,"ULAW",8,0,8000,0,0',
            '132,"ALAW",8,0,8000,0,0',
            '133,"16-BIT LINEAR",16,0,8000,0,0',
        ),
        {
            "0": Coding.SIGNED_8,
            "1": Coding.UNSIGNED_8,
            "131": Coding.ULAW,
            "132": Coding.ALAW,
            "133": Coding.LINEAR_16,
        },
        duplex=True,
        volts=True,
        test_forms=False,
        silence_off="0,0",
    ),
    # USR 5637 as its users know it: no bits in +VSM=?, "linear" is offset binary, events
    "usr": Kind(
        (
            '128,"8-BIT LINEAR",(7200,8000,11025)',
            '132,"IMA ADPCM",(7200,8000,11025)',
        ),
        {"128": Coding.UNSIGNED_8},
        vsm_values=2,
        events=True,
        forgetful=True,
        no_dial_tone="NO DIAL TONE",
    ),
    # Silicon Labs AN93: +VSM by label alone, +VTS wants all three values, words for the line
    "silabs": Kind(
        (
            '0,"SIGNED PCM",8,0,(8000),(0),(0)',
            '4,"G.711U",8,0,(8000),(0),(0)',
            '5,"G.711A",8,0,(8000),(0),(0)',
            '131,"G.726 ADPCM",4,0,(8000),(0),(0)',
        ),
        {"0": Coding.SIGNED_8, "4": Coding.ULAW, "5": Coding.ALAW},
        vts=("[]",),
        vsm_values=1,
        lifts=("+VLS=1", "A"),
        line_words=True,
    ),
    # of the years of #CLS=8: everything ends with VCON, "linear" is two's complement
    "elder": Kind(
        ("128;8-BIT LINEAR;8;0;(7200,8000)", "2;ADPCM;2;0;(9600)"),
        {"128": Coding.SIGNED_8},
        vts=(),
        vsm_values=2,
        silence_off="none",
        lifts=("H1", "A"),
        lifted="VCON",
        caller_id="#CID",
        end="vcon",
        any_character=True,
    ),
    # plays nothing but what it makes itself, from tone pairs
    "tones": Kind(
        ('132,"ALAW",8,0,8000,0,0',),
        {"132": Coding.ALAW},
        plays=False,
        vts=("[]",),
        volts=True,
    ),
}
