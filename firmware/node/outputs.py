"""The node's outputs: OSDP control codes, timers, and off when in doubt. [both runtimes]

Code of OUT: 0 nothing, 1 off and 2 on (an ongoing timer ends), 3 off and 4 on (once the ongoing
timer is over), 5 on and 6 off for a time, then as before. A time of 0: until the next command.

Safe state: every output off, its timers forgotten, while the controller has been silent for
`silent_ms` or the node has a fault. What was on does not come back by itself: the controller,
which knows what it wants, sets it anew.
"""

from firmware.node.ticks import ticks_add, ticks_diff

NOTHING = 0
OFF = 1
ON = 2
OFF_AFTER = 3
ON_AFTER = 4
ON_FOR = 5
OFF_FOR = 6


class Output:
    """One output."""

    def __init__(self) -> None:
        self.permanent = False
        self.temporary = False
        self.overridden = False
        self.timed = False
        self.until = 0

    @property
    def on(self) -> bool:
        """What the pin shall be."""
        return self.temporary if self.overridden else self.permanent

    def clear(self) -> None:
        """Off."""
        self.permanent = self.overridden = self.timed = False


class Outputs:
    """All of them, off at the start."""

    def __init__(self, count: int, silent_ms: int, now: int) -> None:
        self._outputs = [Output() for _ in range(count)]
        self._silent_ms = silent_ms
        self._heard = now
        self._silent = True
        self._fault = False

    @property
    def safe(self) -> bool:
        """Held off."""
        return self._silent or self._fault

    def states(self) -> bytes:
        """One byte each, 1 on."""
        return bytes([1 if output.on else 0 for output in self._outputs])

    def heard(self, now: int) -> None:
        """A command of the controller that was accepted."""
        self._heard = now
        self._silent = False

    def fault(self, present: bool) -> None:
        """The node can no longer be trusted, or again."""
        self._fault = present
        if present:
            self._clear()

    def set(self, number: int, code: int, timer_ds: int, now: int) -> bool:
        """Carry out one record of OUT. False: refused, nothing has changed."""
        if not 0 <= number < len(self._outputs) or not NOTHING <= code <= OFF_FOR or self._fault:
            return False
        output = self._outputs[number]
        if code in (OFF, ON):
            output.permanent = code == ON
            output.overridden = output.timed = False
        elif code in (OFF_AFTER, ON_AFTER):
            output.permanent = code == ON_AFTER
        elif code in (ON_FOR, OFF_FOR):
            output.temporary = code == ON_FOR
            output.overridden = True
            output.timed = timer_ds > 0
            output.until = ticks_add(now, timer_ds * 100)
        return True

    def tick(self, now: int) -> None:
        """Timers, and the controller's silence."""
        if not self._silent and ticks_diff(now, self._heard) > self._silent_ms:
            self._silent = True
            self._clear()
        for output in self._outputs:
            if output.overridden and output.timed and ticks_diff(now, output.until) >= 0:
                output.overridden = output.timed = False

    def _clear(self) -> None:
        for output in self._outputs:
            output.clear()
