"""Bringing up a voice modem that answers calls, and asking it what it can do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from collector.adapters.receiver_config import ModemConfig
from collector.adapters.voice_modem_port import ModemGoneError, VoiceModemPort
from protocols.tones.elements import RATE_HZ
from protocols.voice_modem import (
    CANCEL,
    END,
    STOP_DUPLEX,
    STOP_HEARING,
    Coding,
    VoiceFormat,
    choose,
    formats_of,
    volts_in,
)

LEAVE: Final = CANCEL + END + STOP_HEARING + STOP_DUPLEX + b"\r"
"""Out of whatever voice stream it was left in."""
SERIAL_BITS: Final = 10
"""A byte on a serial line, with start and stop bit."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the modem said it can do."""

    coding: Coding = Coding.LINEAR_16
    duplex: bool = False
    """+VTR; else it listens (+VRX) or plays (+VTX)."""
    caller_id: bool = False
    volts: bool = False
    """-TRV."""


async def set_up(port: VoiceModemPort, config: ModemConfig) -> Abilities:
    """Into voice mode, on-hook, the configuration's `init` last.

    Raises ModemGoneError: "modem_gone" without an answer, "modem_error" for a refusal.
    """
    port.write(LEAVE)
    await port.answer(0.3)
    for _ in range(3):
        if (await port.command("ATZ")).ok:
            break
    else:
        raise ModemGoneError("modem_gone", f"{config.device}: no answer to ATZ")
    for text in ("ATE0V1", "ATS0=0", "AT+FCLASS=8"):
        await _must(port, config, text)
    form = _fitting(formats_of(list((await port.command("AT+VSM=?")).lines)), config.baud)
    if form is None:
        raise ModemGoneError("modem_error", f"{config.device}: +VSM lists no plain 8 kHz samples")
    await _must(port, config, f"AT+VSM={form.label},{RATE_HZ}")
    duplex = config.duplex and (await port.command("AT+VTR=?")).ok
    if not duplex and not (await port.command("AT+VTX=?")).ok:
        raise ModemGoneError("modem_error", f"{config.device}: plays neither by +VTR nor +VTX")
    caller_id = (await port.command("AT+VCID=1")).ok or (await port.command("AT#CID=1")).ok
    volts = await volts_of(port) is not None
    for text in ("AT+VIT=0", "AT+VSD=128,0"):  # we judge silence; a panel may wait long in it
        await port.command(text)
    for text in config.init:
        await _must(port, config, text)
    return Abilities(form.coding, duplex, caller_id, volts)


async def volts_of(port: VoiceModemPort) -> float | None:
    """The line's voltage on-hook; None where the modem cannot tell, or noise hid it."""
    for line in (await port.command("AT-TRV")).lines:
        found = volts_in(line)
        if found is not None:
            return found
    return None


def _fitting(formats: list[VoiceFormat], baud: int) -> VoiceFormat | None:
    """The best that a real serial line of this speed carries: 16 bit do not go through 115200,
    and A-law or mu-law (13 bit) is nearly as good.
    """
    if baud < RATE_HZ * 2 * SERIAL_BITS:
        law = choose([each for each in formats if each.coding in {Coding.ALAW, Coding.ULAW}])
        if law is not None:
            return law
    return choose(formats)


async def _must(port: VoiceModemPort, config: ModemConfig, text: str) -> None:
    if not (await port.command(text)).ok:
        raise ModemGoneError("modem_error", f"{config.device}: {text} refused")
