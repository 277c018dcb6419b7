"""What a voice modem may send: any bytes, any lines, in any pieces; nothing raises."""

from __future__ import annotations

import random
import re
from collections import Counter
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from protocols.voice_modem import answers, samples
from protocols.voice_modem.answers import FINAL, Reply
from protocols.voice_modem.bringing_up import Abilities, Unfit, Wanted, bring_up
from protocols.voice_modem.dialogue import Dialogue
from protocols.voice_modem.samples import JUDGED_BYTES, Coding, Unpack
from protocols.voice_modem.stream import END, Unshield, shield

bytes_of_a_modem = st.lists(
    st.one_of(st.just(b"\x10"), st.just(b"\x03"), st.just(b"\x1a"), st.binary(max_size=4)),
    max_size=40,
).map(b"".join)
cuts = st.lists(st.integers(0, 160), max_size=6)


def pieces(data: bytes, at: list[int]) -> list[bytes]:
    edges = [0, *sorted(min(one, len(data)) for one in at), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def run(parts: list[bytes]) -> tuple[bytes, bytes, bytes | None]:
    """Audio, events, and what follows the end of the stream, over all parts."""
    reader = Unshield()
    audio, events = b"", b""
    rest: bytes | None = None
    for part in parts:
        if rest is not None:
            rest += part
            continue
        heard, told, rest = reader.feed(part)
        audio += heard
        events += told
    return audio, events, rest


@given(bytes_of_a_modem, cuts)
def test_however_it_is_cut_it_says_the_same(data: bytes, at: list[int]) -> None:
    assert run(pieces(data, at)) == run([data])


@given(st.binary(max_size=300), cuts)
def test_shielded_audio_comes_back_whole(data: bytes, at: list[int]) -> None:
    sent = shield(data) + END + b"OK\r\n"
    audio, _, rest = run(pieces(sent, at))
    assert audio == data
    assert rest is not None
    assert rest.endswith(b"OK\r\n")


@given(st.binary(max_size=600), cuts, st.sampled_from(list(Coding)))
def test_samples_do_not_depend_on_the_pieces(data: bytes, at: list[int], coding: Coding) -> None:
    unpack = Unpack(coding)
    got = np.concatenate([unpack.feed(part) for part in pieces(data, at)])
    assert np.array_equal(got, Unpack(coding).feed(data))
    judged = coding is not Coding.LINEAR_8 or len(data) >= JUDGED_BYTES
    assert len(got) == (len(data) // coding.sample_bytes if judged else 0)


@given(st.text(max_size=80))
def test_any_line_has_a_documented_outcome(line: str) -> None:
    result = answers.result_of(line)
    assert result is None or isinstance(result, answers.Result)
    caller = answers.caller_in(line)
    assert caller is None or caller == "" or caller.strip("+").isdigit()
    volts = answers.volts_in(line)
    assert volts is None or 0 <= volts < 1000
    chosen = samples.choose(samples.formats_of([line, line]), 921_600)
    assert chosen is None or chosen.coding in Coding


WORDS = (
    *(result.value.encode() for result in answers.Result),
    *(b'128,"8-BIT LINEAR",(7200,8000)', b'5,"G.711A",8,0,(8000),(0),(0)', b"2;ADPCM;2;0;(9600)"),
    *(
        b"NMBR = 02155512345",
        b"+VCID: NMBR=P",
        b"48.20",
        b"-TRV: 1.4",
        b"CONNECT 33600",
        b"AT+VSM=?",
    ),
    *(b"\x10\x03", b"\x10R", b"\x10X", b"\x10.", b"\x10\x10", b"\x10", b"\r", b"\n", b"\xff\x00"),
)
TRANSCRIPTS = 3000
MOST_COMMANDS = 60


HONEST = b'\r\n128,"8-BIT LINEAR",(7200,8000)\r\n\r\nOK\r\n'


def transcript(dice: random.Random, honesty: float) -> bytes:
    """What a modem might send in answer to one command: sense, nonsense, and both in pieces."""
    if dice.random() < honesty:
        return HONEST
    said = bytearray()
    for _ in range(dice.randrange(6)):
        word = dice.choice(WORDS)
        if dice.random() < 0.2:
            word = word[dice.randrange(len(word)) :]
        said += dice.choice((b"\r\n", b"", b"\n", dice.randbytes(dice.randrange(20)))) + word
        if dice.random() < 0.8:
            said += b"\r\n"
    if dice.random() < 0.5:
        said += b"\r\nOK\r\n"
    return bytes(said)


def test_a_hostile_modem_is_fit_or_unfit_and_never_more() -> None:
    """3,000 modems answer a whole bringing-up and a call with whatever they like."""
    outcomes: Counter[str] = Counter()
    for seed in range(TRANSCRIPTS):
        dice = random.Random(seed)
        honesty = dice.choice((0.0, 0.5, 0.9))
        dialogue = Dialogue()

        def answered(
            dialogue: Dialogue = dialogue, dice: random.Random = dice, honesty: float = honesty
        ) -> Reply:
            dialogue.commanded()
            said = transcript(dice, honesty)
            while said:
                cut = dice.randint(1, len(said))
                dialogue.feed(said[:cut])
                said = said[cut:]
                reply = dialogue.reply()
                if reply is not None:
                    assert reply.result in FINAL
                    dialogue.feed(said)
                    return reply
            return dialogue.given_up()

        asking = bring_up(Wanted("/dev/m", 115_200, ("AT+INIT",), caller_id=True))
        asked = [next(asking)]
        while True:
            assert len(asked) <= MOST_COMMANDS
            assert re.fullmatch(r"AT[ -~]*", asked[-1])
            dialogue.leave_stream()
            try:
                asked.append(asking.send(answered()))
            except StopIteration as over:
                outcome = over.value
                break
        assert isinstance(outcome, Abilities | Unfit)
        assert isinstance(outcome, Abilities) or outcome.text.startswith("/dev/m: ")
        outcomes[type(outcome).__name__] += 1
        for _ in range(5):  # and a call
            answered()
            rings, caller = dialogue.rung()
            assert rings >= 0
            assert caller is None or caller == "" or caller.strip("+").isdigit()
            audio, codes, ended = dialogue.stream()
            assert ended or dialogue.streaming
            assert 0x10 not in codes
            assert len(audio) < 4096
    # both ends of the road were walked, or this has shown nothing
    assert min(outcomes["Abilities"], outcomes["Unfit"]) > TRANSCRIPTS / 20, outcomes
