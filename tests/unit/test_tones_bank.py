"""One bank for many lines: cutting, other lines, order change nothing; bad input never raises."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.tones import impairments
from protocols.tones.bank import ToneBank
from protocols.tones.ear import Ear
from protocols.tones.elements import Digits, Fsk, FskKind, Heard, Playable, Pulses, Silence, Tone
from protocols.tones.impairments import Samples
from protocols.tones.listening import CENTRE, PANEL, Listen
from protocols.tones.synthesis import Player, render

ALL = Listen(digits=True, tones_hz=(1400, 2300), pulses=True, fsk=CENTRE.fsk, progress=True)
SCENE: list[Playable] = [
    Silence(203),
    Tone(425, 700),
    Silence(150),
    Tone(1400, 100),
    Silence(100),
    Tone(2300, 100),
    Silence(250),
    Digits("1234#5", 50, 50),
    Silence(200),
    Pulses(4, 1900, 20),
    Silence(300),
    Fsk(b"#12", FskKind.BELL103_ORIGINATE),
    Silence(200),
]


def scene(seed: int = 1) -> Samples:
    audio = impairments.noise_floor(render(SCENE, -14.0), -50.0, np.random.default_rng(seed))
    return audio[: len(audio) // 160 * 160]


def whole(audio: Samples, listen: Listen = ALL) -> list[Heard]:
    return Ear(listen).feed(audio)


EXPECTED = whole(scene())


def test_the_scene_has_everything() -> None:
    kinds = {type(one).__name__ for one in EXPECTED}
    assert kinds == {"DigitHeard", "ToneHeard", "PulseDigitHeard", "FskHeard", "ProgressHeard"}


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 2 * len(scene())), max_size=30))
def test_events_do_not_depend_on_how_audio_is_cut(cuts: list[int]) -> None:
    data = scene().astype("<i2").tobytes()
    ear = Ear(ALL)
    found: list[Heard] = []
    edges = [0, *sorted(cuts), len(data)]
    for begin, end in pairwise(edges):
        found += ear.feed(data[begin:end])
    assert found == EXPECTED


@pytest.mark.parametrize("lines", [3, 40])
def test_many_lines_hear_what_one_hears(lines: int) -> None:
    delays = [(7 * line) % 50 * 160 for line in range(lines)]
    long = len(scene()) + 50 * 160
    rows = np.zeros((lines, long), np.int16)
    for line, delay in enumerate(delays):
        audio = scene(line)
        rows[line, delay : delay + len(audio)] = audio
    bank = ToneBank(lines, ALL)
    found: list[list[Heard]] = [[] for _ in range(lines)]
    for begin in range(0, long, 160):
        for line, one in bank.feed(rows[:, begin : begin + 160]):
            found[line].append(one)
    for line in range(lines):
        assert found[line] == whole(rows[line])


def test_lines_fed_at_different_times_do_not_touch_each_other() -> None:
    chance = np.random.default_rng(4)
    bank = ToneBank(6, ALL)
    audio = [scene(line) for line in range(6)]
    at = [0] * 6
    found: list[list[Heard]] = [[] for _ in range(6)]
    while any(place < len(piece) for place, piece in zip(at, audio, strict=True)):
        ready = [line for line in range(6) if at[line] < len(audio[line])]
        some = [line for line in chance.permutation(ready).tolist() if chance.random() < 0.6]
        if not some:
            continue
        rows = np.stack([audio[line][at[line] : at[line] + 160] for line in some])
        for line, one in bank.feed(rows, some):
            found[line].append(one)
        for line in some:
            at[line] += 160
    assert found == [whole(piece) for piece in audio]


@pytest.mark.parametrize("after", range(0, 24000, 1600))
def test_after_reset_a_line_is_as_new(after: int) -> None:
    bank = ToneBank(2, ALL)
    bank.feed(np.stack((scene()[:after], scene()[:after])))
    bank.reset(1)
    assert bank.now_ms(1) == 0
    assert [one for _, one in bank.feed(scene()[None], [1])] == EXPECTED
    assert bank.now_ms(0) == after // 8


def test_shapes_that_do_not_fit_are_refused() -> None:
    bank = ToneBank(3, CENTRE)
    for shape in ((2, 160), (3, 100), (480,)):
        with pytest.raises(ValueError, match="wanted"):
            bank.feed(np.zeros(shape, np.int16))
    assert bank.feed(np.zeros((3, 0), np.int16)) == []


@settings(max_examples=60, deadline=None)
@given(data=st.binary(max_size=6000), loud=st.integers(0, 8), seed=st.integers(0, 2**32 - 1))
def test_no_samples_raise(data: bytes, loud: int, seed: int) -> None:
    """Hostile audio: bytes as they come, square waves, full scale, single spikes."""
    chance = np.random.default_rng(seed)
    pieces = np.where(np.arange(4000) // max(1, loud) % 2, 32767, -32768)
    spiky = (chance.random(4000) < 0.01) * chance.integers(-32768, 32767, 4000)
    for listen in (ALL, PANEL, CENTRE):
        ear = Ear(listen)
        ear.feed(data)
        ear.feed(pieces.astype(np.int16))
        ear.feed(spiky.astype(np.int16))
        ear.feed(data)


@settings(max_examples=25, deadline=None)
@given(sizes=st.lists(st.integers(0, 5000), max_size=60))
def test_a_player_gives_the_same_samples_in_any_pieces(sizes: list[int]) -> None:
    expected = render(SCENE)
    player = Player()
    player.play(SCENE)
    got = np.concatenate([player.read(size) for size in [*sizes, 40000]])
    count = min(len(got), len(expected))
    assert np.array_equal(got[:count], expected[:count])
    assert not got[count:].any()
    assert player.idle == (len(got) >= len(expected))
