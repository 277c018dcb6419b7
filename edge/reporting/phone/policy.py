"""Which Records go by phone, and how long MQTT has before they do (R102)."""

from __future__ import annotations

from typing import Final

from edge.config_phone import PhoneConfig, PolicyKind
from protocols.contact_id.mapping import message_of, phone_code_of
from protocols.contact_id.message import encode
from protocols.panel_event import Code, PanelEvent, Priority, priority_of

BY_PHONE: Final = "by=phone"
"""Token in `detail`: this Record is for the phone path, whatever MQTT says (users.md M2)."""
LISTEN_IN: Final = 606


def meant_for_phone(event: PanelEvent) -> bool:
    """A test of the phone path itself."""
    return BY_PHONE in event.detail.split()


def wait_s(config: PhoneConfig, event: PanelEvent) -> float | None:
    """Seconds MQTT has for this Record; 0: by phone at once; None: it never goes by phone."""
    if event.code == Code.PHONE_BATCH or phone_code_of(event.code) is None:
        return None
    if config.policy is not PolicyKind.FALLBACK or meant_for_phone(event):
        return 0.0
    if event.code == Code.PATH_IP_FAULT:
        return 0.0  # loss and return of a path are told on the other (users.md M2)
    match priority_of(event.code):
        case Priority.HOLDUP:
            return config.wait_holdup_s
        case Priority.FIRE:
            return config.wait_fire_s
        case Priority.BURGLARY | Priority.TAMPER:
            return config.wait_burglary_s
        case Priority.TROUBLE:
            return config.wait_trouble_s
        case Priority.OPEN_CLOSE:
            return config.wait_open_close_s
        case _:
            return None  # tests prove the path they were made for, and are no evidence elsewhere


def dropped_elsewhere(config: PhoneConfig, event: PanelEvent) -> bool:
    """Whether an acknowledgement over MQTT settles it on the phone path too."""
    return config.policy is PolicyKind.FALLBACK and wait_s(config, event) != 0.0


def digits_of_event(event: PanelEvent, account: str) -> str | None:
    """The block that tells this event; None when Contact ID has no words for it."""
    message = message_of(event, account)
    return None if message is None else encode(message)
