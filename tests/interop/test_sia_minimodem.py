"""FSK of SIA level with minimodem, both ways: its voice into our ear, ours into its (protocols.md
4.1, 5.6). Bell 103 and V.21, 110 and 300 baud, over a line like a subscriber's.
"""

from __future__ import annotations

import numpy as np
import pytest

from collector.reception.formats import Block, Found
from collector.reception.formats_fsk import SiaLevel
from hil.drivers.exchange_impairment import Dials, Impaired
from protocols.contact_id import dc03
from protocols.tones.ear import Ear
from protocols.tones.elements import FRAME_SAMPLES, Fsk, FskHeard, FskKind, Silence, Tone
from protocols.tones.listening import CENTRE
from protocols.tones.synthesis import Samples, render
from tests.support.tone_peers import minimodem_hears, minimodem_sends

LINE = Dials(gain_db=-15, law="a", snr_db=15, shift_hz=4)
SENT = b"".join(
    dc03.encode(dc03.Block(letter, text))
    for letter, text in (("#", b"1234"), ("N", b"ri1/BA5"), ("A", b"FRONT DOOR"), ("0", b""))
)
PANELS = [FskKind.BELL103_ORIGINATE, FskKind.V21_ORIGINATE]
CENTRES = [FskKind.BELL103_ANSWER, FskKind.V21_ANSWER]


def over_the_line(samples: Samples) -> Samples:
    quiet = np.zeros(FRAME_SAMPLES * 15, np.int16)
    whole = np.concatenate((quiet, samples, quiet, np.zeros(-len(samples) % 160, np.int16)))
    line = Impaired(LINE, np.random.default_rng(3))
    frames = whole.reshape(-1, FRAME_SAMPLES)
    return np.concatenate([line.frame(frame) for frame in frames])


@pytest.mark.parametrize("baud", [110, 300])
@pytest.mark.parametrize("kind", PANELS)
def test_minimodem_as_the_panel(kind: FskKind, baud: int) -> None:
    mark_hz, space_hz = kind.value
    # minimodem sends no lead of mark; a panel does. 200 ms are whole turns of both marks.
    lead = render(Tone(mark_hz, 200), 3.0)
    said = np.concatenate((lead, minimodem_sends(SENT, mark_hz, space_hz, baud)))
    heard = Ear(CENTRE).feed(over_the_line(said))
    pieces = tuple(each for each in heard if isinstance(each, FskHeard))
    assert b"".join(each.data for each in pieces) == SENT
    assert {(each.kind, each.baud) for each in pieces} == {(kind, baud)}
    got = SiaLevel().read(Block(pieces))
    assert isinstance(got, list)
    (found,) = got
    assert isinstance(found, Found)
    assert (found.account, [each.event.code for each in found.events]) == ("1234", [130])


@pytest.mark.parametrize("baud", [110, 300])
@pytest.mark.parametrize("kind", [*PANELS, *CENTRES])
def test_minimodem_hears_us(kind: FskKind, baud: int) -> None:
    """As panel and as centre: the answer to a good block is among what it hears."""
    mark_hz, space_hz = kind.value
    data = SENT if kind in PANELS else dc03.answer(True, dc03.Setting())
    lead_ms = 300
    said = render([Silence(300), Fsk(data, kind, baud, lead_ms), Silence(300)], -10.0)
    assert data in minimodem_hears(over_the_line(said), mark_hz, space_hz, baud)
