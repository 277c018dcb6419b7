"""`take`, `close`, `stand-down`: what an operator orders of the running collector."""

from __future__ import annotations

import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from collector import CollectorError
from collector.adapters.control_socket import Answer, Close, OrderStandDown, Take
from collector.cli.options import (
    DataOption,
    JsonOption,
    Lang,
    LangOption,
    errors_as_text,
    pick,
    print_json,
)
from collector.config import CollectorConfig
from collector.records.case import Outcome

ANSWER_TIMEOUT_S: Final = 15.0
MAX_ANSWER_BYTES: Final = 1 << 20


class Ended(StrEnum):
    """How a case ended."""

    REAL = "real"
    FALSE = "false"
    TEST = "test"
    UNKNOWN = "unknown"


CaseArgument = Annotated[int, typer.Argument(metavar="CASE", help="Number of the case.")]
OperatorOption = Annotated[
    str, typer.Option("--operator", metavar="NAME", help="Who orders it; it is recorded (R4).")
]
NoteOption = Annotated[str, typer.Option("--note", help="Free text kept with the case.")]


@errors_as_text
def take(
    case: CaseArgument,
    operator: OperatorOption,
    data: DataOption,
    note: NoteOption = "",
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Say that you are working on a case.

    \b
    Example:
      tocsin-collector take 12 --operator "Li Si"
    """  # noqa: D301 - \b keeps the examples as they are
    _order(data, Take(case, operator, note))
    _done(lang, f"{operator} is on case {case}.", f"{operator}正在处理警情 {case}。", json=json)


@errors_as_text
def close(
    case: CaseArgument,
    outcome: Annotated[Ended, typer.Option("--outcome", help="What it turned out to be.")],
    operator: OperatorOption,
    data: DataOption,
    note: NoteOption = "",
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Close a case. It stays in the ledger; evidence that comes later opens it or a new one.

    \b
    Examples:
      tocsin-collector close 12 --outcome false --operator "Li Si" --note "cat in the shop"
      tocsin-collector close 12 --outcome real --operator "Li Si"
    """  # noqa: D301 - \b keeps the examples as they are
    _order(data, Close(case, operator, Outcome(outcome.value), note))
    _done(lang, f"Case {case} is closed.", f"警情 {case} 已结案。", json=json)


@errors_as_text
def stand_down(
    panel: Annotated[str, typer.Argument(metavar="PANEL", help="The panel's id.")],
    operator: OperatorOption,
    data: DataOption,
    area: Annotated[
        int, typer.Option("--area", min=0, max=999, help="Number of the area; 0: all of them.")
    ] = 0,
    case: Annotated[int, typer.Option("--case", min=0, help="The case it belongs to.")] = 0,
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Order the stand-down: only then may the alarm memory at the premises be reset (R72).

    \b
    Examples:
      tocsin-collector stand-down shop-1 --operator "Li Si"
      tocsin-collector stand-down shop-1 --area 2 --case 12 --operator "Li Si"
    """  # noqa: D301 - \b keeps the examples as they are
    _order(data, OrderStandDown(panel, operator, area, case))
    _done(
        lang,
        f"Stand-down ordered for {panel}; the panel confirms it with a report of its own.",
        f"已向 {panel} 下达撤警令，主机将以报告确认。",
        json=json,
    )


def _order(data: Path, order: Take | Close | OrderStandDown) -> None:
    """Give the order. CollectorError with the reason when it was not taken."""
    path = CollectorConfig(data_dir=data).control_socket
    answer = ask(path, order)
    if not answer.ok:
        raise CollectorError(answer.why or "refused")


def ask(path: Path, request: msgspec.Struct) -> Answer:
    """One request to the collector listening at `path`, and its answer."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.settimeout(ANSWER_TIMEOUT_S)
        try:
            line.connect(str(path))
            line.sendall(msgspec.json.encode(request) + b"\n")
            with line.makefile("rb") as heard:
                said = heard.readline(MAX_ANSWER_BYTES)
        except TimeoutError:
            raise CollectorError(
                f"the collector did not answer within {ANSWER_TIMEOUT_S:g} s; "
                "look at the case before you order it again"
            ) from None
        except OSError as error:
            raise CollectorError(
                f"no collector runs in {path.parent} ({error.strerror or error}); "
                "start it with: tocsin-collector run"
            ) from None
    try:
        return msgspec.json.decode(said, type=Answer)
    except msgspec.MsgspecError:
        raise CollectorError("the collector hung up without an answer") from None


def _done(lang: Lang, en: str, zh: str, *, json: bool) -> None:
    if json:
        print_json(Answer(ok=True))
    else:
        print(pick(lang, en, zh))
