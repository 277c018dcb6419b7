"""Free text as the value of a token in a PanelEvent's `detail` (`name=value;name=value`)."""

from __future__ import annotations

from typing import Final

MOST: Final = 200


def value(text: str) -> str:
    """One line, none of the separators, not long."""
    return " ".join("".join(" " if ch in ";=" else ch for ch in text).split())[:MOST]
