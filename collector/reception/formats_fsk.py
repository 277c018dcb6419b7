"""SIA DC-03 level blocks as a recogniser, as far as they are public (protocols.md 4.1).

What acknowledges a block on a phone line is not public [U]: `answers` False leaves it out, so that
events are kept but the panel is told nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from collector.reception.formats import Block, Event, Failed, Found
from protocols.contact_id import dc03
from protocols.contact_id.message import Refusal
from protocols.tones.elements import Fsk, FskKind, Playable

_ANSWERS: Final = {
    FskKind.BELL103_ORIGINATE: FskKind.BELL103_ANSWER,
    FskKind.V21_ORIGINATE: FskKind.V21_ANSWER,
}
FORMAT: Final = "sia-dc03"
MOST_RAW: Final = 480


class SiaLevel:
    """Account and event blocks, in one transmission or each acknowledged on its own."""

    name = "sia"

    def __init__(self, setting: dc03.Setting | None = None, *, answers: bool = True) -> None:
        self._setting = setting or dc03.Setting()
        self._answers = answers

    def read(self, block: Block) -> Sequence[Found] | Failed | None:
        """One reading; without events when the blocks only name the account or end the data."""
        if not block.fsk:
            return None
        gathering = dc03.Gathering(self._setting)
        for earlier in block.before:
            for each in self._blocks(earlier):
                if isinstance(each, dc03.Block):
                    gathering.receive(each)
            gathering.end()
        told: list[dc03.Told | None] = []
        blocks = self._blocks(block)
        for each in blocks:
            if isinstance(each, Refusal):
                return Failed(FORMAT, f"{each.reason} ({each.clause})")
            told.append(gathering.receive(each))
        told.append(gathering.end())
        return self._found(block, blocks, [each for each in told if each is not None])

    def _blocks(self, block: Block) -> list[dc03.Block | Refusal]:
        reader = dc03.Reader(self._setting)
        read = reader.feed(b"".join(each.data for each in block.fsk))
        return read + list(reader.quiet())

    def _found(
        self, block: Block, blocks: Sequence[dc03.Block | Refusal], told: Sequence[dc03.Told]
    ) -> list[Found] | Failed | None:
        if not blocks:
            return None
        accounts = {each.account for each in told}
        if "" in accounts or len(accounts) > 1:
            return Failed(FORMAT, "events without an account, or of several, in one transmission")
        events = tuple(Event(event) for each in told for event in each.events)
        raw = "|".join(each.raw for each in told)[:MOST_RAW]
        account = accounts.pop() if accounts else ""
        return [Found(FORMAT, account, raw, events, answer=self._answer(block))]

    def _answer(self, block: Block) -> tuple[Playable, ...]:
        heard = block.fsk[-1]
        kind = _ANSWERS.get(heard.kind)
        if kind is None or not self._answers:
            return ()
        return (Fsk(dc03.answer(True, self._setting), kind, heard.baud),)
