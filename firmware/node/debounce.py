"""One input's debounce and minimum pulse (users.md I1, I2), by samples. [both runtimes]

* Level (I1): what stands for the debounce time is settled, and rest is then told.
* Activation (I2): from leaving rest to returning, where a return shorter than the debounce time is
  bounce and belongs to it. Bounce that outweighs the activity before it begins a new one, so that
  spikes far apart never add up. An activation of at least the minimum pulse is told once, when it
  has lasted that long or with the sample that ends it; a shorter one never.
* After the start, and after an input could not be read, whatever stands for the debounce time is
  told, for it may have begun earlier.
* INPUT_TAMPER (between the windows) leaves rest like any activity. Inside an activation it changes
  nothing; if it lasts the minimum pulse it is told as such.

A converter is asked now and then, so an activation may have begun at any time since the last sample
at rest: it is dated there (at most BACKDATE_MS back). A pulse of the minimum is therefore always
told, however late a sample comes; what is shorter than it by more than two samples never is.

Ticks wrap. Every moment kept here is used up within the debounce time or the minimum pulse.
"""

from firmware.node.ticks import ticks_add, ticks_diff
from protocols.osdp.codes import INPUT_NORMAL, INPUT_TAMPER, INPUT_UNKNOWN

NOTHING = -1
"""No state yet."""
BACKDATE_MS = 100


class Debounce:
    """Samples in, told states out. `state` is the last one told, NOTHING before the first."""

    def __init__(self, debounce_ms: int, min_pulse_ms: int) -> None:
        self.debounce_ms = debounce_ms
        self.min_pulse_ms = min_pulse_ms
        self.state = NOTHING
        self.pulses_seen = 0
        self.pulses_short = 0
        self._raw = NOTHING
        self._settled = False
        self._since = 0
        self._sampled = 0
        self._active = False
        self._started = 0
        self._active_ms = 0
        self._gap_ms = 0
        self._kind = INPUT_TAMPER

    def sample(self, raw: int, now: int) -> bool:
        """The input reads `raw` at ticks `now`. True: `state` has changed.

        An input that cannot be read is told after the debounce time, whatever was before.
        """
        told = False
        if raw != self._raw:
            # What this sample ends may have lasted until now.
            told = self._confirm(now)
            self._apply(raw, now)
        # One state a sample: a second one would hide the first.
        told = told or self._settle(now) or self._confirm(now)
        self._sampled = now
        return told

    def _at_rest(self, raw: int) -> bool:
        return raw == INPUT_NORMAL or raw == self.state

    def _apply(self, raw: int, now: int) -> None:
        if self._active:
            if self._at_rest(self._raw):
                self._gap_ms += ticks_diff(now, self._since)
            else:
                self._active_ms += ticks_diff(now, self._since)
        told = self.state not in (NOTHING, INPUT_UNKNOWN)
        if told and raw != INPUT_UNKNOWN and not self._at_rest(raw):
            if self._active and self._gap_ms > self._active_ms:
                self._drop()
            if not self._active:
                self._begin(self._last_rest(now))
            if raw != INPUT_TAMPER:
                self._kind = raw
        self._raw = raw
        self._since = now
        self._settled = False

    def _last_rest(self, now: int) -> int:
        before_ms = ticks_diff(now, self._sampled)
        return self._sampled if 0 <= before_ms <= BACKDATE_MS else ticks_add(now, -BACKDATE_MS)

    def _begin(self, now: int) -> None:
        self._active = True
        self._started = now
        self._active_ms = self._gap_ms = 0
        self._kind = INPUT_TAMPER

    def _drop(self) -> None:
        if self._active:
            self._active = False
            self.pulses_short += 1

    def _settle(self, now: int) -> bool:
        if self._settled or ticks_diff(now, self._since) < self.debounce_ms:
            return False
        self._settled = True
        unread = self.state in (NOTHING, INPUT_UNKNOWN) or self._raw == INPUT_UNKNOWN
        if not unread and not self._at_rest(self._raw):
            return False
        self._drop()
        if self._raw == self.state:
            return False
        self.state = self._raw
        return True

    def _confirm(self, now: int) -> bool:
        if not self._active or self._raw == INPUT_UNKNOWN or self._at_rest(self._raw):
            return False
        if ticks_diff(now, self._started) < self.min_pulse_ms:
            return False
        self.pulses_seen += 1
        self.state = self._kind
        self._active = False
        if self._raw != self.state:
            # Only a value nobody fitted differs from its kind.
            self._begin(now)
        return True
