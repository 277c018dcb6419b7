"""The panel's call machine: whole calls against a modelled line (issue test 3)."""

from __future__ import annotations

import itertools

import pytest

from edge.reporting.phone.call import Call
from edge.reporting.phone.call_types import (
    Block,
    CallEffect,
    CallTimes,
    Cause,
    Ended,
    Kissed,
    Note,
    Order,
    Ready,
    Sending,
    Step,
)
from edge.reporting.phone.line import (
    Dial,
    Dialled,
    Dropped,
    LineInput,
    Play,
    Played,
    Release,
    Released,
    Seize,
    Seized,
    Voice,
)
from protocols.contact_id.message import Message, encode, keys_of
from protocols.instants import NS_PER_MS, NS_PER_S, Instant, later
from protocols.tones.elements import Digits, Progress, ProgressHeard, ToneHeard
from tests.support.phone_world import FarEnd, ModelLine

BLOCKS = [encode(Message("1234", "1", "131", "01", f"{zone:03d}")) for zone in range(1, 6)]


class Rig:
    """Drives a Call against a ModelLine until it has ended; sends `blocks` in order."""

    def __init__(self, far: FarEnd, blocks: list[str], times: CallTimes | None = None) -> None:
        self.line = ModelLine(far)
        self.call = Call(times or CallTimes())
        self.blocks = list(blocks)
        self.log: list[tuple[float, CallEffect]] = []
        self.now = Instant(0)

    def carry(self, effects: list[CallEffect]) -> None:
        for effect in effects:
            self.log.append((self.now / NS_PER_S, effect))
            if isinstance(effect, Order):
                self.line.order(effect.order, self.now)
            elif isinstance(effect, Ready):
                if self.blocks:
                    block = Block(len(self.log), self.blocks.pop(0))
                    self.carry(self.call.send(block, self.now))
                else:
                    self.carry(self.call.hang_up(self.now))

    def run(self, number: str = "01082000", limit_s: float = 300) -> Ended:
        self.carry(self.call.start(number, self.now))
        while self.call.up:
            times = [t for t in (self.line.next_at(), self.call.deadline()) if t is not None]
            assert times, f"nothing will happen in step {self.call.step}"
            due = min(times)
            self.now = max(self.now, due)
            assert self.now < limit_s * NS_PER_S
            if self.line.next_at() == due:
                self.carry(self.call.receive(self.line.take(), self.now))
            else:
                self.carry(self.call.tick(self.now))
        last = self.log[-1][1]
        assert isinstance(last, Ended)
        return last

    def told(self, kind: type[CallEffect]) -> list[CallEffect]:
        return [effect for _, effect in self.log if isinstance(effect, kind)]

    def zones_kissed(self) -> list[str]:
        return [each.block.digits[12:15] for each in self.told(Kissed) if isinstance(each, Kissed)]


def test_a_good_call_carries_every_block_and_hangs_up() -> None:
    rig = Rig(FarEnd(), BLOCKS)
    assert rig.run() == Ended(Cause.DONE, "", Step.PAUSE)
    assert [message.number for message in rig.line.received] == ["001", "002", "003", "004", "005"]
    assert rig.zones_kissed() == ["001", "002", "003", "004", "005"]
    orders = [e.order for e in rig.told(Order) if isinstance(e, Order)]
    assert orders[:2] == [Seize(False), Dial("01082000", False)]
    assert orders[2] == Play((Digits(keys_of(BLOCKS[0]), 50, 50),))
    assert orders[-1] == Release()


def test_blocks_begin_250_to_300_ms_after_the_tone_before_them() -> None:
    rig = Rig(FarEnd(), BLOCKS)
    rig.run()
    assert len(rig.line.gaps_ms) == 5
    assert all(250 <= gap <= 300 for _, gap in rig.line.gaps_ms)


def test_a_block_without_kiss_off_goes_four_times_and_no_more() -> None:
    rig = Rig(FarEnd(kisses=lambda n: False), BLOCKS)
    ended = rig.run()
    assert (ended.cause, ended.detail) == (Cause.NO_KISS_OFF, "4 tries")
    assert [digits for _, digits in rig.line.plays] == [BLOCKS[0]] * 4
    starts = [at / NS_PER_MS for at, _ in rig.line.plays]
    waits = [b - a - 1600 for a, b in itertools.pairwise(starts)]
    assert all(1250 <= wait <= 1600 for wait in waits)  # 1.25 s, then the pause


def test_each_kiss_off_resets_the_count_of_tries() -> None:
    lost = {1, 2, 3, 5, 6, 7}
    rig = Rig(FarEnd(kisses=lambda n: n not in lost), BLOCKS[:2])
    assert rig.run().cause is Cause.DONE
    assert [digits for _, digits in rig.line.plays] == [BLOCKS[0]] * 4 + [BLOCKS[1]] * 4
    assert [e.tries for e in rig.told(Sending) if isinstance(e, Sending)] == [
        1,
        2,
        3,
        4,
        1,
        2,
        3,
        4,
    ]


def test_a_garbled_block_is_repeated_until_it_is_kissed_off() -> None:
    tries = iter([None, "123418113101001", None])
    rig = Rig(FarEnd(hears=lambda digits: next(tries, digits)), BLOCKS[:1])
    assert rig.run().cause is Cause.DONE
    assert len(rig.line.plays) == 4
    assert rig.zones_kissed() == ["001"]


@pytest.mark.parametrize(
    ("kiss", "why"),
    [
        (((0, 100), (1400, 500)), "too short"),
        (((0, 100), (1400, 599)), "just too short"),
        (((0, 100), (2300, 850)), "wrong pitch"),
        (((0, 1500), (1400, 850)), "too late"),
    ],
)
def test_what_is_no_kiss_off(kiss: tuple[tuple[int, int], ...], why: str) -> None:
    rig = Rig(FarEnd(kiss=kiss), BLOCKS[:1])
    ended = rig.run()
    if why == "too late":
        # It begins after 1.25 s, when the panel is about to repeat: the repeat waits for its end.
        assert rig.zones_kissed() in ([], ["001"])
    else:
        assert ended.cause is Cause.NO_KISS_OFF
        assert rig.zones_kissed() == []


def test_a_kiss_off_of_600_ms_is_one_and_its_end_is_awaited() -> None:
    rig = Rig(FarEnd(kiss=((0, 100), (1400, 600))), BLOCKS[:2])
    assert rig.run().cause is Cause.DONE
    assert rig.zones_kissed() == ["001", "002"]
    long = Rig(FarEnd(kiss=((0, 100), (1400, 2000))), BLOCKS[:2])
    assert long.run().cause is Cause.DONE
    assert all(250 <= gap <= 300 for _, gap in long.line.gaps_ms)


def test_a_tone_without_end_is_no_kiss_off() -> None:
    rig = Rig(FarEnd(kiss=((0, 100), (1400, 600_000))), BLOCKS[:1])
    ended = rig.run()
    assert (ended.cause, ended.detail) == (Cause.NO_KISS_OFF, "tone without end")
    assert rig.zones_kissed() == []


def _at_the_block() -> tuple[Call, Instant]:
    """A call whose first block is going out."""
    call, now = Call(CallTimes()), Instant(0)
    call.start("1", now)
    steps: list[LineInput] = [Seized(), ProgressHeard(Progress.DIAL_TONE, 0), Dialled()]
    for given in steps:
        call.receive(given, now)
    for given in (
        ToneHeard(1400, True, 30, 30),
        ToneHeard(1400, False, 100, 100),
        ToneHeard(2300, True, 230, 30),
        ToneHeard(2300, False, 300, 100),
    ):
        effects = call.receive(given, now)
    assert Ready() in effects
    call.send(Block(1, BLOCKS[0]), now)
    now = later(now, 0.25)
    assert any(isinstance(e, Order) for e in call.tick(now))
    return call, now


def test_a_tone_that_was_there_while_we_sent_is_no_kiss_off() -> None:
    call, now = _at_the_block()
    now = later(now, 1.0)
    call.receive(ToneHeard(1400, True, 2000, 30), now)
    now = later(now, 0.6)
    assert call.receive(Played(), now) == []
    now = later(now, 0.9)
    told = call.receive(ToneHeard(1400, False, 3500, 1500), now)
    assert not [e for e in told if isinstance(e, Kissed)]


def test_echo_of_our_own_digits_is_neither_kiss_off_nor_handshake() -> None:
    call, now = _at_the_block()
    for _ in range(16):  # the 1336 Hz of each digit comes back as a short 1400
        now = later(now, 0.1)
        assert call.receive(ToneHeard(1400, True, 0, 30), now) == []
        assert call.receive(ToneHeard(1400, False, 50, 50), later(now, 0.02)) == []
    call.receive(Played(), now)
    assert call.receive(ToneHeard(1400, True, 0, 30), later(now, 0.05)) == []
    assert call.receive(ToneHeard(1400, False, 50, 50), later(now, 0.09)) == []
    now = later(now, 1.25)
    call.tick(now)
    assert call.step is Step.PAUSE  # it repeats


def test_a_kiss_off_whose_beginning_crosses_the_end_of_playing_counts() -> None:
    call, now = _at_the_block()
    now = later(now, 1.59)
    assert call.receive(ToneHeard(1400, True, 0, 30), now) == []  # began 30 ms ago
    now = later(now, 0.03)
    call.receive(Played(), now)
    told = call.receive(ToneHeard(1400, False, 0, 850), later(now, 0.8))
    assert [type(e) for e in told] == [Note, Kissed, Ready]


def test_a_receiver_that_begins_anew_gets_the_block_again_at_once() -> None:
    heard = iter([None])
    rig = Rig(FarEnd(hears=lambda d: next(heard, d), rehandshake_ms=500), BLOCKS[:1])
    assert rig.run().cause is Cause.DONE
    (first, _), (second, _) = rig.line.plays
    since_handshake_ms = (second - first) / NS_PER_MS - 1600 - 500 - 300
    assert 250 <= since_handshake_ms <= 300


def test_no_block_is_spoken_over_a_handshake_that_has_begun() -> None:
    heard = iter([None])
    rig = Rig(FarEnd(hears=lambda d: next(heard, d), rehandshake_ms=1150), BLOCKS[:1])
    assert rig.run().cause is Cause.DONE
    assert len(rig.line.plays) == 2
    assert all(250 <= gap <= 300 for _, gap in rig.line.gaps_ms)


@pytest.mark.parametrize(
    ("far", "cause", "detail", "at"),
    [
        (FarEnd(no_line="no_voltage"), Cause.NO_LINE, "no_voltage", Step.SEIZING),
        (FarEnd(no_line="in_use"), Cause.IN_USE, "", Step.SEIZING),
        (FarEnd(dial_tone_ms=None), Cause.NO_DIAL_TONE, "", Step.DIAL_TONE),
        (FarEnd(talk=True), Cause.IN_USE, "somebody talks", Step.DIAL_TONE),
        (FarEnd(busy=True), Cause.BUSY, "busy", Step.ANSWER),
        (FarEnd(failed="503"), Cause.FAILED, "503", Step.ANSWER),
        (FarEnd(answer_ms=None), Cause.NO_ANSWER, "", Step.ANSWER),
        (FarEnd(voice=True), Cause.VOICE_ANSWER, "", Step.ANSWER),
        (FarEnd(voice=True, signalled=True), Cause.VOICE_ANSWER, "", Step.ANSWER),
        (
            FarEnd(handshake=((2300, 100),)),
            Cause.WRONG_HANDSHAKE,
            "single tones only",
            Step.ANSWER,
        ),
        (FarEnd(handshake=(), signalled=True), Cause.WRONG_HANDSHAKE, "silence", Step.ANSWER),
        (FarEnd(cut_in_play_ms=700), Cause.LINE_CUT, "no_voltage", Step.SENDING),
    ],
)
def test_every_misfortune_ends_in_its_cause(
    far: FarEnd, cause: Cause, detail: str, at: Step
) -> None:
    rig = Rig(far, BLOCKS)
    assert rig.run() == Ended(cause, detail, at)
    assert rig.zones_kissed() == []


@pytest.mark.parametrize("digit", range(1, 17))
def test_dropped_at_each_digit(digit: int) -> None:
    rig = Rig(FarEnd(drop_in_play_ms=(digit - 1) * 100 + 20), BLOCKS)
    assert rig.run() == Ended(Cause.DROPPED, f"far_end at digit {digit}", Step.SENDING)
    assert rig.zones_kissed() == []
    assert len(rig.line.plays) == 1


def test_blind_dialling_needs_no_dial_tone() -> None:
    rig = Rig(FarEnd(dial_tone_ms=None), BLOCKS[:1], CallTimes(blind=True, dial_tone_s=2))
    assert rig.run().cause is Cause.DONE
    assert Note("dial_tone_missing", "dialled blind") in rig.told(Note)


@pytest.mark.parametrize("stretch", [0.7, 1.0, 1.5, 5.0])
def test_handshakes_of_many_lengths(stretch: float) -> None:
    ms = round(100 * stretch)
    rig = Rig(FarEnd(handshake=((1400, ms), (0, ms), (2300, ms))), BLOCKS[:1])
    assert rig.run().cause is Cause.DONE


def test_other_formats_handshakes_before_ours_do_no_harm() -> None:
    tones = ((2300, 100), (0, 2000), (1400, 100), (0, 2000), (1400, 100), (0, 100), (2300, 100))
    rig = Rig(FarEnd(handshake=tones), BLOCKS[:1])
    assert rig.run().cause is Cause.DONE


def test_a_line_check_only_listens() -> None:
    rig = Rig(FarEnd(), [])
    assert rig.run(number="").cause is Cause.DONE
    assert rig.line.dialled == []
    assert Rig(FarEnd(dial_tone_ms=None), []).run(number="").cause is Cause.NO_DIAL_TONE


def test_hanging_up_of_the_far_end_during_a_long_kiss_off_counts_it() -> None:
    call, now = _at_the_block()
    now = later(now, 1.6)
    call.receive(Played(), now)
    call.receive(ToneHeard(1400, True, 0, 30), later(now, 0.13))
    told = call.receive(Dropped("far_end"), later(now, 0.75))
    assert [type(e) for e in told] == [Note, Kissed, Ended]
    call, now = _at_the_block()
    now = later(now, 1.6)
    call.receive(Played(), now)
    call.receive(ToneHeard(1400, True, 0, 30), later(now, 0.13))
    told = call.receive(Dropped("far_end"), later(now, 0.35))
    assert [type(e) for e in told] == [Ended]


def test_listen_in_holds_the_line_until_its_time_or_its_end() -> None:
    call, now = _at_the_block()
    now = later(now, 1.6)
    call.receive(Played(), now)
    call.receive(ToneHeard(1400, True, 0, 30), later(now, 0.13))
    now = later(now, 0.95)
    call.receive(ToneHeard(1400, False, 0, 850), now)
    assert call.listen_in(later(now, 60)) == [Note("voice"), Order(Voice(True))]
    assert call.tick(later(now, 59)) == []
    told = call.tick(later(now, 60))
    assert told == [Order(Voice(False)), Order(Release())]
    assert call.receive(Released(), later(now, 61)) == [
        Ended(Cause.DONE, "listen-in over", Step.VOICE)
    ]


def test_a_line_that_answers_no_order_is_given_up() -> None:
    call, now = Call(CallTimes()), Instant(0)
    call.start("1", now)
    due = call.deadline()
    assert due is not None
    assert call.tick(due) == [Order(Release())]
    due = call.deadline()
    assert due is not None
    assert call.tick(due) == [Ended(Cause.LINE_SILENT, "seize", Step.SEIZING)]
    assert not call.up
