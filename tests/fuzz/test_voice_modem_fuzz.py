"""What a voice modem may send: any bytes, any lines, in any pieces; nothing raises."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from protocols.voice_modem import answers, samples
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
