"""SIA event text: what stands in N and O blocks of DC-03 and after `|` in receivers' SIA lines.

    Nri01/id12/BA5    modifiers (two small letters and a value), then codes with their numbers
    modifiers: ri area, id user; ti time, da date, pi peripheral and others stay in `detail`

Makers leave out the `/`, put modifiers behind, add texts (`*'..'NM`, `^..^`, `/A..`). What cannot
be read becomes text in `detail`; a block in which no code is found is an alarm of unknown kind.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from protocols.contact_id.codes import Number, meaning_of
from protocols.contact_id.mapping import number_of_digits
from protocols.contact_id.sia_codes import SIA_CODES, Address, SiaCode, sia_code
from protocols.panel_event import PanelEvent

MAX_TEXT: Final = 120
MAX_DETAIL: Final = 400
MAX_EVENTS: Final = 32
MAX_MARKS: Final = 8
_TOKEN: Final = re.compile(
    r"\*'(?P<quoted>[^']*)'(?:NM)?|\*\"(?P<double>[^\"]*)\"(?:NM)?|\^(?P<caret>[^^]*)\^"
    r"|(?P<modifier>ri|id|ti|da|pi|ai|ph|lv|va|pt|rg|ss)(?P<value>[0-9:.\-]+)"
    r"|(?P<code>[A-Z]{2})"
    r"(?P<number>(?![0-9]*[A-F]{2}[0-9])[0-9A-F]{1,6}(?![0-9A-Z])|[0-9]{0,6})"
    r"|(?P<other>.)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class SiaBlocks:
    """One account's data: `account` as on the wire (may be empty), its events in order."""

    account: str
    events: tuple[PanelEvent, ...]


def read_data(text: str, table: Mapping[str, SiaCode] = SIA_CODES) -> SiaBlocks:
    """Blocks parted by `|`, the first being `#account`: `#1234|Nri1/BA5|AHall`. Never fails: text
    without an event block gives an alarm of unknown kind.
    """
    account = ""
    events: list[PanelEvent] = []
    loose: list[str] = []
    for block in text.split("|"):
        letter, body = block[:1], block[1:]
        if letter == "#":
            account = body.strip().upper()
        elif letter in {"N", "O"}:
            events += read_events(body, old=letter == "O", table=table)
        elif letter == "A" and events:
            events[-1] = with_text(events[-1], body)
        elif block.strip():
            loose.append(block)
    if not events:
        events.append(_unknown("|".join(loose)))
    return SiaBlocks(account, tuple(events[:MAX_EVENTS]))


def read_events(
    body: str, *, old: bool = False, table: Mapping[str, SiaCode] = SIA_CODES
) -> tuple[PanelEvent, ...]:
    """The events of one N or O block (without its letter), at least one."""
    events: list[PanelEvent] = []
    area = user = 0
    marks: list[str] = ["old"] if old else []
    text = ""
    for kind, first, second in _tokens(body, table):
        if kind == "text":
            text += first
            continue
        if kind == "code":
            events = _told(events, text)
            text = "" if events else text
            events.append(_event(first, second, area, user, marks, table))
        elif first == "ri":
            area = _number(second)
            events = [one if one.area else replace(one, area=area) for one in events]
        elif first == "id":
            user = _number(second)
        elif len(marks) < MAX_MARKS:
            marks.append(f"{first}={second}")
    if not events:
        return (_unknown(body),)
    return tuple(_told(events, text)[:MAX_EVENTS])


def with_text(event: PanelEvent, text: str) -> PanelEvent:
    """The event with a text of the panel in its detail."""
    plain = _plain(text)
    if not plain or len(event.detail) + len(plain) > MAX_DETAIL:
        return event
    return replace(event, detail=f"{event.detail};text={plain}")


def _told(events: list[PanelEvent], text: str) -> list[PanelEvent]:
    """`events`, the last with `text`."""
    return [*events[:-1], with_text(events[-1], text)] if events and text else events


def _tokens(body: str, table: Mapping[str, SiaCode]) -> Iterator[tuple[str, str, str]]:
    at, fresh = 0, True
    while at < len(body):
        if body[at] == "/":
            at, fresh = at + 1, True
            continue
        if fresh and body[at] == "A" and body[at : at + 2] not in table:
            end = body.find("/", at) % (len(body) + 1)
            yield "text", body[at + 1 : end], ""
            at = end
            continue
        found = _TOKEN.match(body, at)
        assert found is not None  # the last alternative takes any character
        at = found.end()
        match found.lastgroup:
            case "value":
                yield "modifier", found["modifier"], found["value"]
            case "number" if found[0] == "NM" and not fresh:
                pass  # ends a name in makers' dialects
            case "number":
                yield "code", found["code"], found["number"]
            case group:
                yield "text", found[group or "other"], ""
        fresh = False


def _event(
    letters: str,
    number: str,
    area: int,
    user: int,
    marks: list[str],
    table: Mapping[str, SiaCode],
) -> PanelEvent:
    meaning = sia_code(letters, table)
    detail = ";".join([f"sia={letters}{number}", *marks])
    value = _number(number)
    by_user = meaning_of(meaning.code) is Number.USER
    event = PanelEvent(meaning.code, meaning.q, area, detail=detail)
    if meaning.address is Address.AREA:
        return replace(event, area=value or area, user=user)
    if by_user:
        return replace(event, user=value or user)
    return replace(event, zone=value, user=user)


def _number(digits: str) -> int:
    """Decimal; hex as mapping.HEX_BASE + value; none is 0."""
    return number_of_digits(digits) if digits.isalnum() else 0


def _unknown(body: str) -> PanelEvent:
    return PanelEvent(140, detail=f"sia=?;text={_plain(body)}")


def _plain(text: str) -> str:
    """Printable, without `;` (which parts the tokens of a detail), on one line."""
    kept = "".join(sign if sign.isprintable() and sign != ";" else " " for sign in text)
    return " ".join(kept.split())[:MAX_TEXT]
