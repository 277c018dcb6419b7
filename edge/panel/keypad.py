"""A keypad or reader on a bus: keys and cards in, code entries, LED and beeps out. Pure.

`*` clears, `#` enters. A code is always `code_digits` long, so that one digit more is an action:

    code #      disarm when anything of the keypad's areas is armed, leaving or sounding; else arm
    code 1 #    arm full          code 0 #    silence
    code 2 #    arm stay          code 9 #    disarm
    code 3 #    arm night
    card        as code #         digit card  as code digit #

Digits are forgotten `TYPING_S` after the last key. A wrong length is no code: refused here, with
the same beeps as a wrong one. A duress code is a code like any other: this machine knows of none.

| the keypad's areas | LED |
|---|---|
| alarm, or sounding | red, blinking |
| codes locked out | amber, blinking |
| exit delay | red and green in turn |
| armed, entry delay | red |
| disarmed with a fault | amber |
| disarmed | green |

Nothing here looks at alarm memory or at what a zone raised: a silent hold-up shows nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from edge.bus.bus_types import Beep, Colour, SetLed
from edge.panel.effects import Answer, Refusal
from edge.panel.inputs import Action, Arm, ArmMode, Disarm, Silence
from edge.panel.state import AreaMode
from edge.panel.view import AreaView, PanelView
from protocols.instants import NS_PER_MS, NS_PER_S, Instant, later

TYPING_S: Final = 10.0
CARD_BITS: Final = (26, 512)
"""Shorter cards could be tried out; longer ones do not exist."""

ACCEPTED: Final = Beep(1, on_ds=3, off_ds=1)
WRONG: Final = Beep(3, on_ds=1, off_ds=1)
"""Wrong code, wrong length, unreadable card."""
REFUSED: Final = Beep(2, on_ds=5, off_ds=2)
"""The code was right, but zones are open, an alarm is on, or the user may not."""
LOCKED: Final = Beep(5, on_ds=1, off_ds=1)
STOP: Final = Beep(0)

_BEEPS: Final = 255
_MODES: Final = {"1": ArmMode.FULL, "2": ArmMode.STAY, "3": ArmMode.NIGHT}


@dataclass(frozen=True, slots=True)
class EnterCode:
    """Somebody entered this. `code`: what `adapters.code_hash.hash_code` takes; never shown."""

    code: str = field(repr=False)
    action: Action


KeypadWish = EnterCode | SetLed | Beep


def card_text(bits: int, data: bytes) -> str | None:
    """What stands for a card where a code is hashed: "card:<bits>:<hex>", spare bits 0.

    None: no card this panel takes.
    """
    if not CARD_BITS[0] <= bits <= CARD_BITS[1] or len(data) < (bits + 7) // 8:
        return None
    held = bytearray(data[: (bits + 7) // 8])
    if bits % 8:
        held[-1] &= 0xFF << (8 - bits % 8) & 0xFF
    return f"card:{bits}:{held.hex()}"


class KeypadMachine:
    """One keypad. `areas`: those it arms and shows; empty: all."""

    def __init__(self, areas: Iterable[int], code_digits: int) -> None:
        self._areas = tuple(areas)
        self._digits = code_digits
        self._typed = ""
        self._typing_until: Instant | None = None
        self._led: SetLed | None = None
        self._sounds: tuple[str, Instant | None] = ("", None)
        """Delay that beeps, and its end as last told to the keypad."""
        self._busy_until: Instant | None = None
        """A feedback is playing until then; a delay beeps on after it."""
        self._delay: tuple[str, Instant | None] = ("", None)

    def keys(self, keys: str, view: PanelView, now: Instant) -> list[KeypadWish]:
        """Keys in the order pressed; others than digits, "*" and "#" do nothing."""
        wishes = self.tick(now)
        for key in keys:
            if key == "*":
                self._forget()
            elif key == "#":
                wishes += self._enter(view, now)
            elif key.isascii() and key.isdigit():
                # One more than can be right is enough to know that it is wrong.
                self._typed = (self._typed + key)[: self._digits + 2]
                self._typing_until = later(now, TYPING_S)
        return wishes

    def card(self, bits: int, data: bytes, view: PanelView, now: Instant) -> list[KeypadWish]:
        """A card was read; digits typed before it say what it is for."""
        wishes = self.tick(now)
        typed = self._typed
        self._forget()
        code = card_text(bits, data)
        action = self._action(typed, view)
        if code is None or action is None:
            return [*wishes, *self._play(WRONG, now)]
        return [*wishes, EnterCode(code, action)]

    def answered(self, answer: Answer, now: Instant) -> list[KeypadWish]:
        """The panel judged an entry of this keypad. Nobody can tell a duress code by it."""
        if answer.ok:
            return self._play(ACCEPTED, now)
        if answer.reason is Refusal.LOCKED_OUT:
            return self._play(LOCKED, now)
        return self._play(WRONG if answer.reason is Refusal.WRONG_CODE else REFUSED, now)

    def show(self, view: PanelView, now: Instant) -> list[KeypadWish]:
        """What changed on LED and buzzer. To be called after whatever the panel did."""
        wishes: list[KeypadWish] = []
        shown = self._shown(view)
        led = _led(view, shown)
        if led != self._led:
            self._led = led
            wishes.append(led)
        self._delay = _delay(shown)
        return [*wishes, *self._beep(now)]

    def came_up(self, view: PanelView, now: Instant) -> list[KeypadWish]:
        """The keypad answers again: it has forgotten what it showed."""
        self._forget()
        self._led = None
        self._sounds = ("", None)
        self._busy_until = None
        return self.show(view, now)

    def tick(self, now: Instant) -> list[KeypadWish]:
        """Let time pass."""
        if self._typing_until is not None and self._typing_until <= now:
            self._forget()
        return self._beep(now)

    def deadline(self) -> Instant | None:
        """When `tick` has something to do."""
        waits = [self._typing_until]
        if self._delay != self._sounds:
            waits.append(self._busy_until)
        return min((at for at in waits if at is not None), default=None)

    def _forget(self) -> None:
        self._typed = ""
        self._typing_until = None

    def _enter(self, view: PanelView, now: Instant) -> list[KeypadWish]:
        typed = self._typed
        self._forget()
        if not typed:
            return []
        code, rest = typed[: self._digits], typed[self._digits :]
        action = self._action(rest, view)
        if len(code) < self._digits or action is None:
            return self._play(WRONG, now)
        return [EnterCode(code, action)]

    def _action(self, digits: str, view: PanelView) -> Action | None:
        match digits:
            case "":
                return self._toggle(view)
            case "0":
                return Silence()
            case "9":
                return Disarm(self._areas, of_user=True)
            case "1" | "2" | "3":
                return Arm(self._areas, _MODES[digits], of_user=True)
            case _:
                return None

    def _toggle(self, view: PanelView) -> Action:
        on = any(
            area.mode != AreaMode.DISARMED.value or area.siren_until is not None
            for area in self._shown(view)
        )
        if on or dict(view.outputs).get("siren", False):
            return Disarm(self._areas, of_user=True)
        return Arm(self._areas, of_user=True)

    def _shown(self, view: PanelView) -> list[AreaView]:
        return [area for area in view.areas if not self._areas or area.number in self._areas]

    def _play(self, feedback: Beep, now: Instant) -> list[KeypadWish]:
        """A feedback takes the buzzer from a delay, which goes on after it."""
        lasts_ms = feedback.times * (feedback.on_ds + feedback.off_ds) * 100
        self._busy_until = Instant(now + lasts_ms * NS_PER_MS)
        self._sounds = ("", None)
        return [feedback]

    def _beep(self, now: Instant) -> list[KeypadWish]:
        if self._busy_until is not None:
            if now < self._busy_until:
                return []
            self._busy_until = None
        if self._delay == self._sounds:
            return []
        was, self._sounds = self._sounds, self._delay
        kind, until = self._delay
        left_s = 0 if until is None else math.ceil(max(0, until - now) / NS_PER_S)
        if left_s == 0:
            return [STOP] if was[0] else []
        if kind == "entry" and 2 * left_s <= _BEEPS:
            return [Beep(2 * left_s, on_ds=1, off_ds=4)]
        return [Beep(min(left_s, _BEEPS), on_ds=1, off_ds=9)]


def _led(view: PanelView, areas: list[AreaView]) -> SetLed:
    modes = {area.mode for area in areas}
    if AreaMode.ALARM.value in modes or any(area.siren_until is not None for area in areas):
        return SetLed(Colour.RED, Colour.OFF)
    if view.locked_out:
        return SetLed(Colour.AMBER, Colour.OFF)
    if AreaMode.EXIT.value in modes:
        return SetLed(Colour.RED, Colour.GREEN)
    if modes - {AreaMode.DISARMED.value}:
        return SetLed(Colour.RED)
    return SetLed(Colour.AMBER if view.faults else Colour.GREEN)


def _delay(areas: list[AreaView]) -> tuple[str, Instant | None]:
    """The delay that must be heard: entry before exit, the one that ends first."""
    for kind in (AreaMode.ENTRY.value, AreaMode.EXIT.value):
        ends = [area.until for area in areas if area.mode == kind and area.until is not None]
        if ends:
            return kind, min(ends)
    return "", None
