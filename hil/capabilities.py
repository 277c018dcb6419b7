"""What a scenario may ask of a rig. Scenarios ask for abilities, never for ports or pins.

`drivers/` holds who can do it: simulated today, relays and a real panel on a bench later.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol


class Detectors(Protocol):
    """Moves the loops of zones."""

    def set_zone(self, zone: int, state: str) -> None:
        """Put a zone's loop into `normal`, `alarm`, `tamper`, `short`, `open` or `masked`."""


class Line(Protocol):
    """The lines between panel and centre, `adsl` and `phone`, and the `bus` cable."""

    def cut(self, what: str = "adsl") -> None:
        """ADSL: silence in both directions, no goodbye (half-open). Phone: no voltage.
        Bus: nodes neither hear nor are heard.
        """

    def heal(self, what: str = "adsl") -> None:
        """The line works again."""


class Power(Protocol):
    """Takes power from a machine and gives it back."""

    def kill(self, what: str) -> None:
        """Kill -9 of `panel` or `collector` (with its broker)."""

    def start(self, what: str) -> None:
        """Start it again and wait until it serves."""


class User(Protocol):
    """A person at the panel with his code."""

    def enter(self, action: str) -> dict[str, Any]:
        """`arm` or `disarm`; the panel's answer."""

    def press(self, keys: str) -> None:
        """Type the owner's code and then `keys` at the keypad."""


class Centre(Protocol):
    """What can be seen at the alarm receiving centre."""

    def cases(self) -> Sequence[dict[str, Any]]:
        """All cases, oldest first, as `tocsin-collector cases --json` gives them."""

    def occurrences(self) -> Sequence[dict[str, Any]]:
        """Every Occurrence of the panel: epoch, seq, code, q, zone, paths."""


class Rig(Detectors, Line, Power, User, Centre, Protocol):
    """Everything a scenario needs."""

    def panel_status(self) -> dict[str, Any] | None:
        """`tocsin-edge status --json`, or None while no panel answers."""

    def journal(self) -> Sequence[dict[str, Any]]:
        """Every Record in the panel's journal, oldest first."""
