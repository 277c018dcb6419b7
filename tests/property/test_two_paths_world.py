"""Two bad paths against the truth: nothing lost, no two events made one, nothing shown twice."""

from __future__ import annotations

import pytest

from collector.dedupe import Policy
from tests.support.two_paths_centre import Tally, panel, world


def _nothing_hidden(tally: Tally) -> None:
    """What is held says what is on the screen, but for what a path that died unnoticed hides."""
    assert tally.longest_unseen_s <= 2 * Policy().settle_s  # one may follow on another
    assert tally.longest_unseen_alarm_s <= Policy().alarm_hold_s + 0.001
    assert tally.largest_snapshot_bytes < 128_000


@pytest.mark.parametrize("seed", [1, 2])
def test_with_marks_every_event_is_shown_once_in_the_end(seed: int) -> None:
    tally = world(seed, 5_000, marks=True)
    print(tally)
    assert (tally.lost, tally.merged, tally.twice_at_the_end) == (0, 0, 0)
    assert tally.both_paths > 0.3 * tally.events, "the paths hardly meet: this proves nothing"
    assert tally.twice_at_some_time < 0.02 * tally.both_paths
    _nothing_hidden(tally)


@pytest.mark.parametrize("number", [74, 128, 137, 166, 174, 495, 968])
def test_panels_whose_last_mark_was_not_heard_or_whose_calls_came_close(number: int) -> None:
    tally = panel(2 * 1_000_003 + number, 500, marks=True)
    assert (tally.lost, tally.merged, tally.twice_at_the_end) == (0, 0, 0)
    _nothing_hidden(tally)


@pytest.mark.parametrize("seed", [3, 4])
def test_without_marks_all_is_one_in_the_end_when_every_record_came(seed: int) -> None:
    tally = world(seed, 5_000, marks=False)
    print(tally)
    assert (tally.lost, tally.merged, tally.twice_at_the_end) == (0, 0, 0)
    assert tally.both_paths > 0.3 * tally.events, "the paths hardly meet: this proves nothing"
    assert tally.twice_at_some_time < 0.05 * tally.both_paths
    _nothing_hidden(tally)


@pytest.mark.parametrize("marks", [True, False])
def test_kills_and_disk_faults_leave_doubt_and_nothing_is_lost_or_merged(*, marks: bool) -> None:
    tally = world(5, 4_000, marks=marks, faults=True)
    print(tally)
    assert (tally.lost, tally.merged) == (0, 0)
    assert tally.twice_at_the_end < (0.01 if marks else 0.15) * tally.both_paths
    _nothing_hidden(tally)
