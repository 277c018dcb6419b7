"""Batches of events over bad lines, our dialler and our receiver by sample clock: what became of
each event. Shared by the garble test and the bench.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field

from hil.drivers.exchange_impairment import Dials, SimulatedLine
from protocols.contact_id.message import Message, encode
from tests.support.sample_clock import Kept, PanelEnd, ReceiverEnd, talk

HEX = "0123456789BCDEF"


@dataclass
class Outcome:
    """Counted over events, blocks and calls."""

    events: int = 0
    first_try: int = 0
    """Kissed off after the first sending of their first call."""
    within_four: int = 0
    """Kissed off within the four tries of one call, the first they were sent in."""
    delivered: int = 0
    owed: int = 0
    wrong: int = 0
    """Stored by the receiver, though nobody sent it."""
    doubles: int = 0
    """Stored more than once: the kiss-off was lost."""
    kissed_unstored: int = 0
    """Kissed off, and the receiver has it not: must never be."""
    calls: int = 0
    audio_s: float = 0.0
    refused: int = 0
    unrecognised: int = 0
    causes: Counter[str] = field(default_factory=Counter)


def any_block(dice: random.Random) -> str:
    """Any valid message, as digits."""
    account = "".join(dice.choice(HEX) for _ in range(4))
    code = f"{dice.choice('12345')}{dice.choice(HEX)}{dice.choice(HEX)}"  # not 606, listen-in
    area, number = f"{dice.randrange(100):02d}", f"{dice.randrange(1000):03d}"
    return encode(Message(account, dice.choice("136"), code, area, number))


def carry(
    out: Dials, back: Dials, events: int, per_call: int, seed: int, most_calls: int = 12
) -> Outcome:
    """`events` in batches of `per_call`, each batch in as many calls as it takes, at most so many.

    `out` impairs what the panel says, `back` what the receiver says.
    """
    outcome = Outcome(events=events)
    dice = random.Random(seed)
    for batch in range(0, events, per_call):
        blocks = [any_block(dice) for _ in range(min(per_call, events - batch))]
        _one_batch(outcome, blocks, SimulatedLine(out, back, seed * 100_003 + batch), most_calls)
    return outcome


def _one_batch(outcome: Outcome, blocks: list[str], line: SimulatedLine, most_calls: int) -> None:
    kept = Kept()
    left = list(blocks)
    tried: set[str] = set()
    for _ in range(most_calls):
        panel = PanelEnd(left)
        outcome.audio_s += talk(panel, ReceiverEnd(kept), line, most_s=600)
        assert panel.ended is not None
        outcome.calls += 1
        outcome.causes[panel.ended.cause.value] += 1
        for digits, tries in panel.kissed:
            outcome.first_try += tries == 1 and digits not in tried
            outcome.within_four += digits not in tried
        tried |= set(panel.sent)
        if not left:
            break
    stored = Counter(report.raw for report in kept.reports)
    gone = set(blocks) - set(left)
    outcome.delivered += len(gone)
    outcome.owed += len(left)
    outcome.wrong += len(set(stored) - set(blocks))
    outcome.doubles += sum(count - 1 for digits, count in stored.items() if digits in blocks)
    outcome.kissed_unstored += len(gone - set(stored))
    outcome.refused += sum(record.failed for record in kept.records)
    outcome.unrecognised += len(kept.unrecognised)
