"""Messages seen in the field (tests/vectors/phone_and_receiver_lines.jsonl, with their sources)."""

from __future__ import annotations

import json
from pathlib import Path

_FILE = Path(__file__).parents[1] / "vectors" / "phone_and_receiver_lines.jsonl"
_LINES = {line["id"]: line for line in map(json.loads, _FILE.read_text().splitlines())}


def line(name: str) -> bytes:
    """The bytes of one message."""
    return bytes.fromhex(_LINES[name]["bytes_hex"])


def lines(*formats: str) -> dict[str, bytes]:
    """All of these formats, by id."""
    return {name: line(name) for name, one in _LINES.items() if one["format"] in formats}
