"""`tocsin-collector cases` and `case ID`: what the operator sees, one plain sentence each."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Annotated

import msgspec
import typer
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from collector.adapters.ledger_reader import HandoverRow, LedgerReader
from collector.cli.arrivals import arrival_table, arrivals
from collector.cli.options import (
    DataOption,
    JsonOption,
    Lang,
    LangOption,
    err,
    errors_as_text,
    pick,
    print_json,
)
from collector.cli.reading import (
    NOT_FOUND,
    POLL_S,
    STYLES,
    Cards,
    CaseLine,
    interrupted,
    is_open,
    is_terminal,
    line_of,
    opened,
    opened_at,
    tables,
    urgency,
)
from collector.records.case import Case, Evidence, Kind, State
from collector.records.ledger_entry import EntryKind
from collector.records.names import (
    WORDINGS,
    area_name,
    clean,
    code_name,
    local_time,
    place_name,
)
from protocols.instants import UtcTime
from protocols.mqtt.payloads import SiteCard
from protocols.panel_event import Qualifier

PanelOption = Annotated[
    str | None, typer.Option("--panel", metavar="ID", help="Only the cases of this panel.")
]


@errors_as_text
def cases(
    data: DataOption,
    panel: PanelOption = None,
    all_: Annotated[bool, typer.Option("--all", help="Closed cases too.")] = False,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on showing changes until Ctrl-C.")
    ] = False,
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Show the cases, the most urgent first, each with one plain sentence.

    Only reads: safe at any time beside a running collector.

    \b
    Examples:
      tocsin-collector cases
      tocsin-collector cases --follow --lang zh
      tocsin-collector cases --all --panel shop-1
      tocsin-collector cases --follow --json | jq -r .sentence
    """  # noqa: D301 - \b keeps the examples as they are
    with opened(data) as reader:
        view = _View(reader, panel, lang, closed_too=all_)
        if json:
            view.print_lines(follow=follow)
        elif follow and is_terminal():
            view.live()
        else:
            view.print_text(follow=follow)


@errors_as_text
def case(
    id_: Annotated[int, typer.Argument(metavar="ID", help="Number of the case, as in `cases`.")],
    data: DataOption,
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Show one case whole: evidence, decisions with their rule version, who must be told.

    Exit code 1: there is no such case.

    \b
    Examples:
      tocsin-collector case 12
      tocsin-collector case 12 --lang zh
    """  # noqa: D301 - \b keeps the examples as they are
    with opened(data) as reader:
        found = reader.case(id_)
        if found is None:
            err.print(pick(lang, f"There is no case {id_}.", f"没有警情 {id_}。"))
            raise typer.Exit(NOT_FOUND)
        card = reader.card(found.panel)
        line = line_of(found, card, lang.value)
        if json:
            print_json(line)
            return
        _print_case(line, card, reader.handovers(id_), lang)
        told = arrivals(reader, found)
        if len(told) > len(found.occurrences):
            tables.print()
            tables.print(arrival_table(told, card, lang))


class _View:
    """The list of cases in each of its forms."""

    def __init__(
        self, reader: LedgerReader, panel: str | None, lang: Lang, *, closed_too: bool
    ) -> None:
        self._reader = reader
        self._panel = panel
        self._lang = lang
        self._closed_too = closed_too
        self._cards = Cards(reader)

    def listed(self) -> list[Case]:
        """The cases to show, most urgent first."""
        found = self._reader.cases(panel=self._panel)
        return sorted(filter(self._wanted, found), key=urgency)

    def print_lines(self, *, follow: bool) -> None:
        """One JSON value per case, and with `follow` per later version of one."""
        after = self._reader.newest()[1] if follow else 0
        for case_ in self.listed():
            print_json(self._line(case_))
        if follow:
            interrupted(lambda: self._each_change(after, print_json))

    def print_text(self, *, follow: bool) -> None:
        """A table for people; one line a case when nobody's terminal is there."""
        after = self._reader.newest()[1] if follow else 0
        listed = self.listed()
        if not is_terminal():
            for case_ in listed:
                self._print_line(self._line(case_))
        elif listed:
            tables.print(self._table(listed))
        else:
            tables.print(pick(self._lang, "No open case.", "没有未结警情。"))
        if follow:
            interrupted(lambda: self._each_change(after, self._print_line))

    def live(self) -> None:
        """The table, redrawn at each change."""

        def loop() -> None:
            seen: tuple[int, int] | None = None
            with Live(console=tables, auto_refresh=False, vertical_overflow="visible") as shown:
                while True:
                    newest = self._reader.newest()
                    if newest != seen:
                        seen = newest
                        self._cards.forget()
                        shown.update(self._table(self.listed()), refresh=True)
                    time.sleep(POLL_S)

        interrupted(loop)

    def _each_change(self, after: int, show: Callable[[CaseLine], None]) -> None:
        while True:
            self._cards.forget()
            for case_, entry in self._versions(after):
                after = entry
                if case_ is not None and self._fits(case_):
                    show(self._line(case_))
            time.sleep(POLL_S)

    def _versions(self, after: int) -> Iterator[tuple[Case | None, int]]:
        """Each later version of any case, in ledger order, with the entry that holds it."""
        if self._reader.newest()[1] <= after:
            return
        for entry in self._reader.entries(after):
            is_case = entry.kind is EntryKind.CASE
            yield (msgspec.json.decode(entry.body, type=Case) if is_case else None), entry.id

    def _fits(self, case_: Case) -> bool:
        """Closing is news too, so a followed case is shown once more when it closes."""
        return self._panel is None or case_.panel == self._panel

    def _wanted(self, case_: Case) -> bool:
        return self._closed_too or is_open(case_)

    def _line(self, case_: Case) -> CaseLine:
        return line_of(case_, self._cards.of(case_.panel), self._lang.value)

    def _print_line(self, line: CaseLine) -> None:
        case_, words = line.case, WORDINGS[self._lang.value]
        parts = (
            str(case_.id),
            opened_at(case_, self._cards.of(case_.panel)),
            line.site,
            words.kinds[case_.kind.value],
            state_word(case_, self._lang),
            words.between.join((line.sentence, *line.remarks)),
        )
        print("  ".join(parts), flush=True)

    def _table(self, listed: list[Case]) -> Table:
        words, lang = WORDINGS[self._lang.value], self._lang
        table = Table(
            pick(lang, "Case", "警情"),
            pick(lang, "Began", "开始"),
            pick(lang, "Site", "用户"),
            pick(lang, "Kind", "类别"),
            pick(lang, "State", "状态"),
            pick(lang, "What happened", "经过"),
            box=None,
            pad_edge=False,
        )
        for case_ in listed:
            line = self._line(case_)
            style = STYLES[case_.state]
            table.add_row(
                str(case_.id),
                opened_at(case_, self._cards.of(case_.panel)),
                Text(line.site),
                words.kinds[case_.kind.value],
                Text(state_word(case_, lang), style=style),
                Text(words.between.join((line.sentence, *line.remarks))),
            )
        return table


def state_word(case_: Case, lang: Lang) -> str:
    """The state in words; what needs no confirmation is open, not unconfirmed."""
    words = WORDINGS[lang.value]
    state = case_.state
    plain_open = state is State.UNCONFIRMED and case_.kind is not Kind.BURGLARY
    word = words.states["open" if plain_open else state.value]
    if state is State.CLOSED and case_.outcome.value:
        outcome = words.outcomes[case_.outcome.value]
        word = f"{word} ({outcome})" if lang is Lang.EN else f"{word}（{outcome}）"
    if case_.test:
        word += pick(lang, ", test", "，测试")
    return word


# One case whole


def _print_case(
    line: CaseLine, card: SiteCard | None, handovers: list[HandoverRow], lang: Lang
) -> None:
    found, words = line.case, WORDINGS[lang.value]
    tables.print(Text(line.sentence, style="bold"))
    for remark in line.remarks:
        tables.print(Text("  " + remark))
    kind, state = words.kinds[found.kind.value], state_word(found, lang)
    head = pick(lang, f"Case {found.id}", f"警情 {found.id}")
    where = ", ".join(area_name(card, area, lang.value) for area in found.areas)
    tables.print()
    tables.print(
        Text(
            " · ".join(part for part in (head, line.site, found.panel, where, kind, state) if part)
        )
    )
    if found.note:
        tables.print(Text(clean(found.note)))
    tables.print()
    tables.print(_evidence_table(found, card, lang))
    tables.print()
    tables.print(_decision_table(found, card, lang))
    if handovers:
        tables.print()
        tables.print(_handover_table(found, handovers, card, lang))


def _evidence_table(found: Case, card: SiteCard | None, lang: Lang) -> Table:
    table = Table(
        pick(lang, "Evidence", "证据"),
        pick(lang, "At", "时间"),
        "±",
        pick(lang, "What", "内容"),
        pick(lang, "Where", "位置"),
        pick(lang, "Path", "线路"),
        pick(lang, "Notes", "备注"),
        box=None,
        pad_edge=False,
    )
    for piece in found.occurrences:
        table.add_row(
            str(piece.occurrence),
            _clock(card, piece.at, found),
            bound_word(piece.err_us),
            _what(piece, lang),
            Text(_where(piece, card, lang)),
            ", ".join(piece.paths),
            Text(_notes(piece, found, card, lang)),
        )
    if found.more:
        table.caption = WORDINGS[lang.value].more.format(count=found.more)
    return table


def _what(piece: Evidence, lang: Lang) -> Text:
    name = code_name(piece.event.code, lang.value)
    if piece.event.q is Qualifier.RESTORE:
        name += pick(lang, " (restore)", "（恢复）")
    return Text(f"{name} · {piece.event.code}")


def _where(piece: Evidence, card: SiteCard | None, lang: Lang) -> str:
    event = piece.event
    if event.zone:
        name = place_name(card, event, lang.value)
        number = place_name(None, event, lang.value)
        return name if name == number else f"{name} ({number})"
    if event.user:
        named = clean(card.users.get(str(event.user), "")) if card is not None else ""
        return named or WORDINGS[lang.value].user.format(number=event.user)
    return area_name(card, event.area, lang.value) if event.area else ""


def _notes(piece: Evidence, found: Case, card: SiteCard | None, lang: Lang) -> str:
    said = []
    if piece.restored_at is not None:
        time_ = _clock(card, piece.restored_at, found)
        said.append(pick(lang, f"restored {time_}", f"{time_} 恢复"))
    if piece.test:
        said.append(pick(lang, "test", "测试"))
    if piece.late:
        time_ = _clock(card, piece.received, found)
        said.append(pick(lang, f"late, received {time_}", f"迟报，{time_} 收到"))
    if not piece.recorded:
        said.append(pick(lang, "unrecorded at the panel", "主机未记录"))
    if not piece.counted:
        said.append(pick(lang, "runaway", "反复报警"))
    if piece.event.detail:
        said.append(clean(piece.event.detail))
    return ", ".join(said)


def _decision_table(found: Case, card: SiteCard | None, lang: Lang) -> Table:
    words = WORDINGS[lang.value]
    table = Table(
        pick(lang, "Decided", "判定时间"),
        pick(lang, "Rule", "规则"),
        pick(lang, "Outcome", "结果"),
        pick(lang, "Why", "原因"),
        pick(lang, "Evidence", "证据"),
        pick(lang, "Rules", "规则版本"),
        box=None,
        pad_edge=False,
    )
    for decision in found.decisions:
        table.add_row(
            _clock(card, decision.at, found),
            decision.rule,
            words.states.get(decision.outcome, decision.outcome),
            words.why.get(decision.why, decision.why),
            ", ".join(map(str, decision.evidence)),
            escape(f"{decision.rules} ({decision.sha256[:8]})"),
        )
    return table


def _handover_table(
    found: Case, handovers: list[HandoverRow], card: SiteCard | None, lang: Lang
) -> Table:
    words = WORDINGS[lang.value]
    table = Table(
        pick(lang, "To be told by the operator", "须由值班员通知"),
        pick(lang, "Since", "起"),
        pick(lang, "Reason", "理由"),
        pick(lang, "Gate", "放行"),
        box=None,
        pad_edge=False,
    )
    for row in handovers:
        told = row.handover
        table.add_row(
            words.destinations[told.to.value],
            _clock(card, told.at, found),
            words.why.get(told.reason, told.reason),
            pick(lang, "released", "已放行") if row.verdict == "released" else escape(row.verdict),
        )
    return table


def _clock(card: SiteCard | None, at: UtcTime, found: Case) -> str:
    """To the millisecond; with the day when it is not that of the case."""
    there = local_time(card, at)
    same = there.date() == local_time(card, found.opened_at).date()
    return f"{there:{'' if same else '%m-%d '}%H:%M:%S.%f}"[:-3]


def bound_word(err_us: int) -> str:
    """An error bound, shortly."""
    if err_us >= 86_400_000_000:
        return "?"
    if err_us >= 1_000_000:
        return f"{err_us / 1e6:.0f} s"
    return f"{err_us / 1e3:.0f} ms"
