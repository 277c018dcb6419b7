"""SIA level blocks at the receiver: what refuses a transmission, what acknowledges it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from collector.adapters.receiver_config import ReceiverConfig, profile_of, readers_of
from collector.adapters.receiver_file import load
from collector.reception.call_types import Play
from collector.reception.formats import Block, Failed, Found
from collector.reception.formats_fsk import Answer, SiaLevel
from collector.reception.profile import BELL103, Profile
from protocols.contact_id import dc03
from protocols.tones.elements import Fsk, FskHeard, FskKind, Tone
from tests.support.reception_line import Line

KIND = FskKind.BELL103_ORIGINATE


def blocks(*given: tuple[str, bytes], parity: int = 0xFF) -> bytes:
    return b"".join(dc03.encode(dc03.Block(letter, text), parity) for letter, text in given)


WHOLE = blocks(("#", b"1234"), ("N", b"ri1/BA5"), ("0", b""))


def heard(data: bytes, spoilt: int | None = None, kind: FskKind = KIND) -> Block:
    """A byte at a time, as the ear tells them; `spoilt` has no stop bit."""
    return Block(
        tuple(
            FskHeard(data[at : at + 1], kind, 300, int(at == spoilt), at) for at in range(len(data))
        )
    )


def found(block: Block, reader: SiaLevel | None = None) -> Found:
    got = (reader or SiaLevel()).read(block)
    assert not isinstance(got, Failed)
    assert got is not None
    (one,) = got
    return one


def test_a_byte_without_its_stop_bit_refuses_the_transmission_it_stands_in() -> None:
    """The parity is a sum of columns: two faults in one column go through it."""
    assert found(heard(WHOLE)).account == "1234"
    for spoilt in range(len(WHOLE)):
        got = SiaLevel().read(heard(WHOLE, spoilt))
        assert isinstance(got, Failed), spoilt
        assert "stop bit" in got.reason


@pytest.mark.parametrize("noise", [b"\xff", b"\x00", b"\x7f\x80", b"\x02"])
@pytest.mark.parametrize("broken", [True, False])
def test_what_the_end_of_the_carrier_leaves_is_no_cut_block(noise: bytes, broken: bool) -> None:
    data = WHOLE + noise
    assert found(heard(data, len(WHOLE) if broken else None)).events


def test_a_transmission_cut_anywhere_else_is_refused_whole() -> None:
    """What is acknowledged the panel forgets: a lost second event would be lost for good."""
    two = blocks(("#", b"1234"), ("N", b"BA5"), ("0", b""), ("#", b"1234"), ("N", b"CL7"))
    first = len(blocks(("#", b"1234"), ("N", b"BA5"), ("0", b"")))
    for kept in range(1, len(two)):
        got = SiaLevel().read(heard(two[:kept]))
        whole = kept in {7, 13, first, first + 1, first + 2, first + 7}
        assert isinstance(got, Failed) == (not whole), kept


def test_events_of_an_account_that_was_not_told_are_refused() -> None:
    assert isinstance(SiaLevel().read(heard(blocks(("N", b"BA5")))), Failed)
    two = blocks(("#", b"1234"), ("N", b"BA5"), ("#", b"5678"), ("N", b"BA5"))
    assert isinstance(SiaLevel().read(heard(two)), Failed)


@pytest.mark.parametrize(
    ("answer", "kind", "sound"),
    [
        (Answer(), KIND, Fsk(dc03.answer(True, dc03.Setting()), FskKind.BELL103_ANSWER, 300, 200)),
        (
            Answer(ms=50),
            FskKind.V21_ORIGINATE,
            Fsk(dc03.answer(True, dc03.Setting()), FskKind.V21_ANSWER, 300, 50),
        ),
        (Answer("tone", ms=400), KIND, Tone(2225, 400)),
        (Answer("tone", 1400.0, 850), KIND, Tone(1400.0, 850)),
        (Answer("none"), KIND, None),
    ],
)
def test_the_answer_is_a_setting(answer: Answer, kind: FskKind, sound: Fsk | Tone | None) -> None:
    one = found(heard(WHOLE, kind=kind), SiaLevel(answer=answer))
    assert one.answer == (() if sound is None else (sound,))


def test_receiver_toml_sets_what_is_not_public(tmp_path: Path) -> None:
    path = tmp_path / "receiver.toml"
    path.write_text(
        'id = "rx-1"\n[profile.odd.sia]\nanswer = "tone"\nanswer_hz = 1400\nanswer_ms = 850\n'
        'parity = 0\nfunctions = "#N0"\nflags = [0x40]\naccepted = "A"\n'
    )
    config = load(path)
    reader = readers_of(config, "odd", {}, [])[2]
    assert isinstance(reader, SiaLevel)
    one = found(heard(blocks(("#", b"1234"), ("N", b"BA5"), ("0", b""), parity=0)), reader)
    assert one.answer == (Tone(1400.0, 850),)
    assert isinstance(reader.read(heard(WHOLE)), Failed)
    plain = readers_of(config, "default", {}, [])[2]
    assert plain.read(heard(WHOLE))


def test_receiver_toml_sets_when_a_block_is_late() -> None:
    text = 'id = "rx-1"\n[profile.slow]\nlate_digit_s = 1.6'
    config = msgspec.toml.decode(text, type=ReceiverConfig)
    assert profile_of(config, "slow", {}).late_digit_s == 1.6
    assert profile_of(config, "default", {}).late_digit_s == Profile().late_digit_s


def test_the_example_shows_the_defaults() -> None:
    """What is commented out in receiver.example.toml changes nothing when it is put in."""
    text = Path("collector/receiver.example.toml").read_text()
    part = text[text.index("# [profile.default.sia]") :].split("\n\n")[0]
    asked = "\n".join(line.removeprefix("# ") for line in part.splitlines())
    config = msgspec.toml.decode(f'id = "rx-1"\n{asked}', type=ReceiverConfig)
    given = config.profile["default"].sia
    plain = msgspec.toml.decode('id = "rx-1"\n[profile.default]', type=ReceiverConfig)
    assert msgspec.structs.replace(given, answer_hz=None) == plain.profile["default"].sia


def test_the_account_is_remembered_however_many_events_follow_it_one_by_one() -> None:
    line = Line(profile=Profile(handshakes=(BELL103,), max_call_s=900)).answered()
    line.until(lambda each: isinstance(each, Play))
    line.wait(3000)
    sent = [blocks(("#", b"1234"))]
    sent += [blocks(("N", f"BA{zone:03d}".encode())) for zone in range(1, 41)]
    for data in sent:
        line.bytes_heard(data)
        line.wait(2500)
    assert [each.event.zone for each in line.stored] == list(range(1, 41))
    assert {each.account for each in line.stored} == {"1234"}
    assert line.refused == []


@pytest.mark.parametrize("events", [3, 64, 65, 400])
def test_a_long_transmission_is_read_whole(events: int) -> None:
    """At 300 baud the ear tells one byte at a time: 64 of them are not a message too long."""
    line = Line(profile=Profile(handshakes=(BELL103,))).answered()
    line.until(lambda each: isinstance(each, Play))
    line.wait(3000)
    told = [("N", f"BA{zone:03d}".encode()) for zone in range(1, events + 1)]
    line.bytes_heard(blocks(("#", b"1234"), *told, ("0", b"")))
    line.wait(2500)
    assert [each.event.zone for each in line.stored] == list(range(1, events + 1))


def test_more_than_is_kept_is_refused_not_cut() -> None:
    line = Line(profile=Profile(handshakes=(BELL103,))).answered()
    line.until(lambda each: isinstance(each, Play))
    line.wait(3000)
    line.bytes_heard(blocks(("#", b"1234"), *[("N", b"BA001")] * 600, ("0", b"")))
    line.wait(2500)
    assert line.stored == []
    assert line.refused == ["more than any format has"]
