"""What a node tells of firmware updates: the payload of MFGREP REPORT_UPDATE. [both runtimes]

Layout after vendor(3): report(1)=3 reason(1) refusals(2) rollbacks(2) updates(2) minimum(4). LE.
Told when an update was refused, and at each start after one was refused or given up.
"""

from protocols.osdp.codes import REPORT_UPDATE

# Why the last update was refused or given up.
NONE = 0
BAD_FORM = 1
OTHER_BOARD = 2
OTHER_RUNTIME = 3
TOO_OLD = 4
BAD_SIGNATURE = 5
BAD_HASH = 6
FLASH_FAILED = 7
OUT_OF_ORDER = 8
TOO_LARGE = 9
BUSY = 10
NO_KEY = 11
OTHER_KIND = 12
TRIAL_FAILED = 13
"""It was started and never confirmed itself: back to the last good one."""
SLOT_DAMAGED = 14
"""A slot's files no longer fit their hashes."""
NO_MEMORY = 15

REPORT_BYTES = 12


class UpdateState:
    """The report's values; counts are of the node's life. `minimum`: security number."""

    def __init__(
        self, reason: int, refusals: int, rollbacks: int, updates: int, minimum: int
    ) -> None:
        self.reason = reason
        self.refusals = refusals
        self.rollbacks = rollbacks
        self.updates = updates
        self.minimum = minimum


def encode(state: UpdateState) -> bytes:
    """Payload after the vendor code."""
    data = bytes((REPORT_UPDATE, state.reason & 0xFF))
    for count in (state.refusals, state.rollbacks, state.updates):
        data += min(count, 0xFFFF).to_bytes(2, "little")
    return data + min(state.minimum, 0xFFFFFFFF).to_bytes(4, "little")


def decode(payload: bytes) -> "UpdateState | None":
    """From the payload after the vendor code; None: not this report, or too short."""
    if len(payload) < REPORT_BYTES or payload[0] != REPORT_UPDATE:
        return None

    def number(start: int, size: int) -> int:
        return int.from_bytes(payload[start : start + size], "little")

    return UpdateState(payload[1], number(2, 2), number(4, 2), number(6, 2), number(8, 4))
