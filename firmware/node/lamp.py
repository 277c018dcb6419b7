"""The status lamp: the node's own signs, unless the controller sets it (OSDP LED). [both runtimes]

LED record: reader(1) led(1), temporary: code(1) on(1) off(1) on-colour(1) off-colour(1) timer(2),
permanent: code(1) on(1) off(1) on-colour(1) off-colour(1); times in tenths of a second, colour 0
is dark. The lamp has one colour.
"""

from firmware.node.ticks import ticks_add, ticks_diff

EMPTY = 0
"""Not commissioned, or its settings are damaged."""
SEARCHING = 1
"""No controller."""
CLEAR = 2
"""A controller, but no secure channel."""
SECURE = 3
FAULT = 4

# On and off in turn, milliseconds.
_SIGNS = (
    (100, 200, 100, 1600),
    (500, 500),
    (100, 100),
    (1950, 50),
    (100, 200, 100, 200, 100, 1300),
)

RECORD_BYTES = 14
_TEMPORARY_CANCEL = 1
_TEMPORARY_SET = 2
_PERMANENT_SET = 1


class Lamp:
    """Ask `lit` now and then."""

    def __init__(self, now: int) -> None:
        self.sign = EMPTY
        self._origin = now
        self._temporary: tuple[int, ...] = ()
        self._until = 0
        self._permanent: tuple[int, ...] = ()

    def command(self, record: bytes, now: int) -> bool:
        """One LED record. False: no such lamp, or no such code."""
        if len(record) != RECORD_BYTES or record[0] or record[1] or record[2] > 2 or record[9] > 1:
            return False
        if record[2] == _TEMPORARY_CANCEL:
            self._temporary = ()
        elif record[2] == _TEMPORARY_SET:
            self._temporary = tuple(record[3:7])
            self._until = ticks_add(now, 100 * (record[7] | record[8] << 8))
        if record[9] == _PERMANENT_SET:
            self._permanent = tuple(record[10:14])
        self._origin = now
        return True

    def forget(self) -> None:
        """The controller is gone: back to the node's own signs."""
        self._temporary = ()
        self._permanent = ()

    def lit(self, now: int) -> bool:
        """On at this moment."""
        if self._temporary and ticks_diff(now, self._until) >= 0:
            self._temporary = ()
        commanded = self._temporary or self._permanent
        passed = ticks_diff(now, self._origin)
        if passed < 0 or passed > 1_000_000:
            self._origin = now
            passed = 0
        if commanded:
            on_ms, off_ms = commanded[0] * 100, commanded[1] * 100
            first = on_ms + off_ms == 0 or passed % (on_ms + off_ms) < on_ms
            return bool(commanded[2] if first else commanded[3])
        sign = _SIGNS[self.sign]
        passed %= sum(sign)
        lit = True
        for part_ms in sign:
            if passed < part_ms:
                return lit
            passed -= part_ms
            lit = not lit
        return False
