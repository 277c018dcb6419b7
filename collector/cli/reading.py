"""What the reading commands share: the ledger of a data folder, cases with their words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from rich.console import Console

from collector.adapters.ledger_reader import LedgerReader
from collector.config import CollectorConfig
from collector.records.case import Case, Kind, State
from collector.records.names import local_time, site_name
from collector.records.sentence import plain
from protocols.mqtt.payloads import SiteCard

POLL_S: Final = 0.3
"""How often `--follow` asks whether anything changed."""
NOT_FOUND: Final = 1

STYLES: Final = {
    State.HANDED_OVER: "bold red",
    State.CONFIRMED: "bold red",
    State.UNCONFIRMED: "yellow",
    State.CANCELLED: "dim",
    State.CLOSED: "dim",
}
_URGENCY: Final = {
    Kind.HOLDUP: 0,
    Kind.FIRE: 1,
    Kind.MEDICAL: 2,
    Kind.BURGLARY: 3,
    Kind.ENVIRONMENT: 4,
    Kind.TAMPER: 5,
    Kind.TROUBLE: 6,
}

tables = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
"""For tables: wraps to the terminal, without colour when it has none."""
notes = Console(stderr=True, highlight=False)


class CaseLine(msgspec.Struct, frozen=True):
    """One case for programs: the plain sentence, its remarks, and the Case as stored."""

    site: str
    sentence: str
    remarks: tuple[str, ...]
    case: Case


@contextmanager
def opened(data: Path) -> Iterator[LedgerReader]:
    """The ledger of the data folder, read-only; works beside a running collector."""
    with opened_url(CollectorConfig(data_dir=data).url) as reader:
        yield reader


@contextmanager
def opened_url(url: str) -> Iterator[LedgerReader]:
    """The ledger at a database URL, read-only."""
    reader = LedgerReader(url)
    try:
        yield reader
    finally:
        reader.close()


class Cards:
    """Site cards, read again when the ledger has changed."""

    def __init__(self, reader: LedgerReader) -> None:
        self._reader = reader
        self._known: dict[str, SiteCard | None] = {}

    def of(self, panel: str) -> SiteCard | None:
        """The panel's newest card."""
        if panel not in self._known:
            self._known[panel] = self._reader.card(panel)
        return self._known[panel]

    def forget(self) -> None:
        """Something changed."""
        self._known.clear()


def line_of(case: Case, card: SiteCard | None, lang: str) -> CaseLine:
    """The case with its words."""
    said = plain(case, card, lang)
    return CaseLine(site_name(card, case.panel, lang), said.first, said.remarks, case)


def opened_at(case: Case, card: SiteCard | None) -> str:
    """When it began, in the site's time."""
    return f"{local_time(card, case.opened_at):%Y-%m-%d %H:%M:%S}"


def urgency(case: Case) -> tuple[bool, int, int]:
    """Sort key: what must be told first, then by kind, then newest first."""
    told = case.state in {State.HANDED_OVER, State.CONFIRMED}
    return not told, _URGENCY[case.kind], -case.opened_at


def is_open(case: Case) -> bool:
    """Whether an operator still has to do with it."""
    return case.state is not State.CLOSED


def is_terminal() -> bool:
    """Whether a person looks at standard output."""
    return sys.stdout.isatty()


def interrupted(loop: Callable[[], None]) -> None:
    """Run until Ctrl-C or until the reader of our output has gone; neither is an error."""
    try:
        loop()
    except KeyboardInterrupt:
        return
    except BrokenPipeError:
        # Python would complain once more while closing standard output.
        sys.stdout = open("/dev/null", "w", encoding="utf-8")  # noqa: PTH123, SIM115
