"""The receiver's call machine: one transcript for each format and each misfortune (R85)."""

from __future__ import annotations

import pytest

from collector.reception.call_types import (
    Answered,
    Behind,
    HangUp,
    HungUp,
    Learned,
    LeaveToVoice,
    Play,
    Preferred,
    Stored,
)
from collector.reception.profile import ASTERISK, DUAL, SINGLE_1400, SINGLE_2300, Profile
from protocols.contact_id import family
from protocols.contact_id.message import Message, encode
from protocols.phone_batch import mark_of
from protocols.tones.elements import (
    Progress,
    ProgressHeard,
    Silence,
    Tone,
    ToneHeard,
)
from tests.support.reception_line import Line, block_of, is_kiss_off

BLOCK = block_of()


def ready(**given: object) -> Line:
    """Answered, and the first handshake sounded."""
    line = Line(**given).answered()  # type: ignore[arg-type]
    line.until(lambda each: isinstance(each, Play))
    line.wait(600)
    return line


def test_handshake_after_a_silence_of_half_to_two_seconds() -> None:
    line = Line().answered()
    line.wait(980)
    assert line.effects == []
    line.wait(20)
    assert line.played == [(1000, (Tone(1400, 100), Silence(100), Tone(2300, 100)))]


def test_a_block_is_stored_then_kissed_off_within_the_panels_patience() -> None:
    line = ready()
    line.digits(BLOCK)
    last = line.now_ms - 40
    line.wait(400)
    (report,) = line.stored
    assert (report.account, report.format, report.raw, report.index) == (
        "1234",
        "contact-id",
        BLOCK,
        0,
    )
    assert (report.event.code, report.event.zone, report.event.area) == (131, 15, 1)
    ((at, kissed),) = line.kissed
    assert kissed is report
    assert 100 <= at - last <= 300  # panels wait 1.25 s (protocols.md 1.1)
    assert line.played[-1][1] == (Tone(1400, 850),)


def test_what_worked_is_learned_and_goes_first_next_time() -> None:
    line = ready()
    line.wait(2480)  # 2300 Hz is sounded; this panel answers to that
    line.digits(BLOCK)
    line.wait(400)
    (learned,) = line.kinds(Learned)
    assert isinstance(learned, Learned)
    assert learned == Learned("02155512345", Preferred("2300", "contact-id", 16))
    again = Line(preferred=learned.preferred).answered()
    again.wait(1000)
    assert again.played[0][1] == SINGLE_2300.sound
    again.wait(600)
    again.digits(BLOCK)
    again.wait(400)
    assert again.kissed
    assert again.kinds(Learned) == []  # nothing new


def test_several_events_in_one_call_until_the_caller_hangs_up() -> None:
    line = ready()
    for zone in range(5):
        line.digits(block_of(number=f"{zone:03d}"))
        line.until(is_kiss_off, 2000)
        line.wait(850 + 280)
    line.hang_up()
    assert [each.event.zone for each in line.stored] == [0, 1, 2, 3, 4]
    assert [each.index for each in line.stored] == [0, 1, 2, 3, 4]
    assert len(line.kissed) == 5
    assert line.unrecognised == []
    assert line.kinds(HangUp) == []


def test_lost_kiss_off_the_same_block_is_kissed_off_and_stored_again() -> None:
    line = ready()
    for _ in range(3):
        line.digits(BLOCK)
        line.wait(1250)
    assert [each.index for each in line.stored] == [0, 1, 2]
    assert {each.raw for each in line.stored} == {BLOCK}
    assert len(line.kissed) == 3


def test_no_kiss_off_for_a_bad_checksum_and_then_for_the_good_repeat() -> None:
    line = ready()
    bad = BLOCK[:8] + ("2" if BLOCK[8] != "2" else "3") + BLOCK[9:]
    line.digits(bad)
    line.wait(1250)
    assert line.stored == []
    assert line.kissed == []
    assert any("checksum" in each for each in line.refused)
    line.digits(BLOCK)
    line.wait(400)
    assert len(line.kissed) == 1


@pytest.mark.parametrize("place", range(1, 15))
def test_a_lost_digit_made_good_by_chance_shows_as_a_hole(place: int) -> None:
    """17 digits of which one is lost are 16; that the checksum holds is no proof (users.md L1)."""
    line = ready()
    line.digits(BLOCK[:place] + "9" + BLOCK[place:], lose=frozenset({place}))
    line.wait(1250)
    assert line.stored == []
    assert any("hole" in each for each in line.refused)


@pytest.mark.parametrize("kept", range(1, 16))
def test_dropped_at_every_digit_nothing_is_kissed_off(kept: int) -> None:
    line = ready()
    line.digits(BLOCK[:kept])
    line.wait(300)
    line.hang_up()
    assert line.stored == []
    assert line.kissed == []
    assert len(line.unrecognised) == 1
    assert line.unrecognised[0].tried == ("dual",)


def test_what_could_not_be_stored_is_not_kissed_off() -> None:
    answers = iter(["disk full", ""])
    line = ready(store=lambda _reports: next(answers))
    line.digits(BLOCK)
    line.wait(1250)
    assert line.kissed == []
    assert line.refused == ["could not be stored: disk full"]
    line.digits(BLOCK)
    line.wait(400)
    assert len(line.kissed) == 1


def test_a_store_that_answers_late_is_not_followed_by_a_kiss_off() -> None:
    """A kiss-off after the panel began to repeat could be taken for that of a later block."""
    line = ready(store=lambda _reports: None)
    line.digits(BLOCK)
    line.wait(1100)
    line.call.receive(Stored(1), line.now)
    assert not [each for at, each in line.played if each == (Tone(1400, 850),)]
    line.store = lambda _reports: ""
    line.wait(150)
    line.digits(BLOCK)
    line.wait(400)
    assert len(line.kissed) == 1


def test_stored_while_the_panel_repeats_only_the_repeat_is_kissed_off() -> None:
    line = ready(store=lambda _reports: None)
    line.digits(BLOCK)
    line.wait(400)
    line.digits(BLOCK[:4])
    assert line.call.receive(Stored(1), line.now)[-1].__class__.__name__ == "Refused"
    line.store = lambda _reports: ""
    assert line.kissed == []


def test_audio_that_comes_late_is_stored_but_not_kissed_off() -> None:
    line = ready()
    line.call.receive(Behind(3000), line.now)
    line.digits(BLOCK)
    line.wait(400)
    assert len(line.stored) == 1
    assert line.kissed == []
    line.call.receive(Behind(0), line.now)
    line.wait(900)
    line.digits(BLOCK)
    line.wait(400)
    assert len(line.kissed) == 1


def test_22_digits_are_not_judged_at_the_sixteenth() -> None:
    long = encode(Message("2345678181", "1", "131", "01", "015"))
    line = ready()
    line.digits(long)
    line.wait(400)
    (report,) = line.stored
    assert (report.account, report.format) == ("2345678181", "contact-id-10")
    assert len(line.kissed) == 1


def test_22_digits_whose_beginning_is_itself_a_valid_block() -> None:
    """Account 1234181131: the first 16 digits could be a block of account 1234."""
    for zone in range(1000):
        long = encode(Message("1234181131", "1", "130", "01", f"{zone:03d}"))
        if sum(10 if d == "0" else int(d, 16) for d in long[:16]) % 15 == 0:
            break
    line = ready()
    line.digits(long, on_ms=60, off_ms=60)
    line.wait(400)
    assert [each.raw for each in line.stored] == [long]


EXPRESS = family.encode(family.Format.EXPRESS_4_1, "1234", "3")


def test_a_short_format_must_come_twice_alike() -> None:
    line = ready()
    line.digits(EXPRESS)
    line.wait(1250)
    assert line.stored == []
    assert line.refused == ["must come twice alike"]
    line.digits(EXPRESS)
    line.wait(400)
    (report,) = line.stored
    assert (report.account, report.format) == ("1234", "express-4-1")
    assert len(line.kissed) == 1


def test_two_different_short_blocks_prove_nothing() -> None:
    line = ready()
    for event in ("3", "5", "6"):
        line.digits(family.encode(family.Format.EXPRESS_4_1, "1234", event))
        line.wait(1250)
    assert line.stored == []


def test_pinned_or_known_a_short_format_needs_no_repetition() -> None:
    for given in (
        {"pins": {"1234": "express-4-1"}},
        {"preferred": Preferred("dual", "express-4-1", 8)},
    ):
        line = ready(**given)
        line.digits(EXPRESS)
        line.wait(1200)
        assert len(line.kissed) == 1, given


def test_the_end_of_a_longer_block_never_passes_for_a_short_one() -> None:
    """A block was heard in this call that no Express sender sends: 8 digits alike are its rest."""
    line = ready()
    line.digits(BLOCK[:13])
    line.wait(1250)
    for _ in range(3):
        line.digits(EXPRESS)
        line.wait(1250)
    assert line.stored == []
    assert line.kissed == []


def test_a_pinned_account_is_refused_in_any_other_format() -> None:
    line = ready(pins={"1234": "express-4-1"})
    for _ in range(2):
        line.digits(BLOCK)
        line.wait(1250)
    line.hang_up()
    assert line.stored == []
    assert line.kissed == []
    assert line.refused == ["account 1234 is pinned to express-4-1"] * 2
    assert "pinned to express-4-1" in line.unrecognised[0].reason


def test_high_speed_tells_several_events_with_one_kiss_off() -> None:
    line = ready()
    line.digits(family.encode(family.Format.HIGH_SPEED, "1234", "155515557"))
    line.wait(400)
    assert [each.event.zone for each in line.stored] == [1, 5]
    assert [each.index for each in line.stored] == [0, 1]
    assert len([at for at, sound in line.played if sound == (Tone(1400, 850),)]) == 1


def test_pulse_3_plus_1_by_two_equal_rounds() -> None:
    line = ready()
    line.wait(2200)  # the 2300 Hz handshake
    assert line.played[-1][1] == SINGLE_2300.sound
    line.pulses("1233", per_s=20)
    line.wait(1000)
    assert line.stored == []
    line.pulses("1233", per_s=20)
    line.wait(400)
    (report,) = line.stored
    assert (report.account, report.format, report.raw) == ("123", "3+1", "1233")
    assert line.played[-1][1] == (Tone(2300, 850),)
    assert len(line.kissed) == 1


def test_pulse_rounds_that_differ_cost_another_round() -> None:
    line = ready()
    line.wait(2200 + 4200)
    assert line.played[-1][1] == SINGLE_1400.sound
    for digits in ("1234", "1244", "1244"):
        line.pulses(digits)
        line.wait(1000)
    assert [each.raw for each in line.stored] == ["1244"]
    assert line.played[-1][1] == (Tone(1400, 850),)


def test_listen_in_leaves_the_line_to_voice() -> None:
    line = ready()
    line.digits(block_of(code="606"))
    line.until(lambda each: isinstance(each, LeaveToVoice), 2000)
    before = len(line.played)
    line.digits("1231")  # somebody presses keys while talking
    line.wait(60_000)
    assert len(line.played) == before
    assert not line.over
    line.until(lambda each: isinstance(each, HangUp), 250_000)


def test_a_sequence_mark_is_told_as_such() -> None:
    area, zone = mark_of(421)
    line = ready()
    line.digits(block_of(code="780", area=f"{area:02d}", number=f"{zone:03d}"))
    line.wait(400)
    assert [each.mark for each in line.stored] == [421]


def test_all_handshakes_in_order_then_unrecognised() -> None:
    line = Line().answered()
    line.until(lambda each: isinstance(each, HangUp), 200_000)
    (lost,) = line.unrecognised
    assert lost.tried == ("dual", "2300", "1400", "bell103", "v21") * 2
    assert lost.caller == "02155512345"
    assert "no handshake was answered" in lost.reason
    assert line.call.deadline() is None


def test_digits_that_mean_nothing_bring_the_same_handshake_again() -> None:
    line = ready()
    line.digits("12345")
    line.wait(950 + 4000 + 100)
    assert [sound for _, sound in line.played] == [DUAL.sound, DUAL.sound]


def test_no_single_tone_for_a_caller_that_sent_dtmf() -> None:
    """500 ms of 1400 Hz could be taken for the kiss-off of the block that failed."""
    line = ready()
    line.digits("12345")
    line.until(lambda each: isinstance(each, HangUp), 60_000)
    assert {sound for _, sound in line.played} == {DUAL.sound}
    assert line.stored == []


def test_stray_digits_do_not_hold_up_the_handshakes() -> None:
    line = ready()
    line.digits("1")
    line.wait(3000)
    assert line.played[-1][1] == SINGLE_2300.sound


def test_a_tone_that_begins_late_is_not_sounded_over() -> None:
    """A pulse digit is told at its end: what began is waited for."""
    line = ready()
    line.wait(1600)
    line.hear(ToneHeard(1900, True, line.now_ms, 40))
    line.wait(1000)
    assert len(line.played) == 1


def test_busy_tone_means_the_caller_is_gone() -> None:
    line = ready()
    line.hear(ProgressHeard(Progress.BUSY, line.now_ms))
    assert line.over
    assert len(line.unrecognised) == 1


def test_a_babbler_cannot_hold_the_line() -> None:
    line = ready()
    rounds = 0
    while not line.over:
        line.digits("5" * 40)
        rounds += 1
        assert rounds < 100
    assert line.now_ms < 200_000
    assert line.stored == []


def test_too_many_good_blocks_end_the_call_too() -> None:
    line = ready(profile=Profile(max_blocks=5, max_call_s=3600))
    for _ in range(10):
        if line.over:
            break
        line.digits("12345")
        line.wait(1250)
    assert line.over


def test_trailing_failures_are_told_though_others_were_stored() -> None:
    line = ready()
    line.digits(BLOCK)
    line.wait(2000)
    for _ in range(2):
        line.digits("7777777")
        line.wait(1250)
    line.hang_up()
    assert len(line.stored) == 1
    assert len(line.unrecognised) == 1


def test_asterisks_constants() -> None:
    line = Line(profile=ASTERISK).answered()
    line.wait(1260)
    assert line.played[0][1] == DUAL.sound
    line.wait(600)
    line.digits(BLOCK)
    line.wait(400)
    assert line.played[-1][1] == (Tone(1400, 900),)
    line.hang_up()


def test_nothing_happens_after_the_end() -> None:
    line = ready()
    line.hang_up()
    assert line.call.receive(Answered(), line.now) == []
    assert line.call.receive(HungUp(), line.now) == []
    assert line.call.tick(line.now) == []


def test_a_call_that_was_never_answered_is_no_unrecognised_call() -> None:
    line = Line()
    line.hang_up()
    assert line.effects == []
