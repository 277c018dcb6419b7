"""What is taken out of a session description (RFC 8866). Pure."""

from __future__ import annotations

import re
from typing import Final

_EVENT: Final = re.compile(r"^a=rtpmap:(\d{1,3}) telephone-event/\d+\s*$", re.IGNORECASE)
_ATTRIBUTE: Final = re.compile(r"a=(?:rtpmap|fmtp):(\d{1,3})\b")


def without_telephone_event(text: str) -> str:
    """The same offer or answer, without RFC 4733 events: digits are to stay in the audio."""
    lines = text.replace("\r\n", "\n").split("\n")
    types = {found[1] for line in lines if (found := _EVENT.match(line))}
    if not types:
        return text
    kept: list[str] = []
    for line in lines:
        attribute = _ATTRIBUTE.match(line)
        if line.startswith("m="):
            words = line.split(" ")
            kept.append(" ".join(words[:3] + [word for word in words[3:] if word not in types]))
        elif attribute is None or attribute[1] not in types:
            kept.append(line)
    return "\r\n".join(kept)
