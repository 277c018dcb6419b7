"""`tocsin-collector replay`: the stored history judged again under another rule file."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final

import msgspec
import sqlalchemy
import typer
from rich.progress import Progress
from rich.table import Table
from rich.text import Text

from collector import CollectorError
from collector.adapters.ledger_rows import SignalRow
from collector.adapters.ledger_statements import Statement
from collector.adapters.ledger_store import Draft, LedgerStore
from collector.adapters.rule_files import load_rules
from collector.cli.options import (
    DataOption,
    JsonOption,
    Lang,
    LangOption,
    errors_as_text,
    pick,
    print_json,
)
from collector.cli.reading import Cards, is_terminal, notes, opened, opened_url, tables
from collector.config import CollectorConfig
from collector.judging import CURSOR, Judging
from collector.records.case import Case
from collector.records.names import WORDINGS, local_time, site_name
from collector.verification import CaseMachine, Rules, RulesRefused
from collector.verification.differences import Difference, Side, Tally, differences, tally
from protocols.instants import US_PER_S, UtcTime
from protocols.mqtt.payloads import SiteCard

COPIED: Final = 2000
"""Signals copied, or judged, in one transaction."""
DIFFERENT: Final = 3
"""Exit code when the verdicts differ, so that a script can tell it from an error."""
NO_DIFFERENCE: Final = {"en": "no difference", "zh": "没有差别"}

Report = Callable[[int, int], None]


class Result(msgspec.Struct, frozen=True):
    """A whole replay, for programs: one line, after one line for each Difference."""

    rules: str
    sha256: str
    signals: int
    before: Tally
    after: Tally
    differences: int


@errors_as_text
def replay(
    data: DataOption,
    rules: Annotated[
        str,
        typer.Option(
            "--rules", metavar="FILE", help="Rule file, or a preset: bs8243, shanghai2010."
        ),
    ],
    since: Annotated[
        str | None,
        typer.Option(
            "--since", metavar="TIME", help="Compare only cases that began at or after this time."
        ),
    ] = None,
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Judge the stored history again under another rule file and print what would differ.

    Runs every stored Signal through the same deduplication and verification as the collector does,
    in a scratch ledger; the real one is only read. Under the rules in force it prints exactly
    "no difference". Exit code 0: no difference, 3: there are differences, 1: error.

    \b
    Examples:
      tocsin-collector replay --rules shanghai2010
      tocsin-collector replay --rules ./rules-2027.toml --since 2026-11-01
      tocsin-collector replay --rules ./rules-2027.toml --json
    """  # noqa: D301 - \b keeps the examples as they are
    chosen = load_rules(rules)
    if isinstance(chosen, RulesRefused):
        raise CollectorError(str(chosen))
    start = _time(since)
    with opened(data) as reader:
        before = [case for case in reader.cases() if case.opened_at >= start]
        shown = not json and notes.is_terminal
        with Progress(console=notes, disable=not shown, transient=True) as progress:
            task = progress.add_task(pick(lang, "Judging again", "重新判定"), total=None)

            def report(done: int, of: int) -> None:
                progress.update(task, completed=done, total=of)

            count, judged = judge_again(CollectorConfig(data_dir=data), chosen, report)
        after = [case for case in judged if case.opened_at >= start]
        found = differences(before, after)
        result = Result(
            chosen.version, chosen.sha256, count, tally(before), tally(after), len(found)
        )
        if json:
            for difference in found:
                print_json(difference)
            print_json(result)
        else:
            _print(found, result, Cards(reader), lang)
    if found:
        raise typer.Exit(DIFFERENT)


def judge_again(
    config: CollectorConfig, rules: Rules, report: Report | None = None
) -> tuple[int, list[Case]]:
    """(Signals judged, Cases made) of the stored history under `rules`.

    The very code of the running collector, over a copy of the evidence up to its cursor.
    """

    def make(panel: str, card: SiteCard | None, snapshot: bytes | None) -> CaseMachine:
        if snapshot is None:
            return CaseMachine(rules, panel, card)
        return CaseMachine.restore(rules, panel, card, snapshot)

    with tempfile.TemporaryDirectory(prefix="tocsin-replay-") as scratch:
        url = f"sqlite:///{Path(scratch) / 'replay.db'}"
        store = LedgerStore(url)
        store.open()
        try:
            last, horizon = _copy(config.url, store)
            judging = Judging(config.dedupe, store, make)
            while judging.step(COPIED) is not None:
                if report is not None:
                    report(judging.cursor, last)
            due = judging.deadline()
            while due is not None and due <= horizon:
                judging.idle(horizon)
                due = judging.deadline()
        finally:
            store.close()
        with opened_url(url) as made:
            return judging.cursor, list(made.cases())


def _copy(url: str, store: LedgerStore) -> tuple[int, UtcTime]:
    """Evidence of the ledger up to what was judged; (last Signal, time judged up to)."""
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            row = connection.execute(
                sqlalchemy.text("SELECT signal, horizon FROM cursors WHERE name = :n"),
                {"n": CURSOR},
            ).first()
            last, horizon = (int(row[0]), UtcTime(row[1])) if row is not None else (0, UtcTime(0))
            cards = connection.execute(sqlalchemy.text("SELECT * FROM site_cards ORDER BY id"))
            draft = Draft(UtcTime(0))
            for card in cards:
                draft.add(Statement.SITE_CARD, tuple(card))
            store.commit(draft)
            at = 0
            while at < last:
                rows: list[SignalRow] = [
                    tuple(signal)
                    for signal in connection.execute(
                        sqlalchemy.text(
                            "SELECT * FROM signals WHERE id > :a AND id <= :b ORDER BY id LIMIT :n"
                        ),
                        {"a": at, "b": last, "n": COPIED},
                    )
                ]
                if not rows:
                    break
                store.commit(Draft(UtcTime(rows[-1][3]), signals=rows))
                at = rows[-1][0]
            return last, horizon
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise CollectorError(f"cannot read the ledger: {error}") from error
    finally:
        engine.dispose()


def _time(since: str | None) -> int:
    if since is None:
        return 0
    try:
        there = datetime.fromisoformat(since)
    except ValueError:
        raise CollectorError(
            f"--since {since!r}: write a date or time such as 2026-11-01 or 2026-11-01T22:00+08:00"
        ) from None
    return round(there.astimezone().timestamp() * US_PER_S)


def _print(found: list[Difference], result: Result, cards: Cards, lang: Lang) -> None:
    if not found:
        print(NO_DIFFERENCE[lang.value])
        return
    if is_terminal():
        tables.print(_table(found, cards, lang))
    else:
        for one in found:
            sides = f"{_side(one.before, lang)}  ->  {_side(one.after, lang)}"
            print(f"{one.case}  {one.panel}  {one.kind}  {sides}")
    before, after = result.before, result.after
    most = max(before.cases, after.cases)
    print(
        pick(
            lang,
            f"{len(found)} of {most} cases differ under {result.rules}: "
            f"confirmed {before.confirmed} -> {after.confirmed}, "
            f"handed over {before.handed_over} -> {after.handed_over}, "
            f"cancelled {before.cancelled} -> {after.cancelled}",
            f"按规则 {result.rules}，{most} 个警情中有 {len(found)} 个不同："
            f"已复核 {before.confirmed} -> {after.confirmed}，"
            f"移交 {before.handed_over} -> {after.handed_over}，"
            f"取消 {before.cancelled} -> {after.cancelled}",
        )
    )


def _table(found: list[Difference], cards: Cards, lang: Lang) -> Table:
    table = Table(
        pick(lang, "Case", "警情"),
        pick(lang, "Began", "开始"),
        pick(lang, "Site", "用户"),
        pick(lang, "Kind", "类别"),
        pick(lang, "As it was", "原判定"),
        pick(lang, "Under these rules", "按此规则"),
        pick(lang, "Differs in", "不同之处"),
        box=None,
        pad_edge=False,
    )
    for one in found:
        card = cards.of(one.panel)
        table.add_row(
            str(one.case),
            f"{local_time(card, UtcTime(one.opened_at)):%Y-%m-%d %H:%M}",
            Text(site_name(card, one.panel, lang.value)),
            WORDINGS[lang.value].kinds[one.kind],
            _side(one.before, lang),
            _side(one.after, lang),
            ", ".join(one.what),
        )
    return table


def _side(side: Side, lang: Lang) -> str:
    """One side in words: state, who is told, which rule."""
    words = WORDINGS[lang.value]
    if not side.state:
        return pick(lang, "no such case", "无此警情")
    said = words.states[side.state]
    if side.handed_to:
        said += " " + "+".join(side.handed_to)
    why = words.why.get(side.why, side.why)
    return f"{said} ({side.rule}: {why})" if side.rule else said
