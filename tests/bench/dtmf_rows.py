"""Each row of the facts' table (protocols.md 1.6) and some beyond it: whole messages of 20, the
same audio for all.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from protocols.contact_id.message import Message, encode, keys_of
from protocols.tones import impairments
from protocols.tones.ear import Ear
from protocols.tones.elements import DigitHeard, Digits, Silence
from protocols.tones.g711 import Law
from protocols.tones.listening import EXCHANGE
from protocols.tones.synthesis import FULL_SCALE_DBM0, render
from tests.support import tone_peers

Samples = NDArray[np.int16]
COUNT = 20


def ours(samples: Samples) -> str:
    """Digits of one line."""
    heard = Ear(EXCHANGE).feed(np.concatenate((samples, np.zeros(800, np.int16))))
    return "".join(one.key for one in heard if isinstance(one, DigitHeard))


DECODERS: dict[str, Callable[[Samples], str]] = {
    "tocsin": ours,
    "multimon-ng": tone_peers.multimon,
    "spandsp": tone_peers.spandsp_digits,
}


def texts() -> list[str]:
    """Keys of 20 Contact ID messages."""
    return [
        keys_of(
            encode(
                Message(
                    f"{1234 + 977 * at:04d}"[:4],
                    "13"[at % 2],
                    f"1{30 + at}",
                    "01",
                    f"{(at * 37) % 1000:03d}",
                )
            )
        )
        for at in range(COUNT)
    ]


Change = Callable[[Samples, np.random.Generator], Samples]


def _rows() -> list[tuple[str, dict[str, float], Change | None]]:
    """Name, what `render` gets (on_ms, off_ms, level, twist, offset), what the line does."""
    rows: list[tuple[str, dict[str, float], Change | None]] = [
        (f"{on}/{off} ms", {"on_ms": on, "off_ms": off}, None)
        for on, off in (
            (50, 50),
            (45, 45),
            (40, 40),
            (35, 35),
            (30, 30),
            (25, 50),
            (40, 30),
            (20, 60),
        )
    ]
    rows += [
        (f"frequency {offset:+.1f} %", {"offset": offset / 100.0}, None)
        for offset in (0.5, 1.0, -1.0, 1.2, 1.5, -1.5, 1.8, -1.8)
    ]
    rows += [
        (f"twist {twist:+.1f} dB", {"twist": twist}, None)
        for twist in (3, 3.5, 4, 4.5, 5, 6, 8, -4, -4.5, -5, -6, -7.5, -8)
    ]
    rows += [
        (f"tones {level} dBFS", {"level": level + FULL_SCALE_DBM0}, None)
        for level in (-3.1, -35, -40, -45, -60)
    ]
    rows += [
        (f"SNR {snr} dB", {}, lambda audio, chance, snr=snr: impairments.noise(audio, snr, chance))
        for snr in (12, 10, 8, 5, 3, 0)
    ]
    rows += [
        (f"G.711 {law.value}", {}, lambda audio, _, law=law: impairments.companded(audio, law))
        for law in Law
    ]
    rows += [
        (
            f"{name} {ms}/{ms} ms",
            {"on_ms": ms, "off_ms": ms},
            lambda audio, _, codec=codec, mode=mode: tone_peers.coded(audio, codec, mode),
        )
        for name, codec, mode in (
            ("GSM-FR", "gsm", None),
            ("AMR-NB 12.2", "amr-nb", 7),
            ("AMR-NB 4.75", "amr-nb", 0),
        )
        for ms in (50, 100)
    ]
    rows += [
        (
            f"20 ms frames lost {100 * ratio:.1f} %",
            {},
            lambda audio, chance, ratio=ratio: impairments.dropped(audio, ratio, chance),
        )
        for ratio in (0.005, 0.01, 0.02)
    ]
    rows += [
        (
            f"echo {delay} ms, -{loss} dB",
            {},
            lambda audio, _, delay=delay, loss=loss: impairments.echo(audio, delay, loss),
        )
        for delay, loss in ((30, 12), (60, 20), (100, 15))
    ]
    rows.append(
        (
            "40/40, +1.8 %, twist +6, -30 dBm0, 12 dB SNR, A-law",
            {"on_ms": 40, "off_ms": 40, "offset": 0.018, "twist": 6, "level": -27},
            _corner,
        )
    )
    rows.append(
        (
            "40/40, -1.8 %, twist -8, -30 dBm0, 12 dB SNR, A-law",
            {"on_ms": 40, "off_ms": 40, "offset": -0.018, "twist": -8, "level": -26},
            _corner,
        )
    )
    return rows


def _corner(audio: Samples, chance: np.random.Generator) -> Samples:
    return impairments.companded(impairments.noise(audio, 12.0, chance), Law.A)


def table() -> list[dict[str, object]]:
    """One dict a row: whole messages by decoder."""
    wanted = texts()
    out: list[dict[str, object]] = []
    for number, (name, played, change) in enumerate(_rows()):
        chance = np.random.default_rng(number)
        good = dict.fromkeys(DECODERS, 0)
        for text in wanted:
            shift = Silence(int(chance.integers(150, 250)))
            digits = Digits(text, int(played.get("on_ms", 50)), int(played.get("off_ms", 50)))
            audio = render(
                [shift, digits, Silence(150)],
                played.get("level", -12.0),
                played.get("twist", 0.0),
                played.get("offset", 0.0),
            )
            if change is not None:
                audio = change(audio, chance)
            for decoder, decode in DECODERS.items():
                good[decoder] += decode(audio) == text
        out.append({"condition": name, "messages": COUNT, **good})
    out.append(_noise())
    return out


def _noise() -> dict[str, object]:
    chance = np.random.default_rng(99)
    noise = impairments.noise_floor(np.zeros(60 * 8000, np.int16), -15.0, chance)
    return {
        "condition": "60 s white noise, false digits",
        "messages": 0,
        **{name: len(decode(noise)) for name, decode in DECODERS.items()},
    }
