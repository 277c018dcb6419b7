"""Any bytes from a hardware receiver: documented effects only, alike in any pieces, bounded."""

from __future__ import annotations

import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from protocols.automation.ademco685 import Ademco685
from protocols.automation.bosch import BoschSia, framed
from protocols.automation.dialect import Bad, Beat, Dialect, Line
from protocols.automation.effects import Arrived, Back, Effect, Malformed, Send
from protocols.automation.encoding import (
    Ademco685Encoder,
    BoschEncoder,
    Encoder,
    RadionicsEncoder,
    SurGardEncoder,
)
from protocols.automation.machine import Automation
from protocols.automation.radionics import Radionics6500
from protocols.automation.sending import Sender
from protocols.automation.surgard import SurGard
from protocols.contact_id.message import Message
from protocols.instants import Instant
from protocols.mqtt.reception import Report, Unrecognised
from tests.support.field_lines import lines

NOW = Instant(0)
PAIRS: list[tuple[Dialect, Encoder]] = [
    (SurGard(), SurGardEncoder()),
    (SurGard(head_digits=5), SurGardEncoder("01001")),
    (Ademco685(), Ademco685Encoder()),
    (Radionics6500(), RadionicsEncoder()),
    (BoschSia(), BoschEncoder()),
    (BoschSia(check=False), BoschEncoder()),
]
IDS = [f"{dialect.name}-{number}" for number, (dialect, _) in enumerate(PAIRS)]
SIGNS = b"0123456789ABCDEFGHNOPQRSTUacsv @#|[]\\'/*:-;\xe8\x00"
FORMATS = ("surgard", "bosch-sia", "ademco685")
MESSAGE = Message("1234", "1", "130", "01", "005")


def pieces_of(encoder: Encoder) -> st.SearchStrategy[list[bytes]]:
    good = [
        encoder.contact_id(MESSAGE, 1),
        encoder.channels("1234", "15355555", "7", 2),
        encoder.digits("1234", "31", 3),
        encoder.beat(4),
    ]
    spoilt = st.tuples(st.sampled_from(good), st.integers(0, 40), st.binary(max_size=3)).map(
        lambda one: one[0][: one[1]] + one[2] + one[0][one[1] + 1 :]
    )
    noise = st.binary(max_size=30)
    line = st.text("0158SQERP# []|@\t\n\r\x14", max_size=30).map(str.encode)
    return st.lists(noise | line | spoilt | st.sampled_from(good), max_size=8)


def play(dialect: Dialect, pieces: list[bytes]) -> list[Effect]:
    machine = Automation(dialect)
    machine.connected(NOW)
    effects = [effect for piece in pieces for effect in machine.receive(piece, NOW)]
    for token in [one.token for one in effects if isinstance(one, Arrived)]:
        effects += machine.stored(token, NOW)
    effects += machine.disconnected("end", NOW)
    return effects


@pytest.mark.parametrize(("dialect", "encoder"), PAIRS, ids=IDS)
@settings(max_examples=150)
@given(data=st.data())
def test_bytes_from_a_receiver(dialect: Dialect, encoder: Encoder, data: st.DataObject) -> None:
    pieces = data.draw(pieces_of(encoder))
    stream = b"".join(pieces)
    effects = play(dialect, [stream])
    assert play(dialect, [bytes((byte,)) for byte in stream]) == effects
    assert play(dialect, pieces) == effects
    for effect in effects:
        assert isinstance(effect, Arrived | Send | Back | Malformed)
        if isinstance(effect, Arrived):
            assert effect.what
            for one in effect.what:
                assert isinstance(one, Report | Unrecognised)
                if isinstance(one, Report):
                    assert len(one.account) <= 16
                    assert len(one.raw) <= 512
                    assert one.raw.isprintable()
        if isinstance(effect, Malformed):
            assert len(effect.raw) <= 256


@pytest.mark.parametrize(("dialect", "encoder"), PAIRS, ids=IDS)
@given(frame=st.binary(max_size=80) | st.text(max_size=60).map(str.encode))
def test_any_frame_is_read(dialect: Dialect, encoder: Encoder, frame: bytes) -> None:
    assert isinstance(dialect.read(frame), Line | Beat | Bad)


def nearly(rng: random.Random, good: list[bytes]) -> bytes:
    """A line as receivers print it, with some signs exchanged, lost, doubled or put in: what finds
    its way past the patterns and into the fields.
    """
    line = bytearray(rng.choice(good))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(line))
        match rng.randrange(4):
            case 0:
                line[at] = rng.choice(SIGNS)
            case 1:
                del line[at]
            case 2:
                line.insert(at, rng.choice(SIGNS))
            case _:
                line[at:at] = line[at : at + rng.randint(1, 4)]
        line = line or bytearray(b" ")
    return bytes(line)


@pytest.mark.parametrize(("dialect", "encoder"), PAIRS, ids=IDS)
def test_lines_that_are_nearly_right(dialect: Dialect, encoder: Encoder) -> None:
    """3,000 here; a million of each dialect by `python -m tests.fuzz.test_automation_fuzz`."""
    nearly_right(dialect, encoder, 3000, seed=7)


def nearly_right(dialect: Dialect, encoder: Encoder, count: int, seed: int) -> int:
    """Read so many; how many of them told something."""
    rng = random.Random(seed)
    good = [encoder.contact_id(MESSAGE, 1), encoder.channels("1234", "15355555", "7", 2)]
    good += [encoder.digits("1234", "31", 3), encoder.beat(4), *lines(*FORMATS).values()]
    good = [frame.strip(b"\n\r\x14") for frame in good]
    told = 0
    for _ in range(count):
        frame = nearly(rng, good)
        if isinstance(dialect, BoschSia) and rng.random() < 0.9:  # past the CRC
            frame = framed(frame[rng.choice((0, 4, 6)) :].decode("latin-1")).strip(b"\n\r")
        reading = dialect.read(frame)
        line = reading.else_ if isinstance(reading, Bad) else reading
        for one in line.what if isinstance(line, Line) else ():
            told += 1
            if isinstance(one, Report):
                event = one.event
                assert len(one.account) <= 16
                assert len(one.raw) <= 512
                assert len(event.detail) <= 512
                assert all(0 <= n < 2**31 for n in (event.code, event.area, event.zone, event.user))
    return told


@pytest.mark.parametrize(("dialect", "encoder"), PAIRS, ids=IDS)
@given(data=st.data())
def test_good_frames_survive_noise_before_them(
    dialect: Dialect, encoder: Encoder, data: st.DataObject
) -> None:
    """After any noise and one frame's end, a good frame is read."""
    noise = data.draw(st.binary(max_size=200))
    machine = Automation(dialect)
    machine.connected(NOW)
    machine.receive(noise + bytes((dialect.framing.end,)), NOW)
    effects = machine.receive(encoder.contact_id(MESSAGE, 7), NOW)
    arrived = [effect for effect in effects if isinstance(effect, Arrived)]
    assert len(arrived) == 1
    assert isinstance(arrived[0].what[0], Report)


@given(st.lists(st.binary(max_size=10), max_size=10))
def test_the_played_receiver_takes_any_answer(answers: list[bytes]) -> None:
    for _, encoder in PAIRS:
        sender = Sender(encoder)
        sender.put(lambda n, encoder=encoder: encoder.contact_id(MESSAGE, n), NOW)  # type: ignore[misc]
        for answer in answers:
            sender.receive(answer, NOW)
        assert sender.waiting + sender.done == 1


if __name__ == "__main__":
    for each_dialect, each_encoder in PAIRS:
        began = time.monotonic()
        found = nearly_right(each_dialect, each_encoder, 1_000_000, seed=int(began))
        rate = 1_000_000 / (time.monotonic() - began)
        print(f"{each_dialect.name}: {found} of a million told something, {rate:.0f} lines/s")
