"""What a half-duplex modem is told to play: the words of +VTS, and what is left when it refuses."""

from __future__ import annotations

import pytest

from edge.adapters.modem_playing import COMMAND_CHARS, Piece, Way, pieces
from hil.drivers.voice_modem_dialling import tone_list
from protocols.tones.elements import Digits, Playable, Silence, Tone

BLOCK = (Silence(260), Digits("123418113101015#"), Tone(1400.0, 3000))
FORMS = {Way.DIGITS: ("{}", "[]"), Way.PAIRS: ("[]",)}


def heard(piece: Piece, way: Way) -> list[Playable]:
    """What a modem makes of it that knows these forms only, AN93's three values among them."""
    sounds = tone_list(piece.command.removeprefix("AT+VTS="), FORMS[way])
    assert sounds is not None, piece.command
    return sounds


@pytest.mark.parametrize("way", [Way.DIGITS, Way.PAIRS])
def test_a_modem_that_knows_the_words_says_just_that(way: Way) -> None:
    steps = list(pieces(BLOCK, way))
    assert steps[0] == Piece((Silence(260),), pause_ms=260)
    sounds = [sound for piece in steps[1:] for sound in heard(piece, way)]
    keys = "".join(sound.keys for sound in sounds if isinstance(sound, Digits))
    assert keys == "123418113101015#"
    assert all((each.on_ms, each.off_ms) == (50, 0) for each in sounds if isinstance(each, Digits))
    assert [each.ms for each in sounds if isinstance(each, Silence)] == [50] * 16
    tones = [each for each in sounds if isinstance(each, Tone)]
    assert (sum(each.ms for each in tones), {each.hz for each in tones}) == (3000, {1400.0})
    assert all(len(piece.command) <= COMMAND_CHARS for piece in steps)
    assert sum(piece.lasts_s for piece in steps) == pytest.approx(1.6 + 3.0)


@pytest.mark.parametrize("way", [Way.DIGITS, Way.PAIRS])
def test_what_a_piece_says_can_be_said_in_another_way(way: Way) -> None:
    """A refusal in the middle repeats no digit and loses none."""
    steps = list(pieces(BLOCK, way))
    for refused in range(1, len(steps)):
        left = tuple(item for piece in steps[refused:] for item in piece.said)
        (samples,) = pieces(left, Way.SAMPLES)
        said = "".join(item.keys for item in samples.said if isinstance(item, Digits))
        before = [sound for piece in steps[1:refused] for sound in heard(piece, way)]
        gone = "".join(sound.keys for sound in before if isinstance(sound, Digits))
        assert gone + said == "123418113101015#"


def test_what_no_word_says_is_samples() -> None:
    odd = (Digits("12", 55, 50), Tone(150.0, 100), Silence(5))
    assert list(pieces(odd, Way.DIGITS)) == [Piece(odd)]
    assert list(pieces((), Way.DIGITS)) == []
