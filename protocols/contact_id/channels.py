"""Channel blocks of High Speed and Super Fast: PPPPPPPP X (protocols.md 4.2).

P, the status of channels 1-8: 1 alarm, 2 opening, 3 restore, 4 closing, 5 normal, 6 outstanding,
0 trouble (Sur-Gard).
X says how to read them. Its values are known from receivers only (M): 1 duress, 2 opening and
4 closing by the user in the first P, 3 bypass, 5 trouble, 6 system trouble, 7 zone status, 8 low
battery, 9 test, 0 AlarmNet. Super Fast is read in the same way [U].
"""

from __future__ import annotations

from typing import Final

from protocols.contact_id.profile import EventRule, Profile, event_by, value_of
from protocols.panel_event import Code, PanelEvent, Qualifier

_NORMAL: Final = "5"
_STATUS_Q: Final = {"1": Qualifier.NEW, "3": Qualifier.RESTORE, "6": Qualifier.STATUS}
_USER_Q: Final = {"2": Qualifier.NEW, "4": Qualifier.RESTORE}
_TROUBLE: Final = EventRule(Code.ZONE_TROUBLE)
_ZONE_KINDS: Final = {"3": EventRule(Code.ZONE_BYPASS), "5": _TROUBLE}
_WHOLE: Final = {
    "1": Code.DURESS,
    "6": 300,
    "8": Code.BATTERY_LOW,
    "9": Code.PERIODIC_TEST,
}


def channel_events(channels: str, x: str, profile: Profile) -> tuple[PanelEvent, ...]:
    """At least one event for any nine digits: what is not understood is an alarm."""
    detail = f"channels={channels};x={x}"
    if x in _USER_Q:
        user = value_of(channels[0])
        return (PanelEvent(Code.OPEN_CLOSE, _USER_Q[x], user=user, detail=detail),)
    events = [PanelEvent(_WHOLE[x], detail=detail)] if x in _WHOLE else []
    for number, status in enumerate(channels, start=1):
        if status == _NORMAL:
            continue
        rule = _TROUBLE if status == "0" else _ZONE_KINDS.get(x) or profile.channel(number)
        if status in _USER_Q:
            events.append(PanelEvent(Code.OPEN_CLOSE, _USER_Q[status], user=number, detail=detail))
        else:
            q = _STATUS_Q.get(status, Qualifier.NEW)
            events.append(event_by(rule, number, detail, None if q is Qualifier.NEW else q))
    if not events and x == "7":
        events.append(PanelEvent(Code.PERIODIC_TEST, Qualifier.STATUS, detail=detail))
    return tuple(events) or (PanelEvent(profile.channel(0).code, detail=detail),)
