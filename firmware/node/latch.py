"""What survives a reset: unacknowledged alarms (K3), the count and cause of resets. [both runtimes]

Three words of the board's scratch memory (RP2040: watchdog scratch 0 to 2, twelve bytes), each
24 bits and 8 of check, because a reset may come between two words:

    word 0  the last state other than normal of each input not yet acknowledged, 3 bits each
    word 1  bit 0 tamper, bit 1 power, not yet acknowledged
    word 2  count of resets(16), cause the node gave itself before a reset it wanted(8)
"""

from protocols.osdp.codes import (
    INPUT_ALARM,
    INPUT_MASKED_ALARM,
    INPUT_NORMAL,
    INPUT_UNKNOWN,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from firmware.boards.board import Board

WORDS = 3
NO_CAUSE = 0xFF


def seal(value: int) -> int:
    """A word with its check."""
    check = (value ^ (value >> 8) * 3 ^ (value >> 16) * 7 ^ 0xA5) & 0xFF
    return (value & 0xFFFFFF) << 8 | check


def unseal(word: int) -> int:
    """The 24 bits, -1 when the check does not fit (a lost supply, or never written)."""
    value = word >> 8 & 0xFFFFFF
    return value if seal(value) == word else -1


class Latch:
    """Reads what the reset left; then kept up to date by the node."""

    def __init__(self, board: "Board") -> None:
        self._board = board
        states = unseal(board.scratch_read(0))
        local = unseal(board.scratch_read(1))
        resets = unseal(board.scratch_read(2))
        self.kept = resets >= 0
        """The supply was not lost."""
        self.wanted = resets & 0xFF if resets >= 0 else NO_CAUSE
        """The cause the node gave itself before the last reset."""
        self.resets = min(0xFFFF, (resets >> 8) + 1) if resets >= 0 else 0
        self._before = b""
        self._local_before = 0
        self._states = max(0, states)
        self._local = max(0, local)
        self._put(0, self._states)
        self._put(1, self._local)
        self.want(NO_CAUSE)

    def _put(self, word: int, value: int) -> None:
        self._board.scratch_write(word, seal(value))

    def want(self, cause: int) -> None:
        """The reset that follows is on purpose, for this cause."""
        self._put(2, self.resets << 8 | cause)

    def inputs(self, states: bytes) -> None:
        """These states are about to be queued. What stood before is not latched again."""
        latched = self._states
        for number in range(len(states)):
            state = states[number]
            if self._before and self._before[number] == state:
                continue
            before = latched >> 3 * number & 7
            if state in (INPUT_NORMAL, INPUT_UNKNOWN) or (
                before in (INPUT_ALARM, INPUT_MASKED_ALARM)
                and state not in (INPUT_ALARM, INPUT_MASKED_ALARM)
            ):
                continue
            latched = latched & ~(7 << 3 * number) | state << 3 * number
        self._before = states
        if latched != self._states:
            self._states = latched
            self._put(0, latched)

    def local(self, tamper: bool, power: bool) -> None:
        """These are about to be queued."""
        present = (1 if tamper else 0) | (2 if power else 0)
        latched = self._local | present & ~self._local_before
        self._local_before = present
        if latched != self._local:
            self._local = latched
            self._put(1, latched)

    def acknowledged(self) -> None:
        """The controller has everything."""
        if self._states:
            self._states = 0
            self._put(0, 0)
        if self._local:
            self._local = 0
            self._put(1, 0)

    def over(self, states: bytes) -> bytes:
        """These states with the latched ones over them."""
        return bytes([(self._states >> 3 * n & 7) or states[n] for n in range(len(states))])

    @property
    def tamper(self) -> bool:
        """The enclosure was open, and nobody knows."""
        return bool(self._local & 1)

    @property
    def power(self) -> bool:
        """The supply was low, and nobody knows."""
        return bool(self._local & 2)
