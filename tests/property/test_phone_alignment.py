"""Lists against reports: whatever a panel and a bad line make of them, no wrong Record is named."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.dedupe.alignment import Entry, Heard, align
from collector.dedupe.seen import Key

A: Key = (130, 1, 1, 1)
B: Key = (130, 1, 1, 2)
C: Key = (131, 1, 1, 1)


@st.composite
def lived(draw: st.DrawFn) -> tuple[list[Entry], list[Heard], list[int]]:
    """What a panel lists, what was heard of it, and the truth: the entry of each report."""
    keys = draw(st.lists(st.sampled_from((A, B, C)), min_size=1, max_size=8))
    heard: list[Heard] = []
    truth: list[int] = []
    listed: list[Entry] = []
    call = 1
    for number, key in enumerate(keys):
        tries = draw(st.integers(1, 4))
        copies = 0
        for _ in range(tries):
            if draw(st.integers(0, 9)) == 0:
                call += 1
            if draw(st.booleans()):
                heard.append(Heard(key, call))
                truth.append(number)
                copies += 1
        kissed = copies > 0 and draw(st.booleans())
        known = draw(st.integers(0, 9)) > 1
        listed.append(Entry(key if known else None, int(kissed), tries))
    return listed, heard, truth


@given(lived())
@settings(max_examples=400, deadline=None)
def test_the_truth_is_always_among_what_is_possible(
    case: tuple[list[Entry], list[Heard], list[int]],
) -> None:
    listed, heard, truth = case
    found = align(listed, heard)
    assert found is not None
    for which, entry in zip(found, truth, strict=True):
        assert entry in which


def test_a_report_the_list_does_not_account_for_joins_nothing() -> None:
    assert align([Entry(A, 1, 1)], [Heard(A, 1), Heard(B, 1)]) is None
    assert align([Entry(A, 1, 1), Entry(B, 1, 1)], [Heard(A, 1)]) is None
    assert align([Entry(A, 1, 1)], [Heard(A, 1), Heard(A, 1)]) is None


def test_equal_events_are_told_apart_by_order() -> None:
    assert align([Entry(A, 1, 1), Entry(A, 1, 2)], [Heard(A, 1)] * 3) == [{0}, {1}, {1}]
    assert align([Entry(A, 1, 2), Entry(A, 0, 2)], [Heard(A, 1)] * 2) == [{0}, {0, 1}]


def test_copies_with_another_report_between_them_in_one_call_are_two_records() -> None:
    listed = [Entry(A, 1, 2), Entry(B, 1, 1), Entry(A, 0, 2)]
    assert align(listed, [Heard(A, 1), Heard(B, 1), Heard(A, 1)]) == [{0}, {1}, {2}]


def test_a_record_of_unknown_content_has_one_content() -> None:
    heard = [Heard(A, 1), Heard(B, 1)]
    assert align([Entry(None, 1, 1)], heard) is None
    assert align([Entry(None, 0, 2), Entry(B, 1, 1)], heard) == [{0}, {1}]
    assert align([Entry(A, 0, 1), Entry(None, 1, 1)], heard) == [{0}, {1}]
