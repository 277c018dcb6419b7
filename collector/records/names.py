"""Names and times as people say them: of codes, zones, areas, sites; in the site's time zone."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from collector.records.wording import Wording
from collector.records.wording_en import EN
from collector.records.wording_zh import ZH
from protocols.contact_id.codes import code_of, shown
from protocols.instants import US_PER_S, UtcTime
from protocols.mqtt.payloads import SiteCard
from protocols.panel_event import NODE_CODES, PanelEvent

WORDINGS: Final[Mapping[str, Wording]] = {"en": EN, "zh": ZH}
MAX_NAME: Final = 40
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def code_name(code: int, lang: str) -> str:
    """The name of a numbered kind, ours or Contact ID's; an unknown number says so (F2)."""
    words = WORDINGS[lang]
    known = words.codes.get(code)
    if known is not None:
        return known
    standard = code_of(code)
    if standard is not None:
        return standard.zh if lang == "zh" else _within(standard.en)
    family = next((name for low, high, name in words.ranges if low <= code <= high), "")
    number = words.unknown_code.format(code=shown(code))
    return f"{family} ({number})" if family else number


def _within(name: str) -> str:
    """The name as it stands inside a sentence; an abbreviation keeps its capital."""
    return name[:1].lower() + name[1:] if name[1:2].islower() else name


def zone_name(card: SiteCard | None, zone: int, lang: str) -> str:
    """The zone's name on the card, else its number in words."""
    if card is not None:
        for known in card.zones:
            if known.zone == zone:
                name = clean((known.name_zh if lang == "zh" else "") or known.name)
                return name or WORDINGS[lang].zone.format(number=zone)
    return WORDINGS[lang].zone.format(number=zone)


def place_name(card: SiteCard | None, event: PanelEvent, lang: str) -> str:
    """What the event's zone number names: a zone, or in codes of bus nodes a node."""
    if event.code in NODE_CODES:
        return WORDINGS[lang].node.format(number=event.zone)
    return zone_name(card, event.zone, lang)


def area_name(card: SiteCard | None, area: int, lang: str) -> str:
    """The area's name on the card, else its number in words."""
    if card is not None:
        named = card.areas_zh.get(str(area), "") if lang == "zh" else ""
        name = clean(named or card.areas.get(str(area), ""))
        if name:
            return name
    return WORDINGS[lang].area.format(number=area)


def site_name(card: SiteCard | None, panel: str, lang: str) -> str:
    """The site's name, else the panel's id."""
    if card is None:
        account = panel.removeprefix("acct-")
        return panel if account == panel else WORDINGS[lang].account.format(account=account.upper())
    return clean((card.name_zh if lang == "zh" else "") or card.name) or panel


def local_time(card: SiteCard | None, at: UtcTime) -> datetime:
    """The time at the site; UTC when the card names no zone this machine knows."""
    return (_EPOCH + timedelta(microseconds=_bounded(at))).astimezone(_zone(card))


def _bounded(at: int) -> int:
    return max(0, min(at, 253_370_000_000 * US_PER_S))


def _zone(card: SiteCard | None) -> tzinfo:
    if card is None or not card.timezone:
        return UTC
    try:
        return ZoneInfo(card.timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def clean(name: str) -> str:
    """A name fit to be shown: printable, one line, not too long."""
    shown = " ".join("".join(ch if ch.isprintable() else " " for ch in name).split())
    return shown if len(shown) <= MAX_NAME else shown[: MAX_NAME - 1].rstrip() + "…"
