"""`tocsin-collector panels`: is each panel there, and what did it last say? (G3)"""

from __future__ import annotations

import time
from typing import Annotated, Final

import msgspec
import typer
from rich.live import Live
from rich.table import Table
from rich.text import Text

from collector.adapters.ledger_reader import LedgerReader, PanelRow
from collector.cli.options import (
    DataOption,
    JsonOption,
    Lang,
    LangOption,
    errors_as_text,
    pick,
    print_json,
)
from collector.cli.reading import POLL_S, interrupted, is_terminal, opened, tables
from collector.intake import PhonePath
from collector.records.names import area_name, clean, local_time, site_name
from protocols.instants import US_PER_S, UtcTime
from protocols.mqtt.payloads import PhoneState, SiteCard

LIVE_S: Final = 1.0

_MODES: Final = {
    "disarmed": ("disarmed", "撤防"),
    "exit": ("exit time", "外出延时"),
    "entry": ("entry time", "进入延时"),
    "alarm": ("in alarm", "报警中"),
    "armed_full": ("armed", "布防"),
    "armed_stay": ("armed to stay", "留守布防"),
    "armed_night": ("armed for the night", "夜间布防"),
}


class PathLine(msgspec.Struct, frozen=True):
    """One path of a panel. `online` False: nothing is known since `since`."""

    path: str
    online: bool
    since: UtcTime
    heartbeat_age_s: float


class PanelLine(msgspec.Struct, frozen=True):
    """One panel for programs; what it last said is `stale` while no path is online (G3)."""

    panel: str
    site: str
    paths: tuple[PathLine, ...]
    stale: bool
    phone: PhoneState | None
    """Its phone path as the panel itself sees it; null: it has none, or does not tell."""
    owed: int
    areas: dict[str, str]
    clock: str
    err_us: int | None
    version: str
    faults: list[str]
    bypassed: list[int]
    epoch: int
    seq: int
    complete_to: int


@errors_as_text
def panels(
    data: DataOption,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on showing changes until Ctrl-C.")
    ] = False,
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Show each panel: paths, arm modes, clock, reports owed, version.

    What a silent panel last said is not shown as its state: it says "unknown since" instead.

    \b
    Examples:
      tocsin-collector panels
      tocsin-collector panels --follow
      tocsin-collector panels --json | jq 'select(.stale) | .panel'
    """  # noqa: D301 - \b keeps the examples as they are
    with opened(data) as reader:
        if follow and is_terminal() and not json:
            interrupted(lambda: _live(reader, lang))
            return
        _show(reader, lang, json=json)
        if follow:
            interrupted(lambda: _repeat(reader, lang, json=json))


def _live(reader: LedgerReader, lang: Lang) -> None:
    with Live(console=tables, auto_refresh=False, vertical_overflow="visible") as shown:
        while True:
            shown.update(_table(reader, lang), refresh=True)
            time.sleep(LIVE_S)


def _repeat(reader: LedgerReader, lang: Lang, *, json: bool) -> None:
    """Print again whenever what matters of a panel has changed."""
    known = _essence(reader, lang)
    while True:
        time.sleep(POLL_S)
        now = _essence(reader, lang)
        if now != known:
            known = now
            _show(reader, lang, json=json)


def _essence(reader: LedgerReader, lang: Lang) -> list[tuple[object, ...]]:
    return [
        (line.panel, line.stale, line.owed, line.areas, line.clock, line.faults, line.version)
        + (() if line.phone is None else (line.phone.up, line.phone.cause, line.phone.owed))
        for line, _ in _lines(reader, lang)
    ]


def _show(reader: LedgerReader, lang: Lang, *, json: bool) -> None:
    if json:
        for line, _ in _lines(reader, lang):
            print_json(line)
    elif is_terminal():
        tables.print(_table(reader, lang))
    else:
        for line, card in _lines(reader, lang):
            print("  ".join(_cells(line, card, lang)), flush=True)


def _lines(reader: LedgerReader, lang: Lang) -> list[tuple[PanelLine, SiteCard | None]]:
    now = time.time()
    lines = []
    phones = {path.panel: path for path in reader.phone_paths()}
    for row in reader.panels():
        card = reader.card(row.panel)
        line = _line(row, card, _complete(reader, row), now, lang)
        phone = phones.pop(row.panel, None)
        if phone is not None:
            line = msgspec.structs.replace(line, paths=(*line.paths, _by_phone(phone, now)))
        lines.append((line, card))
    for phone in phones.values():
        card = reader.card(phone.panel)
        lines.append((_phone_only(phone, site_name(card, phone.panel, lang.value), now), card))
    return lines


def _by_phone(phone: PhonePath, now: float) -> PathLine:
    age_s = max(now - phone.heard / US_PER_S, 0.0)
    return PathLine("phone", not phone.lost, phone.since, round(age_s, 1))


def _phone_only(phone: PhonePath, site: str, now: float) -> PanelLine:
    """A panel that only phones: of its state nothing is known but that."""
    return PanelLine(
        panel=phone.panel,
        site=site,
        paths=(_by_phone(phone, now),),
        stale=True,
        phone=None,
        owed=0,
        areas={},
        clock="",
        err_us=None,
        version="-",
        faults=[],
        bypassed=[],
        epoch=0,
        seq=0,
        complete_to=0,
    )


def _complete(reader: LedgerReader, row: PanelRow) -> int:
    """Up to which sequence number of its present numbering nothing is missing."""
    runs = [run for run in reader.runs(row.panel) if run.epoch == row.heartbeat.epoch]
    return runs[0].upto if runs else 0


def _line(row: PanelRow, card: SiteCard | None, complete: int, now: float, lang: Lang) -> PanelLine:
    beat = row.heartbeat
    age_s = max(now - row.received / US_PER_S, 0.0)
    return PanelLine(
        panel=row.panel,
        site=site_name(card, row.panel, lang.value),
        paths=(PathLine("mqtt", not row.lost, row.since, round(age_s, 1)),),
        stale=row.lost,
        phone=beat.phone,
        owed=beat.owed,
        areas=dict(beat.areas),
        clock=beat.clock,
        err_us=beat.err_us,
        version=beat.version,
        faults=list(beat.faults),
        bypassed=list(beat.bypassed),
        epoch=beat.epoch,
        seq=beat.seq,
        complete_to=complete,
    )


def _table(reader: LedgerReader, lang: Lang) -> Table:
    heads = (
        ("Panel", "主机"),
        ("Site", "用户"),
        ("Paths", "线路"),
        ("Areas", "分区"),
        ("Clock", "时钟"),
        ("Owed", "待报"),
        ("Complete to", "完整至"),
        ("Faults", "故障"),
        ("Version", "版本"),
    )
    table = Table(*(pick(lang, en, zh) for en, zh in heads), box=None, pad_edge=False)
    for line, card in _lines(reader, lang):
        cells = [Text(cell) for cell in _cells(line, card, lang)]
        cells[2].stylize("bold red" if line.stale else "green")
        table.add_row(*cells)
    return table


def _cells(line: PanelLine, card: SiteCard | None, lang: Lang) -> list[str]:
    """What is shown of a panel; of a silent one nothing that may have changed since."""
    unknown = pick(lang, "unknown", "不明")
    areas = unknown
    clock = unknown
    if not line.stale:
        areas = ", ".join(_area(card, area, mode, lang) for area, mode in line.areas.items()) or "-"
        clock = clean(line.clock)
        if line.err_us is not None:
            clock += f" ±{line.err_us / 1000:.0f} ms"
    faults = [clean(fault) for fault in line.faults[:4]]
    if line.bypassed:
        zones = ",".join(map(str, line.bypassed[:8]))
        faults.append(pick(lang, f"bypassed {zones}", f"旁路 {zones}"))
    return [
        line.panel,
        line.site,
        "; ".join((*(_path(path, card, lang) for path in line.paths), *_own_word(line, lang))),
        areas,
        clock,
        unknown if line.stale else str(line.owed),
        f"{line.complete_to}/{max(line.seq, line.complete_to)}",
        ", ".join(faults) or "-",
        clean(line.version),
    ]


def _path(path: PathLine, card: SiteCard | None, lang: Lang) -> str:
    since = f"{local_time(card, path.since):%m-%d %H:%M:%S}"
    if not path.online:
        return pick(lang, f"{path.path}: unknown since {since}", f"{path.path}：{since} 起不明")
    if path.path == "phone":
        heard = UtcTime(round((time.time() - path.heartbeat_age_s) * US_PER_S))
        at = f"{local_time(card, heard):%m-%d %H:%M}"
        return pick(lang, f"phone: in order, last report {at}", f"电话：正常，最近上报 {at}")
    age = f"{path.heartbeat_age_s:.0f}"
    return pick(lang, f"{path.path}: online, heard {age} s ago", f"{path.path}：在线，{age} 秒前")


def _own_word(line: PanelLine, lang: Lang) -> list[str]:
    """What the panel says of its phone path; nothing of one that may have changed since (G3)."""
    phone = line.phone
    if phone is None or line.stale:
        return []
    if phone.up is None:
        told = pick(lang, "phone, says the panel: not tried yet", "主机称电话：尚未验证")
    elif phone.up:
        told = pick(lang, "phone, says the panel: in order", "主机称电话：正常")
    else:
        cause = clean(phone.cause)
        told = pick(lang, f"phone, says the panel: DOWN ({cause})", f"主机称电话：故障（{cause}）")
    if phone.tested_s is not None:
        hours = f"{phone.tested_s / 3600:.1f}"
        told += pick(lang, f", tested {hours} h ago", f"，{hours} 小时前测试")
    if phone.owed:
        told += pick(lang, f", {phone.owed} owed", f"，待报 {phone.owed}")
    return [told]


def _area(card: SiteCard | None, area: str, mode: str, lang: Lang) -> str:
    number = int(area) if area.isascii() and area.isdigit() else 0
    name = area_name(card, number, lang.value) if number else clean(area)
    shown = pick(lang, *_MODES.get(mode, (clean(mode), clean(mode))))
    return f"{name}: {shown}" if lang is Lang.EN else f"{name}：{shown}"
