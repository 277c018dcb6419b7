"""Topic names. `tocsin/v1/<panel>/<leaf>`; a panel id is its certificate's common name."""

from __future__ import annotations

import re
from typing import Final

ROOT: Final = "tocsin/v1"

REPORT: Final = "ev"
HEARTBEAT: Final = "hb"
SITE_CARD: Final = "site"
WILL: Final = "will"
UNAVAILABLE: Final = "gone"
ACK: Final = "ack"
COMMAND: Final = "cmd"
RECEPTION: Final = "rx"
RECEPTION_ACK: Final = "rxack"
RECEIVER_PINS: Final = "rxpin"

FROM_PANEL: Final = (REPORT, HEARTBEAT, SITE_CARD, WILL, UNAVAILABLE)
TO_PANEL: Final = (ACK, COMMAND)
FROM_RECEIVER: Final = (RECEPTION,)
TO_RECEIVER: Final = (RECEPTION_ACK, RECEIVER_PINS)

PANEL_ID: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?")
"""No dot, slash or wildcard: safe as MQTT level, NATS subject token and file name."""


def topic(panel: str, leaf: str) -> str:
    """The topic of one leaf of one panel."""
    return f"{ROOT}/{panel}/{leaf}"


def split(name: str) -> tuple[str, str] | None:
    """(panel, leaf) of a topic, or None when it is not one of ours."""
    parts = name.split("/")
    if len(parts) != 4 or f"{parts[0]}/{parts[1]}" != ROOT or not PANEL_ID.fullmatch(parts[2]):
        return None
    return parts[2], parts[3]
