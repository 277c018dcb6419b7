"""User codes and cards are kept only as scrypt hashes; the panel machine never sees a code."""

from __future__ import annotations

import hashlib
import itertools
import re
from typing import Final

from edge.panel.keypad import CARD_BITS, card_text

_COST: Final = 2**14
"""16 MiB and some 40 ms on a PC: a keypad does not notice. Six digits stay guessable off line in
hours at any bearable cost, so the configuration file itself must be mode 0600."""


def hash_code(code: str, salt_hex: str) -> str:
    """64 hex digits. One salt a panel, so that one entry is hashed once however many users."""
    return hashlib.scrypt(
        code.encode(), salt=bytes.fromhex(salt_hex), n=_COST, r=8, p=1, maxmem=64 << 20, dklen=32
    ).hex()


def card_of(given: str) -> str | None:
    """A card as people write it, "26:01a2b3c0" (bits, then hex digits), as `hash_code` takes it.

    None: no card (26 to 512 bits, as many whole bytes as they need).
    """
    found = re.fullmatch(r"(?:card:)?(\d{1,3}):([0-9a-fA-F]+)", given.strip(), re.ASCII)
    if found is None or len(found[2]) % 2:
        return None
    bits, data = int(found[1]), bytes.fromhex(found[2])
    return card_text(bits, data) if len(data) == (bits + 7) // 8 else None


CARD_FORM: Final = f"<bits>:<hex>, {CARD_BITS[0]} to {CARD_BITS[1]} bits, such as 26:01a2b3c0"


def code_problem(code: str, digits: int) -> str | None:
    """Why this code may not be used, or None (EN 50131 grade 3: six digits, not guessable)."""
    if not code.isascii() or not code.isdigit() or len(code) != digits:
        return f"a code has exactly {digits} digits"
    if len(set(code)) < 3:
        return "a code needs at least three different digits"
    steps = {(int(b) - int(a)) % 10 for a, b in itertools.pairwise(code)}
    if steps in ({1}, {9}):
        return "a code may not simply count up or down"
    return None
