"""What nodes tell, from libosdp's event dicts to BusEvents. Nothing here raises for what came."""

from __future__ import annotations

from typing import Any, Final

import osdp_sys

from edge.bus.bus_types import (
    BusEvent,
    CardRead,
    ChangesLost,
    InputsReported,
    InputState,
    KeysPressed,
    LocalReported,
    NodeId,
    NodeReport,
    NodeTrouble,
    Trouble,
)
from protocols.osdp import codes, node_report, update_report
from protocols.osdp.update_reasons import in_words

AGAIN_S: Final = 20.0
INPUTS_MOST: Final = 32
_KEYS: Final = {0x7F: "*", 0x0D: "#", **{ord(key): key for key in "0123456789*#"}}
_STATES: Final = {state.value: state for state in InputState}
_RAW: Final = frozenset({osdp_sys.CARD_FMT_RAW_UNSPECIFIED, osdp_sys.CARD_FMT_RAW_WIEGAND})


def firmware_text(version: int) -> str:
    """PDID: "1.2.3" of PDID's three bytes."""
    return f"{version >> 16 & 0xFF}.{version >> 8 & 0xFF}.{version & 0xFF}"


def event_of(node: NodeId, told: dict[str, Any]) -> BusEvent | None:
    """None: nothing the panel knows."""
    kind = told["event"]
    if kind == osdp_sys.EVENT_STATUS:
        return _status(node, told["type"], told["report"])
    if kind == osdp_sys.EVENT_KEYPRESS:
        keys = "".join(_KEYS.get(byte, "") for byte in told["data"])
        return KeysPressed(node, keys) if keys else None
    if kind == osdp_sys.EVENT_CARDREAD:
        return _card(node, told)
    if kind == osdp_sys.EVENT_MFGREP and told["vendor_code"] == codes.VENDOR:
        return _vendor(node, told["data"])
    return None


def _status(node: NodeId, kind: int, report: bytes) -> BusEvent | None:
    if kind == osdp_sys.STATUS_REPORT_INPUT:
        states = (_STATES.get(byte, InputState.UNKNOWN) for byte in report[:INPUTS_MOST])
        return InputsReported(node, tuple(states))
    if kind == osdp_sys.STATUS_REPORT_LOCAL and len(report) >= 2:
        return LocalReported(node, tamper=report[0] != 0, power=report[1] != 0)
    return None


def _card(node: NodeId, told: dict[str, Any]) -> BusEvent | None:
    data: bytes = told["data"]
    if told["format"] in _RAW:
        bits = told["length"]
    else:
        # The binding takes the count of bits for one of bytes: what follows is not the card's.
        bits = len(data)
        data = data[: (bits + 7) // 8]
    return CardRead(node, bits, data) if bits else None


def _vendor(node: NodeId, data: bytes) -> BusEvent | None:
    if data[:1] == bytes([codes.REPORT_OVERFLOW]) and len(data) >= 3:
        return ChangesLost(node, data[1] | data[2] << 8)
    update = update_report.decode(data)
    if update is not None:
        return NodeTrouble(node, Trouble.REFUSED, detail=f"update: {in_words(update.reason)}")
    if data[:1] != bytes([codes.REPORT_NODE]):
        return None
    told = node_report.decode(data)
    if told is None:
        return None
    return NodeReport(
        node,
        told.cause,
        told.resets,
        told.lost_changes,
        told.supply_mv,
        told.uptime_s,
        firmware_text(told.firmware[0] << 16 | told.firmware[1] << 8 | told.firmware[2]),
        told.trial,
        told.loop_worst_ms,
    )


class Repeats:
    """Keys and cards a node tells again because its session ended before the next command.

    A Tocsin node repeats the head of its queue in the new session. States may come twice.
    """

    def __init__(self) -> None:
        self._last: tuple[BusEvent, ...] = ()
        self._told_at = 0.0
        self._fresh = False

    def session_began(self) -> None:
        """What comes first now may be the last of the session before."""
        self._fresh = True

    def sift(
        self, told: tuple[BusEvent, ...], now: float, *, confirms: bool
    ) -> tuple[BusEvent, ...]:
        """What is new. `confirms`: a later command of the same session was answered."""
        if not told:
            if confirms:
                self._last = ()
            return ()
        again = self._fresh and now - self._told_at < AGAIN_S and told == self._last
        self._fresh = False
        self._last = told
        self._told_at = now
        if again and all(isinstance(e, KeysPressed | CardRead) for e in told):
            return ()
        return told
