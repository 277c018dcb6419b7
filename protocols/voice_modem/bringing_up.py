"""Bringing a voice modem up, whatever it was left in, and asking it what it can do.

    asking = bring_up(Wanted("/dev/ttyACM0", 115200))
    ask = next(asking);  ask = asking.send(reply) ...  StopIteration.value: Abilities or Unfit

so that a panel's thread and a centre's event loop hold the same dialogue, each in its own manner.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Final

from protocols.voice_modem.answers import Reply
from protocols.voice_modem.samples import Coding, VoiceFormat, choose, formats_of

VOICE_MODE: Final = "AT+FCLASS=8"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the configuration says. `init`: commands for the odd modem, sent last."""

    device: str
    baud: int
    init: tuple[str, ...] = ()
    duplex: bool = True
    caller_id: bool = False


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the modem said it can do, or what is to be tried because it did not say."""

    coding: Coding = Coding.LINEAR_16
    duplex: bool = True
    """+VTR; refused, it listens (+VRX) or plays (+VTX, +VTS)."""
    caller_id: bool = False
    volts: bool = False
    """-TRV."""
    voice_mode: tuple[str, ...] = ()
    """Commands into voice mode: some modems fall out of it when they hang up."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """It cannot be used. `cause`: "modem_gone" (no answer) or "modem_error" (it refuses)."""

    cause: str
    text: str


Asking = Generator[str, Reply, Abilities | Unfit]


def bring_up(wanted: Wanted) -> Asking:
    """Commands one after the other, each to be sent the reply; before the first, LEAVE_ANY."""
    unfit = yield from _wake(wanted)
    if unfit is not None:
        return unfit
    chosen = yield from _format(wanted)
    if isinstance(chosen, Unfit):
        return chosen
    coding, vsm = chosen
    yield "AT+VIT=0"  # no inactivity timer, where there is one
    yield from _first_of("AT+VSD=128,0", "AT+VSD=0,0")  # a panel may wait long in silence
    caller_id = wanted.caller_id and (yield from _first_of("AT+VCID=1", "AT#CID=1"))
    volts = (yield "AT-TRV").volts is not None
    for text in wanted.init:
        if not (yield text).ok:
            return Unfit("modem_error", f"{wanted.device}: {text} refused; it stands in init")
    return Abilities(coding, wanted.duplex, caller_id, volts, (VOICE_MODE, vsm))


def _wake(wanted: Wanted) -> Generator[str, Reply, Unfit | None]:
    """To a modem on-hook in voice mode that speaks in words and leaves calls to us."""
    device = wanted.device
    yield "ATZ"  # it may go unanswered: a profile kept in the modem may forbid answers (Q1)
    if not (yield from _first_of("ATE0V1Q0", "ATE0V1Q0")):
        return Unfit(
            "modem_gone",
            f"{device}: no answer to AT commands at {wanted.baud} baud; is it the modem's port, "
            "its speed, its power?",
        )
    if not (yield "ATS0=0").ok:
        return Unfit("modem_error", f"{device}: ATS0=0 refused; it would answer calls by itself")
    yield from _first_of("AT+IFC=2,2", "AT+FLO=2", "AT&K3")  # RTS/CTS
    yield "AT&D2"  # a program that dies hangs up
    yield "ATM0"  # no loudspeaker: a hold-up is reported in silence
    yield "ATX4"
    if not (yield VOICE_MODE).ok:
        return Unfit("modem_error", f"{device}: {VOICE_MODE} refused; it is no voice modem")
    return None


def _format(wanted: Wanted) -> Generator[str, Reply, tuple[Coding, str] | Unfit]:
    """How samples are written, and the command that makes them so."""
    formats = formats_of(list((yield "AT+VSM=?").lines))
    form = choose(formats, wanted.baud)
    if form is None:
        return Unfit("modem_error", _no_format(wanted, formats))
    for more in (",8000", "", ",8000,0,0"):
        vsm = f"AT+VSM={form.label}{more}"
        if (yield vsm).ok:
            return form.coding, vsm
    return Unfit(
        "modem_error", f"{wanted.device}: AT+VSM={form.label} refused, though it offers it"
    )


def _first_of(*texts: str) -> Generator[str, Reply, bool]:
    """Commands until one is taken."""
    for text in texts:
        if (yield text).ok:
            return True
    return False


def _no_format(wanted: Wanted, formats: list[VoiceFormat]) -> str:
    if not formats:
        return f"{wanted.device}: +VSM=? lists no plain samples at 8 kHz"
    need = min(each.needs_baud for each in formats)
    return (
        f"{wanted.device}: its audio needs {need} bit/s, baud = {wanted.baud} carries less; "
        "write a greater baud (115200, 230400; on USB any will do)"
    )
