"""`case ID`: by which path each Occurrence was told, and what told of it again (users.md M3)."""

from __future__ import annotations

import msgspec
from rich.table import Table
from rich.text import Text

from collector.adapters.ledger_reader import LedgerReader
from collector.cli.options import Lang, pick
from collector.records.case import Case
from collector.records.names import clean, local_time
from collector.records.signal import Signal
from protocols.mqtt.payloads import SiteCard

MAX_ARRIVALS = 200
"""Rows of the table; the rest is counted."""


class Arrival(msgspec.Struct, frozen=True, omit_defaults=True):
    """One Signal. `occurrences`: what it tells of; several: one of these, nobody can tell which."""

    signal: Signal
    occurrences: tuple[int, ...]
    again: bool = False
    """It was no event of its own: shown as one until that was known, or never."""


def arrivals(reader: LedgerReader, case: Case) -> list[Arrival]:
    """All that told of the evidence of a case, in the order it came."""
    evidence = [piece.occurrence for piece in case.occurrences]
    told = {
        signal.id: Arrival(signal, (id_,))
        for id_, signals in reader.arrivals(evidence).items()
        for signal in signals
    }
    again = {one.id: one.same_as for one in reader.repeats(case.panel, evidence)}
    for id_, signals in reader.arrivals(again).items():
        for signal in signals:
            told[signal.id] = Arrival(signal, again[id_], again=True)
    return [told[id_] for id_ in sorted(told)]


def arrival_table(found: list[Arrival], card: SiteCard | None, lang: Lang) -> Table:
    """For people."""
    table = Table(
        pick(lang, "Told", "收到"),
        pick(lang, "Evidence", "证据"),
        pick(lang, "Path", "线路"),
        pick(lang, "By", "来源"),
        pick(lang, "Notes", "备注"),
        box=None,
        pad_edge=False,
    )
    for one in found[:MAX_ARRIVALS]:
        table.add_row(
            f"{local_time(card, one.signal.received):%m-%d %H:%M:%S.%f}"[:-3],
            ", ".join(map(str, one.occurrences)),
            one.signal.path,
            Text(_source(one.signal, lang)),
            _note(one, lang),
        )
    if len(found) > MAX_ARRIVALS:
        more = len(found) - MAX_ARRIVALS
        table.caption = pick(lang, f"and {more} more", f"另有 {more} 条")
    return table


def _source(signal: Signal, lang: Lang) -> str:
    call = signal.phone
    if call is not None:
        said = [call.receiver, call.line, call.format, call.account, call.caller]
        return clean(" ".join(part for part in said if part))
    if signal.epoch:
        return pick(lang, f"Record {signal.seq}", f"记录 {signal.seq}")
    return ""


def _note(one: Arrival, lang: Lang) -> str:
    if not one.again:
        return ""
    if len(one.occurrences) == 1:
        return pick(lang, "told again", "重复报告")
    return pick(lang, "one of these, told again", "重复报告其中之一")
