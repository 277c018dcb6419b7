"""Our tones by other people's ears, and theirs by ours: multimon-ng, spandsp, minimodem."""

from __future__ import annotations

import numpy as np
import pytest

from protocols.tones.ear import Ear
from protocols.tones.elements import (
    DTMF_SYMBOLS,
    DigitHeard,
    Digits,
    Fsk,
    FskHeard,
    FskKind,
    Silence,
    Tone,
)
from protocols.tones.listening import EXCHANGE, Listen
from protocols.tones.synthesis import render
from tests.support import tone_peers
from tests.support.dtmf_audio import heard, played, strings

MESSAGES = [
    "".join(np.random.default_rng(seed).choice(list(DTMF_SYMBOLS), 16)) for seed in range(20)
]
TEXT = b"\x43#1234\xff\x00Nri1/BA15"


@pytest.mark.parametrize("on_ms", [50, 60])
def test_multimon_and_spandsp_hear_our_digits(on_ms: int) -> None:
    items = [part for text in MESSAGES for part in (Silence(250), Digits(text, on_ms, on_ms))]
    audio = render([*items, Silence(250)])
    assert tone_peers.multimon(audio) == "".join(MESSAGES)
    assert tone_peers.spandsp_digits(audio) == "".join(MESSAGES)


@pytest.mark.parametrize("on_ms", [40, 50, 100])
@pytest.mark.parametrize("level_dbm0", [-30, -10, -3])
def test_we_hear_the_digits_of_spandsp(on_ms: int, level_dbm0: int) -> None:
    text = "".join(MESSAGES)
    heard = Ear(EXCHANGE).feed(tone_peers.spandsp_sends(text, on_ms, on_ms, level_dbm0))
    assert "".join(one.key for one in heard if isinstance(one, DigitHeard)) == text


@pytest.mark.parametrize(("codec", "mode"), [("gsm", None), ("amr-nb", 7), ("amr-nb", 4)])
@pytest.mark.parametrize("ms", [50, 60, 100])
def test_digits_that_went_through_a_mobile_codec(codec: str, mode: int | None, ms: int) -> None:
    """Its tones waver and ring on: rules against voices must not refuse them."""
    chance = np.random.default_rng(ms)
    texts = strings(10, chance)
    rows = [tone_peers.coded(row, codec, mode) for row in played(texts, chance, ms, ms)]
    found = heard(np.stack([row[: min(map(len, rows))] for row in rows]))
    assert sum(one == text for one, text in zip(found, texts, strict=True)) >= 9


@pytest.mark.parametrize("kind", list(FskKind))
@pytest.mark.parametrize("baud", [110, 300])
def test_minimodem_takes_our_bytes(kind: FskKind, baud: int) -> None:
    mark_hz, space_hz = kind.value
    # minimodem closes a byte when more carrier follows it.
    items = [Silence(100), Fsk(TEXT, kind, baud), Tone(mark_hz, 200), Silence(300)]
    assert tone_peers.minimodem_hears(render(items), mark_hz, space_hz, baud) == TEXT


@pytest.mark.parametrize("kind", list(FskKind))
@pytest.mark.parametrize("baud", [110, 300])
def test_we_take_the_bytes_of_minimodem(kind: FskKind, baud: int) -> None:
    """Both bauds are listened for. minimodem sends no lead of mark; a panel does, so it is put
    before its audio.
    """
    mark_hz, space_hz = kind.value
    sent = tone_peers.minimodem_sends(TEXT, mark_hz, space_hz, baud)
    audio = np.concatenate(
        (render([Silence(90), Tone(mark_hz, 150)]), sent, np.zeros(800, np.int16))
    )
    heard = Ear(Listen(fsk=((kind, 300), (kind, 110)))).feed(audio)
    told = [one for one in heard if isinstance(one, FskHeard)]
    assert b"".join(one.data for one in told) == TEXT
    assert {one.baud for one in told} == {baud}
    assert not sum(one.framing_errors for one in told)
