"""Chain building and checking, epoch numbers, side files, debts: the pure part."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge.journal.chain import (
    MAX_EPOCH,
    ChainCheck,
    ChainHead,
    Flaw,
    link,
    next_epoch,
    read_record,
    start_of,
)
from edge.journal.owed import PathDebt
from edge.journal.record_types import Loss, Stamped, Stored
from edge.journal.recovery import LOST, HeadNote, KeptState, changes_arming, trusted_state
from protocols.instants import Instant
from protocols.mqtt.payloads import digest_of
from protocols.panel_event import Code, PanelEvent, Qualifier

FIXED = settings(deadline=None, derandomize=True)


def chain(count: int, epoch: int = 7) -> list[Stored]:
    head = start_of("p1", epoch)
    made: list[Stored] = []
    for number in range(count):
        event = Stamped(PanelEvent(Code.BURGLARY, zone=number), Instant(number))
        head, stored = link("p1", "b", head, event)
        made.append(stored)
    return made


def check(rows: list[Stored], known: tuple[Loss, ...] = (), floor: int | None = None) -> list[str]:
    checker = ChainCheck("p1", known)
    found = [
        finding
        for row in reversed(rows)
        for finding in checker.feed(row.key.epoch, row.key.seq, row.key.digest, row.raw)
    ]
    return [str(each) for each in found + checker.finish(floor)]


def test_a_whole_chain_holds() -> None:
    assert check(chain(20) + chain(5, 8)) == []
    assert check([]) == []


@FIXED
@given(st.integers(0, 19), st.data())
def test_any_change_to_any_record_is_found(at: int, data: st.DataObject) -> None:
    rows = chain(20)
    raw = bytearray(rows[at].raw)
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    rows[at] = Stored(rows[at].key, bytes(raw))
    assert check(rows)
    forged = Stored(rows[at].key._replace(digest=digest_of(bytes(raw))), bytes(raw))
    rows[at] = forged
    # The newest of all has no successor to vouch for it: the head note and the centre do.
    if at < 19:
        assert check(rows)


def test_gaps_are_named_and_known_ones_excused() -> None:
    rows = chain(20)
    assert check(rows[:5] + rows[8:]) == [f"{Flaw.MISSING.value} 7:6-8"]
    assert check(rows[:5] + rows[8:], known=(Loss(7, 6, 7), Loss(7, 8, 8))) == []
    assert check(rows[:5] + rows[8:], known=(Loss(7, 6, 7),)) != []
    assert check(rows[3:]) == ["missing 7:1-3"]
    assert check(rows[3:], floor=3) == []
    assert check(rows[3:], floor=2) != []


@FIXED
@given(st.integers(-(2**40), 2**45), st.integers(0, 2**16 - 1), st.integers(0, MAX_EPOCH // 2))
def test_epochs_only_rise_and_stay_exact_in_json(wall_s: int, dice: int, known: int) -> None:
    epoch = next_epoch(wall_s, dice, known)
    assert known < epoch < 2**53
    if known < wall_s << 16 <= MAX_EPOCH - 65_536:
        assert epoch == wall_s << 16 | dice


@FIXED
@given(st.binary(max_size=600))
def test_garbage_is_no_record_and_no_note(block: bytes) -> None:
    assert read_record(block) is None
    assert HeadNote.decode(block) is None
    assert KeptState.decode(block, "p1") is None


@FIXED
@given(st.data())
def test_side_files_come_back_or_are_refused(data: st.DataObject) -> None:
    note = HeadNote("p1", ChainHead(5, 9, "ab" * 32), recorded=False, rotated=(4, 77))
    state = KeptState("boot", 5, 9, b"snapshot")
    assert HeadNote.decode(note.encode()) == note
    assert KeptState.decode(state.encode("p1"), "p1") == state
    assert KeptState.decode(state.encode("p1"), "p2") is None
    for block in (note.encode(), state.encode("p1")):
        garbled = bytearray(block)
        garbled[data.draw(st.integers(0, len(block) - 1))] ^= data.draw(st.integers(1, 255))
        assert HeadNote.decode(bytes(garbled)) is None
        assert KeptState.decode(bytes(garbled), "p1") is None


def test_state_is_believed_only_with_a_witness() -> None:
    old, new = KeptState("b", 5, 3, b"old"), KeptState("b", 5, 9, b"new")
    note = HeadNote("p1", ChainHead(5, 9, "ab" * 32))

    def trust(
        kept: KeptState | None, copy: KeptState | None, note: HeadNote | None, arming: int = 0
    ) -> object:
        found = trusted_state(kept, copy, note, (5, arming), damaged=True, existed=True)
        return "lost" if found.lost else found.state

    assert trust(old, new, note) == new
    assert trust(new, old, note) == new
    assert trust(new, None, note) == new
    assert trust(old, None, note) == "lost"
    assert trust(new, None, None) == "lost"
    assert trust(None, old, None) == old
    assert trust(None, old, None, arming=4) == "lost"
    assert trust(None, None, note) == "lost"
    assert trust(LOST, None, None) == "lost"
    sound = trusted_state(old, new, None, (5, 4), damaged=False, existed=True)
    assert (sound.state, sound.lost) == (old, False)
    assert trusted_state(LOST, None, None, (0, 0), damaged=False, existed=True).lost
    assert not trusted_state(None, None, None, (0, 0), damaged=True, existed=False).lost


def test_arming_changes() -> None:
    assert changes_arming(PanelEvent(Code.OPEN_CLOSE, Qualifier.RESTORE))
    assert changes_arming(PanelEvent(Code.ARMED_STAY))
    assert changes_arming(PanelEvent(Code.ZONE_BYPASS))
    assert not changes_arming(PanelEvent(Code.BURGLARY))


@FIXED
@given(
    st.lists(
        st.tuples(st.booleans(), st.lists(st.integers(1, 40), max_size=20)),
        max_size=12,
    ),
    st.sets(st.integers(1, 40)),
)
def test_debt_is_what_was_not_acknowledged(
    steps: list[tuple[bool, list[int]]], missing: set[int]
) -> None:
    kept = [row for row in range(1, 41) if row not in missing]

    def after(row: int) -> int | None:
        return next((each for each in kept if each > row), None)

    debt, owed = PathDebt(0), set(kept)
    for again, rows in steps:
        here = [row for row in rows if row in kept]
        if again:
            debt.ask_again(here)
            owed |= set(here)
        else:
            debt.acknowledge(here, after)
            owed -= set(here)
        assert {row for row in kept if debt.owes(row)} == owed
        assert all(row not in owed for row in kept if row <= debt.free_upto())
