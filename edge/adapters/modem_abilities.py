"""Bringing a voice modem up, and asking it what it can do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edge.adapters.line_audio import LineGoneError
from edge.adapters.modem_port import ModemPort
from edge.config_phone import PhoneLineConfig
from protocols.tones.elements import RATE_HZ
from protocols.voice_modem import (
    CANCEL,
    END,
    STOP_DUPLEX,
    STOP_HEARING,
    Coding,
    choose,
    formats_of,
    volts_in,
)


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the modem said it can do."""

    coding: Coding = Coding.LINEAR_16
    duplex: bool = False
    """+VTR."""
    plays: bool = False
    """+VTX."""
    tones: bool = False
    """+VTS."""
    volts: bool = False
    """-TRV."""


def set_up(port: ModemPort, config: PhoneLineConfig, give_up: Callable[[], bool]) -> Abilities:
    """Out of whatever it was left in, into voice mode, the configuration's `init` last.

    Raises LineGoneError: "modem_gone" without an answer, "modem_error" for a refusal.
    """
    port.write(CANCEL + END + STOP_HEARING + STOP_DUPLEX + b"\r")  # left in a voice stream?
    port.answer(0.3, give_up)
    for _ in range(3):
        if port.command("ATZ", give_up=give_up).ok:
            break
    else:
        raise LineGoneError("modem_gone", f"{config.device}: no answer to ATZ")
    for text in ("ATE0V1", "ATX4", "AT+FCLASS=8"):
        _must(port, config, text)
    form = choose(formats_of(list(port.command("AT+VSM=?").lines)))
    if form is None:
        raise LineGoneError("modem_error", f"{config.device}: +VSM lists no plain 8 kHz samples")
    _must(port, config, f"AT+VSM={form.label},{RATE_HZ}")
    abilities = Abilities(
        form.coding,
        duplex=port.command("AT+VTR=?").ok,
        plays=port.command("AT+VTX=?").ok,
        tones=port.command("AT+VTS=?").ok,
        volts=volts_of(port) is not None,
    )
    port.command("AT+VIT=0")  # no inactivity timer, where there is one
    for text in config.init:
        _must(port, config, text)
    return abilities


def volts_of(port: ModemPort) -> float | None:
    """The line's voltage on-hook; None where the modem cannot tell, or noise hid it."""
    for line in port.command("AT-TRV").lines:
        found = volts_in(line)
        if found is not None:
            return found
    return None


def _must(port: ModemPort, config: PhoneLineConfig, text: str) -> None:
    if not port.command(text).ok:
        raise LineGoneError("modem_error", f"{config.device}: {text} refused")
