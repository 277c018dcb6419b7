"""What a registrar's answer means (RFC 3261 10). Pure."""

from __future__ import annotations


def registration_state(code: int, active: bool) -> tuple[bool, str]:
    """(up, why) from the status of a REGISTER; `active`: the registration holds."""
    return (True, "") if active and code // 100 == 2 else (False, f"unregistered_{code}")
