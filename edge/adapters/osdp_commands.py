"""NodeCommands as libosdp's command dicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import osdp_sys

from edge.adapters.osdp_session import FIRMWARE_FILE
from edge.bus.bus_types import (
    AskReport,
    Beep,
    BusEvent,
    ClosePairing,
    CommandDone,
    LossCause,
    NodeCommand,
    NodeId,
    Pair,
    Rekey,
    SendFirmware,
    SetCommunication,
    SetLed,
    SetNodeOutput,
)
from protocols.osdp import codes

OUTPUT_OFF: Final = 1
"""Output control codes: permanent, timed operation aborted."""
OUTPUT_ON: Final = 2
LED_SET: Final = 1
LED_SET_TEMPORARY: Final = 2
BUZZER_OFF: Final = 1
BUZZER_ON: Final = 2
BLINK_DS: Final = 5
LASTING = SetNodeOutput | SetLed | AskReport | SendFirmware
"""Sent again in a new session; a beep would come too late."""


@dataclass(slots=True)
class Running:
    """The command under way."""

    command: NodeCommand
    token: int
    tries: int = 0
    generation: int | None = None
    key: bytes = b""
    refused: bool = False

    @property
    def code(self) -> int:
        """Its OSDP command."""
        return _CODES[type(self.command)]


_CODES: Final[dict[type, int]] = {
    SetNodeOutput: codes.OUT,
    SetLed: codes.LED,
    Beep: codes.BUZ,
    Rekey: codes.KEYSET,
    SendFirmware: codes.FILETRANSFER,
    AskReport: codes.MFG,
    SetCommunication: codes.COMSET,
}


def as_dict(running: Running) -> dict[str, Any] | None:
    """None: it cannot be sent."""
    match running.command:
        case SetNodeOutput(number, on):
            return {
                "command": osdp_sys.CMD_OUTPUT,
                "output_no": number - 1,
                "control_code": OUTPUT_ON if on else OUTPUT_OFF,
                "timer_count": 0,
            }
        case SetLed(colour, blink):
            other = colour if blink is None else blink
            blinking = other is not colour
            return {
                "command": osdp_sys.CMD_LED,
                "reader": 0,
                "led_number": 0,
                "temporary": False,
                "control_code": LED_SET,
                "on_color": colour.value,
                "off_color": other.value,
                "on_count": BLINK_DS,
                "off_count": BLINK_DS if blinking else 0,
            }
        case Beep(times, on_ds, off_ds):
            return {
                "command": osdp_sys.CMD_BUZZER,
                "reader": 0,
                "control_code": BUZZER_ON if times else BUZZER_OFF,
                "on_count": on_ds,
                "off_count": off_ds,
                "rep_count": times,
            }
        case Rekey():
            if running.generation is None:
                return None
            return {"command": osdp_sys.CMD_KEYSET, "type": 1, "data": running.key}
        case SendFirmware(image):
            if not image:
                return None
            return {"command": osdp_sys.CMD_FILE_TX, "id": FIRMWARE_FILE, "flags": 0}
        case AskReport():
            return {
                "command": osdp_sys.CMD_MFG,
                "vendor_code": codes.VENDOR,
                "data": bytes([codes.ASK_REPORT]),
            }
        case SetCommunication(address, baud):
            return {"command": osdp_sys.CMD_COMSET, "address": address, "baud_rate": baud}
        case Pair() | ClosePairing():
            return None


def done(node: NodeId, token: int, *, ok: bool, detail: str) -> list[BusEvent]:
    """CommandDone, if anybody waits for it."""
    return [CommandDone(node, token, ok, detail)] if token else []


def refusal(sent: int, said: int) -> LossCause | None:
    """Why there is no session, by the command and its reply; None: not for its security."""
    if sent == codes.CHLNG:
        return LossCause.KEY_REFUSED if said == codes.CCRYPT else LossCause.NOT_SECURE
    if sent == codes.SCRYPT:
        return LossCause.KEY_REFUSED
    if sent == codes.CAP and said == codes.PDCAP:
        return LossCause.NOT_SECURE
    return None


def place_of(command: NodeCommand) -> int:
    """Which lasting state of the node this sets; -1: none."""
    if isinstance(command, SetNodeOutput):
        return command.number
    return 0 if isinstance(command, SetLed) else -1


def name_of(code: int) -> str:
    """Of a command, for people."""
    names = {
        codes.OUT: "output",
        codes.LED: "led",
        codes.BUZ: "buzzer",
        codes.KEYSET: "key",
        codes.FILETRANSFER: "firmware",
        codes.MFG: "report",
        codes.COMSET: "communication",
        codes.ISTAT: "inputs",
        codes.LSTAT: "local",
    }
    return names.get(code, f"{code:02x}")
