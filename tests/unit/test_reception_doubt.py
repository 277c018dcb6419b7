"""What may be a piece of something longer, or has no check, must come twice alike (users.md L1,
L2): a garbled Contact ID block must never be taken for a shorter format.
"""

from __future__ import annotations

import itertools
import random

import pytest

from collector.reception.call_types import Learned, Play, Preferred
from collector.reception.formats import Format
from collector.reception.formats_dtmf import DtmfFamily
from collector.reception.formats_pulse import PulseFamily
from collector.reception.profile import Profile
from protocols.contact_id import family, pulse
from protocols.contact_id.message import Message, Refusal, check_digit, decode, encode
from tests.support.reception_line import Line, block_of

BLOCK = block_of()
EXPRESS = family.encode(family.Format.EXPRESS_4_1, "1234", "3")
SUPER_FAST = family.encode(family.Format.SUPER_FAST, "1234", "155555557")
PARITY = pulse.PulseFormat(4, 2, pulse.Check.PARITY)


def invited(after_ms: int = 275, **given: object) -> Line:
    """Answered, the first handshake sounded, and `after_ms` of silence since."""
    line = Line(**given).answered()  # type: ignore[arg-type]
    line.until(lambda each: isinstance(each, Play))
    line.wait(300 + after_ms)
    return line


def once(line: Line, digits: str, lose: frozenset[int] = frozenset()) -> Line:
    line.digits(digits, lose=lose)
    line.wait(1250)
    return line


@pytest.mark.parametrize(
    "given",
    [{}, {"pins": {"123": "3+1"}}, {"preferred": Preferred("2300", "3+1", 0)}],
    ids=["stranger", "pinned", "known"],
)
def test_one_round_of_pulses_proves_nothing_whoever_sends_it(given: dict[str, object]) -> None:
    line = invited(**given)
    for digits in ("1233", "1243"):  # a burst too many in one of them
        line.pulses(digits, per_s=20)
        line.wait(1200)
    assert line.stored == []
    line.pulses("1243", per_s=20)
    line.wait(1200)
    assert [each.raw for each in line.stored] == ["1243"]


@pytest.mark.parametrize(
    ("digits", "name"), [(SUPER_FAST, "super-fast"), (EXPRESS[:-1], "express-4-1-plain")]
)
def test_what_has_no_check_comes_twice_even_when_pinned(digits: str, name: str) -> None:
    for preferred in (None, Preferred("dual", name, len(digits))):
        line = once(invited(pins={"1234": name}, preferred=preferred), digits)
        assert line.stored == []
        assert [each.format for each in once(line, digits).stored] == [name]


def test_pulses_with_parity_are_short_and_need_a_known_account_or_come_twice() -> None:
    (sent,) = pulse.encode(PARITY, "1234", "31")
    more: list[Format] = [PulseFamily([PARITY])]
    for given, rounds in (({}, 2), ({"preferred": Preferred("1400", "4+2 parity", 0)}, 1)):
        line = invited(more=more, **given)
        for _ in range(rounds):
            assert line.stored == []
            line.pulses(sent)
            line.wait(3200)
        assert [each.raw for each in line.stored] == [sent]


def test_uneven_pauses_want_one_more_round_and_no_panel_is_shut_out_by_them() -> None:
    """A pause longer by a pulse may be a lost first pulse: it may also be the panel's way."""
    for given, rounds in (({}, 3), ({"pins": {"123": "3+1"}}, 3)):
        line = invited(**given)
        for _ in range(rounds):
            assert line.stored == []
            line.pulses("1233", per_s=20, pauses_ms=(600, 650, 600))
            line.wait(1200)
        assert [each.raw for each in line.stored] == ["1233"]


def test_a_repetition_after_a_lost_kiss_off_is_as_good_as_the_first() -> None:
    line = invited(pins={"1234": "super-fast"})
    once(once(line, SUPER_FAST), SUPER_FAST)
    assert len(line.kissed) == 1
    assert len(once(line, SUPER_FAST).kissed) == 2


def test_a_caller_without_a_number_is_known_for_the_rest_of_its_call() -> None:
    line = invited(caller="")
    once(once(line, EXPRESS), EXPRESS)
    assert len(line.kissed) == 1
    once(line, family.encode(family.Format.EXPRESS_4_1, "1234", "5"))
    assert len(line.kissed) == 2
    assert line.kinds(Learned) == []


def test_known_for_a_short_format_but_something_longer_was_heard() -> None:
    line = invited(preferred=Preferred("dual", "express-4-1", 8))
    once(line, BLOCK[:13])
    once(line, EXPRESS)
    assert line.stored == []
    assert len(once(line, EXPRESS).kissed) == 1


def tails(count: int) -> list[str]:
    """22-digit blocks whose last 16 digits are a good block of 16 by themselves."""
    found = []
    for number in range(10_000_000):
        account = f"{number * 7919 % 10**10:010d}"
        digits = encode(Message(account, "1", "130", "01", "015"))
        if not isinstance(decode(digits[6:]), Refusal):
            found.append(digits)
        if len(found) == count:
            break
    return found


@pytest.mark.parametrize("long", tails(4))
def test_22_digits_without_their_first_six_are_no_block_of_16(long: str) -> None:
    """The call begins in mid-block; the sum of what is left is right in one of fifteen."""
    line = once(invited(), long, lose=frozenset(range(6)))
    assert line.stored == []
    assert line.refused == ["must come twice alike"]
    assert [each.raw for each in once(line, long).stored] == [long]


@pytest.mark.parametrize("long", tails(3))
def test_nor_when_another_piece_of_them_came_before(long: str) -> None:
    """The line opens late each time: ten digits, then sixteen."""
    line = once(invited(), long, lose=frozenset(range(12)))
    once(line, long, lose=frozenset(range(6)))
    assert line.stored == []
    assert [each.raw for each in once(line, long).stored] == [long]


@pytest.mark.parametrize("lost", range(16))
def test_a_digit_lost_in_the_first_sending_costs_a_stranger_no_more_than_that(lost: int) -> None:
    """The second is taken at once when the first showed how the block begins."""
    line = once(invited(), BLOCK, lose=frozenset({lost}))
    once(line, BLOCK)
    assert len(line.kissed) == (0 if lost < 4 else 1)
    assert once(line, BLOCK).kissed


def test_noise_that_makes_lone_bursts_is_no_message_however_often_it_comes() -> None:
    line = invited()
    for _ in range(6):
        line.pulses("11111111", per_s=20, pauses_ms=(180, 230, 150, 400, 90, 310, 220))
        line.wait(3200)
    assert line.stored == []


def test_a_panel_of_ones_only_is_one_all_the_same() -> None:
    line = invited()
    for _ in range(2):
        assert line.stored == []
        line.pulses("11111111", per_s=20)
        line.wait(3200)
    assert [each.raw for each in line.stored] == ["1111"]


def test_a_block_that_begins_late_costs_a_stranger_one_repetition_and_a_known_caller_none() -> None:
    stranger = once(invited(after_ms=900), BLOCK)
    assert stranger.stored == []
    assert len(once(stranger, BLOCK).kissed) == 1
    known = invited(after_ms=900, preferred=Preferred("dual", "contact-id", 16))
    assert len(once(known, BLOCK).kissed) == 1


def test_22_digits_of_which_the_seventeenth_is_lost_are_no_block_of_16() -> None:
    """Account 123418xxxx, where the first 16 digits are a good block of account 1234."""
    longs = [encode(Message(f"1234181{n:03d}", "1", "130", "01", "007")) for n in range(1000)]
    long = next(each for each in longs if not isinstance(decode(each[:16]), Refusal))
    line = once(invited(), long, lose=frozenset({16}))
    assert line.stored == []
    assert [each.raw for each in once(line, long).stored] == [long]


def test_16_digits_after_more_in_the_same_call_must_come_twice() -> None:
    long = encode(Message("2345678181", "1", "131", "01", "015"))
    line = once(invited(), long[:20])
    assert once(line, BLOCK).stored == []
    assert len(once(line, BLOCK).kissed) == 1


def test_a_digit_too_many_just_between_two_others_is_seen() -> None:
    """Sixteen heard: the last is lost, one is invented in a gap, and the sum is right by chance."""
    body = BLOCK[:14]
    for place, extra in itertools.product(range(1, 13), "123456789"):
        heard = body[:place] + extra + body[place:]
        digits = heard + check_digit(heard)
        if heard[4:6] not in {"18", "98"}:
            continue
        line = invited()
        begin = line.now_ms
        at = [begin + 100 * n for n in range(place)]
        at += [begin + 100 * place - 50]
        at += [begin + 100 * n for n in range(place, 15)]
        line.digits_at(digits, at)
        line.wait(1250)
        assert line.stored == [], digits


DICE = random.Random(31)
BLOCKS = [block_of(f"{DICE.randrange(10_000):04d}", number=f"{n:03d}") for n in range(6)]


@pytest.mark.parametrize("block", BLOCKS)
def test_a_block_in_two_pieces_is_none(block: str) -> None:
    """A gap at every place, from a hole of one digit to more than the receiver waits."""
    for place, gap_ms in itertools.product(range(1, 16), (100, 300, 700, 940, 1100)):
        line = invited()
        line.digits(block[:place])
        line.wait(gap_ms)
        line.digits(block[place:])
        line.wait(1250)
        assert line.stored == [], (place, gap_ms)
        assert line.kissed == []


@pytest.mark.parametrize("kind", ["17", "27", "55", "56", "58", "00"])
def test_a_changed_message_type_makes_no_other_format_of_it(kind: str) -> None:
    """Digits 5 and 6 heard as another format's, cut to any length, between cut repeats."""
    spoilt = BLOCK[:4] + kind + BLOCK[6:]
    for cut in range(7, 17):
        line = invited()
        for digits in (spoilt[:cut], BLOCK[:cut], BLOCK[16 - cut :], BLOCK[:cut]):
            once(line, digits)
        stored = [each.raw for each in line.stored]
        if cut < 16:
            assert stored == [], cut
        else:
            assert BLOCK in stored or stored == []
            assert set(stored) <= {BLOCK}


@pytest.mark.parametrize("before", ["1", "12", "9C", "1234", "01C", "5551234"])
@pytest.mark.parametrize("gap_ms", [0, 50, 400, 1000])
def test_digits_dialled_through_before_the_block(before: str, gap_ms: int) -> None:
    """An exchange's access digits are not the panel's: the block counts, at the latest when it is
    repeated, and nothing is made of the two together.
    """
    line = invited()
    line.digits(before)
    line.wait(gap_ms)
    line.digits(BLOCK)
    line.wait(1250)
    assert {each.raw for each in line.stored} <= {BLOCK}
    once(line, BLOCK)
    once(line, BLOCK)
    assert {each.raw for each in line.stored} == {BLOCK}


LEARNED = [
    Preferred(handshake, name, digits)
    for handshake, name, digits in itertools.product(
        ("dual", "2300", "1400", "bell103", "v21", "somebody's"),
        ("contact-id", "contact-id-10", "express-4-1", "3+1", "sia-dc03", ""),
        (0, 8, 16, 22),
    )
]


def test_nothing_another_made_us_remember_keeps_a_panel_from_its_kiss_off() -> None:
    """Who can show a false number can change what is remembered of it: that may cost seconds."""
    for preferred in LEARNED:
        line = Line(preferred=preferred, profile=Profile(max_call_s=600)).answered()
        while line.played[-1:] == [] or len(line.played[-1][1]) != 3:  # the panel waits for dual
            line.until(lambda each: isinstance(each, Play))
        line.wait(300 + 275)
        for _ in range(2):
            once(line, BLOCK)
        assert [each.raw for each in line.stored][:1] == [BLOCK], preferred
        assert line.now_ms < 30_000


@pytest.mark.parametrize("other", ["1235", "B234", "0001"])
def test_two_accounts_in_one_call_are_each_judged_by_their_own_pin(other: str) -> None:
    line = invited(pins={"1234": "contact-id", other: "express-4-1"})
    once(line, BLOCK)
    once(line, block_of(other))
    once(line, family.encode(family.Format.EXPRESS_4_1, other, "3"))
    assert [each.account for each in line.stored] == ["1234", other]
    assert [each.format for each in line.stored] == ["contact-id", "express-4-1"]


def test_dtmf_family_reads_at_most_one_thing_in_any_16_digits() -> None:
    """Digits 5 and 6 decide: no two formats share them and a length."""
    everything = frozenset(family.Format)
    reader = DtmfFamily(everything)
    assert reader.name == "dtmf"
    for kind, length in itertools.product(("17", "18", "27", "55", "56", "58", "98"), range(5, 23)):
        digits = ("1234" + kind + "1" * 20)[:length]
        fits = [
            one
            for one in family.Format
            if not isinstance(
                family.recognise(digits, allowed=frozenset({one}), ended=True), Refusal
            )
        ]
        assert len(fits) <= 1, (digits, fits)
