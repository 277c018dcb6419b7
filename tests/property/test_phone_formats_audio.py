"""Every format a receiver reads, as audio from a panel's voice to the kiss-off in its ear, over a
line that weakens, twists, shifts, hisses and codes (R85, protocols.md 1, 4).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from collector.reception.call import Call
from collector.reception.formats_dtmf import DtmfFamily
from collector.reception.formats_fsk import Answer, SiaLevel
from collector.reception.formats_pulse import PulseFamily
from collector.reception.profile import HANDSHAKES, Profile
from hil.drivers.exchange_impairment import Dials, SimulatedLine
from protocols.contact_id import dc03, family, pulse
from protocols.contact_id.message import Message, encode
from protocols.tones.elements import FskKind
from tests.support.format_panels import SiaPanel, Speaking, TonePanel, dtmf, pulsed, sia
from tests.support.sample_clock import SILENCE, Kept, ReceiverEnd, talk

LINE = Dials(gain_db=-12, twist_db=-3, shift_hz=5, snr_db=18, law="a", echo_db=-18, echo_ms=40)
BELL, V21 = FskKind.BELL103_ORIGINATE, FskKind.V21_ORIGINATE


class Receiver(ReceiverEnd):
    """Our receiver's machine on one line, with formats and pins of its own."""

    def __init__(
        self,
        kept: Kept,
        handshakes: tuple[str, ...],
        pins: dict[str, str] | None = None,
        pulses: Sequence[pulse.PulseFormat] = pulse.FORMATS[:3],
        sia_level: SiaLevel | None = None,
    ) -> None:
        formats = [
            DtmfFamily(pins=pins),
            PulseFamily(pulses, pins=pins),
            sia_level or SiaLevel(),
        ]
        profile = Profile(handshakes=tuple(HANDSHAKES[each] for each in handshakes))
        super().__init__(kept, Call(profile, formats, pins=pins))


def report(
    panel: SiaPanel | TonePanel,
    handshakes: tuple[str, ...] = ("dual",),
    pins: dict[str, str] | None = None,
    pulses: Sequence[pulse.PulseFormat] = pulse.FORMATS[:3],
    sia_level: SiaLevel | None = None,
) -> Kept:
    """One call of the panel; all its messages must be acknowledged and everything be known."""
    kept = Kept()
    way_back = Dials(gain_db=-12, snr_db=18, law="a", echo_db=-18, echo_ms=40)
    both = SimulatedLine(LINE, way_back, seed=5)
    receiver = Receiver(kept, handshakes, pins, pulses, sia_level)
    talk(Speaking(panel), receiver, both, most_s=180)
    refused = [each for record in kept.records for each in record.refused]
    assert panel.over, refused
    assert panel.acknowledged == len(panel.messages), (refused, kept.reports)
    assert kept.unrecognised == []
    return kept


def contact_id(account: str, mt: str) -> tuple[str, ...]:
    return tuple(encode(Message(account, "1", code, "01", "015", mt)) for code in ("130", "301"))


def of_family(name: family.Format, *data: str) -> tuple[str, ...]:
    return tuple(family.encode(name, "1234", each) for each in data)


BLOCKS: dict[str, tuple[str, tuple[str, ...]]] = {
    "contact-id 18": ("contact-id", contact_id("1234", "18")),
    "contact-id 98": ("contact-id", contact_id("B9CF", "98")),
    "contact-id-10 18": ("contact-id-10", contact_id("0123456789", "18")),
    "contact-id-10 58": ("contact-id-10", contact_id("9876543210", "58")),
    "express-4-1": ("express-4-1", of_family(family.Format.EXPRESS_4_1, "3", "C")),
    "express-4-2": ("express-4-2", of_family(family.Format.EXPRESS_4_2, "31", "0F")),
    "high-speed": ("high-speed", of_family(family.Format.HIGH_SPEED, "155515557", "555555329")),
    "super-fast": ("super-fast", of_family(family.Format.SUPER_FAST, "155555557", "355555557")),
    "express-4-1-plain": (
        "express-4-1-plain",
        of_family(family.Format.EXPRESS_4_1_PLAIN, "3", "5"),
    ),
    "express-4-2-plain": (
        "express-4-2-plain",
        of_family(family.Format.EXPRESS_4_2_PLAIN, "31", "52"),
    ),
}


@pytest.mark.parametrize("name", BLOCKS)
def test_dtmf_formats(name: str) -> None:
    told, blocks = BLOCKS[name]
    pins = {"1234": told} if told.endswith("plain") else {}
    kept = report(TonePanel([dtmf(each) for each in blocks]), pins=pins)
    assert {each.format for each in kept.reports} == {told}
    assert list(dict.fromkeys(each.raw for each in kept.reports)) == list(blocks)


@pytest.mark.parametrize(("hz", "per_s"), [(1900, 10), (1800, 20), (1900, 40)])
@pytest.mark.parametrize("setting", pulse.FORMATS, ids=lambda one: one.name)
def test_pulse_formats(setting: pulse.PulseFormat, hz: int, per_s: int) -> None:
    """1900 Hz panels answer 1400 Hz, 1800 Hz panels 2300 Hz (protocols.md 4.3). That either is
    heard at each speed is in test_tones_single.py.
    """
    invites_hz = 1400 if hz == 1900 else 2300
    account = "123"[: setting.account_digits] + "B" * (setting.account_digits - 3)
    events = ("7", "2") if setting.event_digits == 1 else ("31",)
    rounds = [pulse.encode(setting, account, each) for each in events]
    panel = TonePanel(
        [pulsed(each, hz, per_s) for each in rounds],
        patience_ms=3600,
        invites_hz=invites_hz,
        shortest_ms=300,
        kiss_hz=invites_hz,
    )
    kept = report(panel, (str(invites_hz),), pulses=[setting])
    assert {each.format for each in kept.reports} == {setting.name}
    assert list(dict.fromkeys(each.raw for each in kept.reports)) == [each[0] for each in rounds]
    assert {each.account for each in kept.reports} == {account}


ACCOUNT, ALARM, TEXT, END = ("#", b"1234"), ("N", b"ri1/BA5"), ("A", b"HALL"), ("0", b"")


def in_one(kind: FskKind, baud: int) -> SiaPanel:
    """Two transmissions, each whole by itself."""
    first = sia((ACCOUNT, ALARM, TEXT, END), kind, baud)
    second = sia((ACCOUNT, ("N", b"ri2/CL7"), END), kind, baud)
    return SiaPanel([first, second], 2000, kind=kind, baud=baud)


def block_by_block(kind: FskKind, baud: int) -> SiaPanel:
    """Each block acknowledged on its own; the account is told once."""
    blocks = (ACCOUNT, ALARM, ("N", b"ri2/CL7"), END)
    return SiaPanel([sia((each,), kind, baud) for each in blocks], 2000, kind=kind, baud=baud)


@pytest.mark.parametrize("sends", [in_one, block_by_block])
@pytest.mark.parametrize("baud", [110, 300])
@pytest.mark.parametrize("kind", [BELL, V21])
def test_sia_level(sends: Callable[[FskKind, int], SiaPanel], kind: FskKind, baud: int) -> None:
    kept = report(sends(kind, baud), ("bell103" if kind is BELL else "v21",))
    assert {(each.account, each.format) for each in kept.reports} == {("1234", "sia-dc03")}
    assert [(each.event.code, each.event.area) for each in kept.reports] == [(130, 1), (401, 2)]
    assert kept.reports[0].event.zone == 5
    if sends is in_one:
        assert "HALL" in kept.reports[0].event.detail


def test_sia_level_as_a_receiver_may_have_it_set() -> None:
    """What is not public is a setting: another parity, another letter, a tone for an answer."""
    odd = dc03.Setting(parity=0x00, accepted="K")
    for ack_hz, answer in ((None, Answer()), (2400, Answer("tone", 2400.0, 300))):
        sound = sia((ACCOUNT, ALARM, END), setting=odd)
        panel = SiaPanel([sound], 2000, setting=odd, ack_hz=ack_hz)
        kept = report(panel, ("bell103",), sia_level=SiaLevel(odd, answer))
        assert [each.event.code for each in kept.reports] == [130]


def test_a_panel_is_found_by_the_whole_list_of_handshakes() -> None:
    """The one that answers to the last of them, V.21, as every receiver is set by default."""
    order = ("dual", "2300", "1400", "bell103", "v21")
    kept = report(in_one(V21, 300), order)
    assert [each.event.code for each in kept.reports] == [130, 401]


def test_own_handshakes_and_kiss_offs_that_come_back_as_an_echo_are_nobodys_message() -> None:
    """A hybrid 6 dB down, nobody calling: nothing is heard, stored or kissed off."""
    kept = Kept()
    receiver = Receiver(kept, ("dual", "2300", "1400", "bell103", "v21"))
    line = SimulatedLine(Dials(echo_db=-6, echo_ms=80), Dials(echo_db=-6, echo_ms=80), seed=1)
    said = SILENCE
    while not receiver.over:
        _, heard = line.step(SILENCE, said)
        said = receiver.frame(heard)
    assert kept.reports == []
    (record,) = kept.records
    assert record.refused == []
    assert record.tried[:5] == ("dual", "2300", "1400", "bell103", "v21")
