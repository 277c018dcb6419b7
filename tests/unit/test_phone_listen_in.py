"""Listen-in as the line hears it: the microphone's sound goes out, the centre's keys come in."""

from __future__ import annotations

import sys
import time

import numpy as np

from edge.adapters.line_audio import LineAudio
from edge.adapters.microphone import BEHIND_BYTES, Microphone
from protocols.tones.elements import FRAME_SAMPLES, DigitHeard, Digits, Silence
from protocols.tones.synthesis import Player

LOUD = "import sys,struct\nwhile True: sys.stdout.buffer.write(struct.pack('<800h', *[1234] * 800))"
WITHIN_S = 10.0


def _sounds(audio: LineAudio) -> bool:
    end = time.monotonic() + WITHIN_S
    while time.monotonic() < end:
        pcm, ended = audio.read(FRAME_SAMPLES)
        assert not ended
        if np.all(pcm == 1234):
            return True
        assert np.all((pcm == 0) | (pcm == 1234))
    return False


def _pressed(audio: LineAudio) -> list[str]:
    player = Player()
    player.play((Silence(100), Digits("#", 100, 100)))
    heard = []
    while not player.idle:
        heard += audio.hear(player.read(FRAME_SAMPLES))
    return [one.key for one in heard if isinstance(one, DigitHeard)]


def test_the_premises_are_heard_while_the_centre_listens_and_at_no_other_time() -> None:
    audio = LineAudio(microphone=(sys.executable, "-c", LOUD))
    assert not audio.playing
    assert not np.any(audio.read(FRAME_SAMPLES)[0])
    assert _pressed(audio) == []
    audio.voice(on=True)
    assert audio.playing, "frames go out by our own clock when none come in"
    assert _sounds(audio)
    assert _pressed(audio) == ["#"]
    audio.silence()  # as every end of a call does
    assert not np.any(audio.read(FRAME_SAMPLES)[0])
    assert _pressed(audio) == []
    assert not audio.playing


def test_sound_that_is_late_is_dropped_and_never_gathers() -> None:
    microphone = Microphone((sys.executable, "-c", LOUD))
    microphone.start()
    try:
        end = time.monotonic() + WITHIN_S
        while not np.any(microphone.read(1)) and time.monotonic() < end:
            pass
        microphone.read(1)
        assert len(microphone._heard) <= BEHIND_BYTES
    finally:
        microphone.stop()


def test_a_program_that_is_not_there_or_ends_is_silence() -> None:
    for command in (("/nonexistent/recorder",), (sys.executable, "-c", "pass")):
        audio = LineAudio(microphone=command)
        audio.voice(on=True)
        for _ in range(20):
            pcm, ended = audio.read(FRAME_SAMPLES)
            assert not np.any(pcm)
            assert not ended
        audio.voice(on=False)
