"""Names of the formats a receiver reads by itself, as in configuration, pins and reports."""

from __future__ import annotations

from typing import Final

from protocols.contact_id.family import Format
from protocols.contact_id.pulse import FORMATS as PULSE_FORMATS

FORMATS: Final = (
    *(each.value for each in Format),
    *(each.name for each in PULSE_FORMATS),
    "sia-dc03",
)
