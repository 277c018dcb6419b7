"""Whatever happens, the sentence is there, is plain, is bounded."""

from __future__ import annotations

import re
import string

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.records.case import Case
from collector.records.names import WORDINGS
from collector.records.sentence import MAX_CHARS, plain
from protocols.instants import UtcTime
from protocols.mqtt.payloads import CardZone, SiteCard
from protocols.panel_event import Code, Qualifier
from tests.support.case_story import BS, PANEL, SHANGHAI, START, S, Story

CODES = (*map(int, Code), 0, 42, 155, 777, 4242)
names = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs",)), min_size=1, max_size=90
).filter(lambda text: text.strip() != "")
REPR = re.compile(r"<\w+|\w+\(\w+=|None\b|\{\w*\}|\[\d|StrEnum|UtcTime|Qualifier")


@st.composite
def cards(draw: st.DrawFn) -> SiteCard:
    return SiteCard(
        panel=PANEL,
        name=draw(names),
        areas={"1": draw(names), "2": draw(names)},
        zones=[CardZone(z, 1 + z % 2, f"Place {z} {draw(names)}", "instant") for z in range(1, 6)],
        users={"2": draw(names)},
        timezone=draw(
            st.sampled_from(("Asia/Shanghai", "UTC", "Nowhere/Land", "../etc/passwd", ""))
        ),
    )


@st.composite
def told(draw: st.DrawFn) -> list[Case]:
    story = Story(draw(st.sampled_from((BS, SHANGHAI))))
    at = 0
    for _ in range(draw(st.integers(1, 8))):
        at += draw(st.sampled_from((0, 1, 14, 300, 4000, 100_000)))
        story.tell(
            draw(st.sampled_from(CODES)),
            at,
            draw(st.sampled_from(tuple(Qualifier))),
            zone=draw(st.integers(0, 5)),
            area=draw(st.integers(0, 2)),
            user=draw(st.sampled_from((0, 2, 3))),
            test=draw(st.booleans()),
            detail=draw(st.sampled_from(("", "path=mqtt", "zones:3,4"))),
            err_us=draw(st.sampled_from((0, 1000, 90 * S, 10**15))),
            received_s=at + draw(st.sampled_from((0, 9000))),
            mono=draw(st.booleans()),
        )
    if draw(st.booleans()):
        story.take(story.machine.tick(UtcTime(START + 10**13)))
    return list(story.cases.values())


@settings(deadline=None, derandomize=True, max_examples=250)
@given(told(), st.one_of(st.none(), cards()), st.sampled_from(("en", "zh")))
def test_it_is_there_plain_and_bounded(cases: list[Case], card: SiteCard | None, lang: str) -> None:
    words = WORDINGS[lang]
    for case in cases:
        said = plain(case, card, lang)
        assert said.first.endswith(words.stop)
        assert len(said.first) > len(words.stop)
        assert said.text.startswith(said.first)
        assert len(said.text) <= MAX_CHARS
        assert said.text.isprintable()
        for decision in case.decisions:
            assert decision.why in words.why, decision
            assert decision.outcome in words.states
        if card is None:
            assert not REPR.search(said.text), said.text
            continue
        for piece in case.occurrences:
            number = words.zone.format(number=piece.event.zone)
            named = f"Place {piece.event.zone}"
            assert number not in said.text or named in said.text


def test_repr_is_recognised_at_all() -> None:
    for text in ("<Code.FIRE: 110>", "Evidence(occurrence=1", "None", "{name}"):
        assert REPR.search(text), text
    assert not REPR.search(string.ascii_letters)
