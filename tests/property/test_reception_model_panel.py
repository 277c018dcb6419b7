"""A model panel calls over a line that loses, splits, merges and changes digits and kiss-offs.

Whatever happens: what the panel takes for acknowledged was sent by it and is stored (A1, L2).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.reception.call_types import Play, Reported
from collector.reception.profile import Profile
from protocols.contact_id import family, message
from protocols.tones.elements import DigitHeard
from tests.support.reception_line import LAG_MS, Line, is_kiss_off

ON_MS, OFF_MS = 50, 50
PATIENCE_MS = 1250
TRIES = 4
FAULTS = ("lose", "change", "split", "merge", "cut", "late", "weak")


class ModelPanel:
    """Sends `blocks` one after another, four tries each (protocols.md 1.1), over `line`."""

    def __init__(self, line: Line, draw: random.Random, fault_rate: float, deaf_rate: float):
        self.line = line
        self.draw = draw
        self.fault_rate = fault_rate
        self.deaf_rate = deaf_rate
        self.acknowledged: list[str] = []
        self.sent: list[str] = []

    def call(self, blocks: Sequence[str]) -> None:
        line = self.line
        line.answered()
        line.until(lambda each: isinstance(each, Play))
        line.wait(300 + 275)
        for block in blocks:
            if line.over or not self._deliver(block):
                break
        line.hang_up()

    def _deliver(self, block: str) -> bool:
        for _ in range(TRIES):
            if self.line.over:
                return False
            seen = len(self.line.effects)
            self._send(block)
            if self._kissed(seen):
                self.acknowledged.append(block)
                self.line.wait(275)
                return True
        return False

    def _kissed(self, seen: int) -> bool:
        """A kiss-off began within the panel's patience, and was heard; it is waited out."""
        line, end = self.line, self.line.now_ms + PATIENCE_MS
        deaf = self.draw.random() < self.deaf_rate
        while line.now_ms < end and not line.over:
            line.wait(20)
            begun = [at for at, each in line.effects[seen:] if is_kiss_off(each)]
            if begun and not deaf:
                line.wait(begun[0] + 850 - line.now_ms)
                return True
        return False

    def _send(self, block: str) -> None:
        self.sent.append(block)
        digits = self._on_the_line(message.keys_of(block))
        for key, begin, end, level in digits:
            self.line.wait(max(0, end + LAG_MS - self.line.now_ms))
            self.line.hear(DigitHeard(key, begin, end, level))
        rest = self._start + len(block) * (ON_MS + OFF_MS) + LAG_MS - self.line.now_ms
        self.line.wait(max(0, rest))

    def _on_the_line(self, keys: str) -> list[tuple[str, int, int, float]]:
        """(key, begin, end, level) as the receiver hears them."""
        self._start = self.line.now_ms
        heard = [
            (key, self._start + n * (ON_MS + OFF_MS), self._start + n * (ON_MS + OFF_MS) + ON_MS)
            for n, key in enumerate(keys)
        ]
        out = [(key, begin, end, -9.0) for key, begin, end in heard]
        while self.draw.random() < self.fault_rate and out:
            at = self.draw.randrange(len(out))
            key, begin, end, level = out[at]
            match self.draw.choice(FAULTS):
                case "lose":
                    del out[at]
                case "change" if [one[0] for one in out] == list(keys):  # one of a block at most
                    out[at] = (self.draw.choice("0123456789*#ABC"), begin, end, level)
                case "split" if end - begin >= 40:
                    out[at : at + 1] = [
                        (key, begin, begin + 20, level),
                        (key, end - 20, end, level),
                    ]
                case "merge" if at + 1 < len(out):
                    out[at : at + 2] = [(key, begin, out[at + 1][2], level)]
                case "cut":
                    out = out[:at]
                case "late":
                    out = [each for each in out if each[1] >= begin]
                case "weak":
                    out[at] = (key, begin, end, level - 12)
                case _:
                    continue
        return out


def blocks_for(draw: random.Random, count: int) -> list[str]:
    """A panel's accounts are all of one length: what else would tell the last 16 digits of 22, when
    it has just sent 16?
    """
    made = []
    digits = draw.choice((4, 4, 4, 10))
    for _ in range(count):
        kind = draw.randrange(6) if digits == 4 else 0
        account = f"{draw.randrange(10**digits):0{digits}d}"
        if kind == 1:
            data = "".join(draw.choice("155555") for _ in range(8)) + "7"
            made.append(family.encode(family.Format.HIGH_SPEED, account, data))
            continue
        if kind == 2:
            made.append(family.encode(family.Format.EXPRESS_4_1, account, draw.choice("123456789")))
            continue
        code = draw.choice(("130", "131", "401", "602", "717", "727", "756"))
        zone = f"{draw.randrange(1000):03d}"
        made.append(message.encode(message.Message(account, draw.choice("136"), code, "01", zone)))
    return made


@settings(max_examples=120, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.3, 0.6, 0.8]),
    st.sampled_from([0.0, 0.3]),
    st.sampled_from([0.0, 0.3]),
)
def test_acknowledged_was_sent_and_is_stored(
    seed: int, fault_rate: float, deaf_rate: float, refuse_rate: float
) -> None:
    draw = random.Random(seed)
    kept: list[Reported] = []

    def store(reports: Sequence[Reported]) -> str:
        if draw.random() < refuse_rate:
            return "disk full"
        kept.extend(reports)
        return ""

    line = Line(store=store, profile=Profile(max_call_s=600))
    panel = ModelPanel(line, draw, fault_rate, deaf_rate)
    panel.call(blocks_for(draw, 4))
    stored = {each.raw for each in kept}
    assert stored <= set(panel.sent), "a block was stored that nobody sent"
    assert set(panel.acknowledged) <= stored, "acknowledged and not stored"
    assert {each.raw for _, each in line.kissed} <= stored
    assert [each.index for each in line.stored] == sorted({each.index for each in line.stored})


def test_a_clean_line_delivers_everything_at_the_first_try() -> None:
    draw = random.Random(5)
    blocks = [
        message.encode(message.Message(f"{n:04d}", "1", "130", "01", f"{n:03d}"))
        for n in range(1, 30)
    ]
    line = Line(profile=Profile(max_call_s=600))
    panel = ModelPanel(line, draw, 0.0, 0.0)
    panel.call(blocks)
    assert panel.acknowledged == blocks
    assert panel.sent == blocks
