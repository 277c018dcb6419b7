"""Talk-off: speech of another program's making is no digit (the bench has hours of it, P9)."""

from __future__ import annotations

import numpy as np

from protocols.tones.elements import Digits
from protocols.tones.synthesis import render
from tests.bench import dtmf_talkoff

MINUTES = 12


def test_minutes_of_speech_hold_no_digit() -> None:
    audio = dtmf_talkoff.speech(MINUTES / 60)
    assert len(audio) > 60 * 8000 * MINUTES / 2, "espeak-ng said too little"
    assert "".join(dtmf_talkoff.ours(audio)) == ""
    # and the same ears hear the digits that are there
    audio = audio.copy()
    digit = render(Digits("5", 50, 50), level_dbm0=-9)
    at = 60 * 8000 + 4000
    audio[at - 800 : at + len(digit) + 800] = 0
    audio[at : at + len(digit)] = digit.astype(np.int16)
    assert "".join(dtmf_talkoff.ours(audio)) == "5"
