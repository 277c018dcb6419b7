"""P9: false digits and false Contact ID messages in synthetic speech (espeak-ng, four voices), and
false digits in made sounds of many classes.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from protocols.contact_id.message import Message, decode, digits_of
from protocols.tones.bank import ToneBank
from protocols.tones.elements import DigitHeard
from protocols.tones.listening import Listen
from tests.support import talkoff_sounds, tone_peers

Samples = NDArray[np.int16]
VOICES = ("en-us", "en-gb+f3", "en-us+m5", "en-gb+f5")
TEXTS = Path("/usr/share/common-licenses")
SPEED_WPM = 150
RMS = 32768.0 * 10.0 ** (-18.0 / 20.0)
PIECE_S = 60


def passage(hours: float) -> list[str]:
    """One text for each voice: the licences of the system, each voice beginning elsewhere."""
    files = sorted(path for path in TEXTS.iterdir() if path.is_file() and not path.is_symlink())
    words = re.findall(
        r"[A-Za-z][A-Za-z,.;']*", " ".join(path.read_text("latin-1") for path in files)
    )
    each = int(hours * 3600 / len(VOICES) / 60 * SPEED_WPM)
    begins = [len(words) * at // len(VOICES) for at in range(len(VOICES))]
    return [" ".join(words[(begin + at) % len(words)] for at in range(each)) for begin in begins]


def speech(hours: float) -> Samples:
    """About so many hours, each voice a quarter, 8 kHz, at one level."""
    parts = [spoken(voice, text) for voice, text in zip(VOICES, passage(hours), strict=True)]
    return np.concatenate(parts)


def spoken(voice: str, text: str) -> Samples:
    """One voice."""
    form = ["-t", "raw", "-r", "8000", "-e", "signed", "-b", "16", "-c", "1"]
    with (
        subprocess.Popen(
            ["espeak-ng", "-v", voice, "-s", str(SPEED_WPM), "--stdin", "--stdout"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as talker,
        subprocess.Popen(
            ["sox", "--ignore-length", "-t", "wav", "-", *form, "-", "gain", "-6"],
            stdin=talker.stdout,
            stdout=subprocess.PIPE,
        ) as filtered,
    ):
        assert talker.stdin is not None
        assert talker.stdout is not None
        assert filtered.stdout is not None
        talker.stdout.close()
        talker.stdin.write(text.encode())
        talker.stdin.close()
        audio = np.frombuffer(filtered.stdout.read(), "<i2").astype(np.float32)
    loud = audio[np.abs(audio) > 50]
    level = float(np.sqrt(np.mean(loud * loud)))
    return np.clip(audio * (RMS / level), -32768, 32767).astype(np.int16)


def ours(audio: Samples) -> str:
    """Digits of all pieces of a minute; the pieces are lines of one bank."""
    piece = PIECE_S * 8000
    count = len(audio) // piece
    rows = audio[: count * piece].reshape(count, piece)
    bank = ToneBank(count, Listen(digits=True))
    found: list[list[str]] = [[] for _ in range(count)]
    for begin in range(0, piece, 1600):
        for line, heard in bank.feed(rows[:, begin : begin + 1600]):
            if isinstance(heard, DigitHeard):
                found[line].append(heard.key)
    return "".join(key for keys in found for key in keys)


DECODERS: dict[str, Callable[[Samples], str]] = {
    "tocsin": ours,
    "multimon-ng": tone_peers.multimon,
    "spandsp": tone_peers.spandsp_digits,
}


def messages(keys: str) -> int:
    """Valid Contact ID messages anywhere in digits."""
    digits = digits_of(keys)
    return sum(
        isinstance(decode(digits[at : at + size]), Message)
        for size in (16, 22)
        for at in range(len(digits) - size + 1)
    )


def sounds(minutes: int) -> list[dict[str, object]]:
    """False digits by decoder in so many minutes of each class of `talkoff_sounds`."""
    table: list[dict[str, object]] = []
    for name, sound in talkoff_sounds.SOUNDS.items():
        audio = np.concatenate(
            [
                talkoff_sounds.scaled(sound(60.0, np.random.default_rng(seed)))
                for seed in range(minutes)
            ]
        )
        counts = {decoder: len(hear(audio)) for decoder, hear in DECODERS.items()}
        table.append({"sound": name, "minutes": minutes, **counts})
    return table


def measure(hours: float) -> dict[str, object]:
    """Counts by decoder over the same speech."""
    audio = speech(hours)
    found = {name: hear(audio) for name, hear in DECODERS.items()}
    return {
        "hours": round(len(audio) / 8000 / 3600, 2),
        "false_digits": {name: len(keys) for name, keys in found.items()},
        "false_messages": {name: messages(keys) for name, keys in found.items()},
    }
