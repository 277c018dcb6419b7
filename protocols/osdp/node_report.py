"""What a node tells of itself: the payload of MFGREP REPORT_NODE. [both runtimes]

Layout after vendor(3): report(1)=1 cause(1) resets(2) lost(2) supply_mv(2) uptime_s(4) firmware(3)
flags(1, bit 0: firmware on trial) loop_worst_ms(2). All LE. Longer payloads of newer nodes are read
as far as known.
"""

from protocols.osdp.codes import REPORT_NODE

RESET_POWER = 0
RESET_WATCHDOG = 1
RESET_COMMAND = 2
RESET_FAULT = 3
RESET_UPDATE = 4
RESET_BROWNOUT = 5
RESET_UNKNOWN = 255

CAUSES = {
    RESET_POWER: "power",
    RESET_WATCHDOG: "watchdog",
    RESET_COMMAND: "command",
    RESET_FAULT: "fault",
    RESET_UPDATE: "update",
    RESET_BROWNOUT: "brownout",
}

REPORT_BYTES = 18


class NodeState:
    """The report's values. Counts stop at their fields' ends."""

    def __init__(
        self,
        reset_cause: int,
        resets: int,
        lost_changes: int,
        supply_mv: int,
        uptime_s: int,
        firmware: "tuple[int, int, int]",
        trial: bool,
        loop_worst_ms: int,
    ) -> None:
        self.reset_cause = reset_cause
        self.resets = resets
        self.lost_changes = lost_changes
        self.supply_mv = supply_mv
        self.uptime_s = uptime_s
        self.firmware = firmware
        self.trial = trial
        self.loop_worst_ms = loop_worst_ms

    @property
    def cause(self) -> str:
        """Why it started last, in a word."""
        return CAUSES.get(self.reset_cause, "unknown")


def _number(value: int, size: int) -> bytes:
    value = max(0, min(value, (1 << 8 * size) - 1))
    return value.to_bytes(size, "little")


def encode(state: NodeState) -> bytes:
    """Payload after the vendor code."""
    return (
        bytes((REPORT_NODE, state.reset_cause & 0xFF))
        + _number(state.resets, 2)
        + _number(state.lost_changes, 2)
        + _number(state.supply_mv, 2)
        + _number(state.uptime_s, 4)
        + bytes([part & 0xFF for part in state.firmware])
        + bytes((1 if state.trial else 0,))
        + _number(state.loop_worst_ms, 2)
    )


def decode(payload: bytes) -> "NodeState | None":
    """From the payload after the vendor code; None: not this report, or too short."""
    if len(payload) < REPORT_BYTES or payload[0] != REPORT_NODE:
        return None

    def number(start: int, size: int) -> int:
        return int.from_bytes(payload[start : start + size], "little")

    return NodeState(
        payload[1],
        number(2, 2),
        number(4, 2),
        number(6, 2),
        number(8, 4),
        (payload[12], payload[13], payload[14]),
        bool(payload[15] & 1),
        number(16, 2),
    )
