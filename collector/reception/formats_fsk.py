"""SIA DC-03 level blocks as a recogniser, as far as they are public (protocols.md 4.1).

What acknowledges a block on a phone line is not public [U]: see `Answer`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from collector.reception.formats import Block, Event, Failed, Found
from protocols.contact_id import dc03
from protocols.contact_id.message import Refusal
from protocols.tones.elements import Fsk, FskHeard, FskKind, Playable, Tone

_ANSWERS: Final = {
    FskKind.BELL103_ORIGINATE: FskKind.BELL103_ANSWER,
    FskKind.V21_ORIGINATE: FskKind.V21_ANSWER,
}
FORMAT: Final = "sia-dc03"
MOST_RAW: Final = 480
_END: Final = "0"


@dataclass(frozen=True, slots=True)
class Answer:
    """How a good block is acknowledged. `kind` "block": by a block of the receiver's own after
    `ms` of carrier; "tone": by `ms` of one tone of `hz` (None: the carrier's mark); "none": events
    are kept but the panel is told nothing.
    """

    kind: str = "block"
    hz: float | None = None
    ms: int = 200


class SiaLevel:
    """Account and event blocks, in one transmission or each acknowledged on its own."""

    name = "sia"

    def __init__(self, setting: dc03.Setting | None = None, answer: Answer | None = None) -> None:
        self._setting = setting or dc03.Setting()
        self._answering = answer or Answer()

    def read(self, block: Block) -> Sequence[Found] | Failed | None:
        """One reading; without events when the blocks only name the account or end the data."""
        if not block.fsk:
            return None
        gathering = dc03.Gathering(self._setting, block.account)
        told: list[dc03.Told | None] = []
        blocks = self._blocks(block)
        for each in blocks:
            if isinstance(each, Refusal):
                return Failed(FORMAT, f"{each.reason} ({each.clause})")
            told.append(gathering.receive(each))
        told.append(gathering.end())
        if not blocks:
            return None
        found = self._found([each for each in told if each is not None], gathering.account)
        if isinstance(found, Failed):
            return found
        return [replace(found, answer=self._answer(block.fsk[-1]))]

    def _blocks(self, block: Block) -> list[dc03.Block | Refusal]:
        """Blocks, and at their end why reading stopped. The parity is only a sum of columns, so a
        byte without its stop bit refuses what it stands in too. Less than a block after the end of
        data is the end of the carrier.
        """
        reader = dc03.Reader(self._setting)
        blocks: list[dc03.Block | Refusal] = []
        rest = 0
        spoilt = False
        for piece in block.fsk:
            spoilt |= bool(piece.framing_errors)
            rest += len(piece.data)
            for each in reader.feed(piece.data):
                if isinstance(each, Refusal):
                    return blocks if self._ended(blocks, rest) else [*blocks, each]
                if spoilt:
                    return [*blocks, Refusal("a byte without its stop bit", dc03.CLAUSE)]
                blocks.append(each)
                rest -= dc03.OVERHEAD + len(each.payload)
        return blocks if self._ended(blocks, rest) else [*blocks, *reader.quiet()]

    def _ended(self, blocks: Sequence[dc03.Block | Refusal], rest: int) -> bool:
        last = blocks[-1] if blocks else None
        return isinstance(last, dc03.Block) and last.function == _END and rest < dc03.OVERHEAD

    def _found(self, told: Sequence[dc03.Told], named: str) -> Found | Failed:
        accounts = {each.account for each in told} or {named}
        if (told and "" in accounts) or len(accounts) > 1:
            return Failed(FORMAT, "events without an account, or of several, in one transmission")
        events = tuple(Event(event) for each in told for event in each.events)
        raw = "|".join(each.raw for each in told)[:MOST_RAW]
        return Found(FORMAT, accounts.pop(), raw, events)

    def _answer(self, heard: FskHeard) -> tuple[Playable, ...]:
        kind = _ANSWERS.get(heard.kind)
        if kind is None or self._answering.kind == "none":
            return ()
        if self._answering.kind == "tone":
            mark_hz, _ = kind.value
            return (Tone(self._answering.hz or mark_hz, self._answering.ms),)
        block = dc03.answer(True, self._setting)
        return (Fsk(block, kind, heard.baud, self._answering.ms),)
