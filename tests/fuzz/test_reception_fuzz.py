"""Hostile input to the receiver: anything on the AudioSocket port, anything heard on a line."""

from __future__ import annotations

import asyncio
import random
import uuid

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.adapters.audiosocket_server import AudioSocketServer
from collector.adapters.peer_limits import Limits
from collector.adapters.reception_call import CallRecord, LineCall
from collector.reception.call import Call
from collector.reception.call_types import (
    Answered,
    Behind,
    Effect,
    HangUp,
    HungUp,
    Input,
    Play,
    Store,
    Stored,
    StoreFailed,
)
from collector.reception.profile import Profile
from protocols.audiosocket import Kind, encode
from protocols.instants import NS_PER_MS, Instant, UtcTime
from protocols.tones.elements import (
    DTMF_SYMBOLS,
    DigitHeard,
    FskHeard,
    FskKind,
    Progress,
    ProgressHeard,
    PulseDigitHeard,
    ToneHeard,
)
from tests.support.audio_panel import AudioPanel, dtmf
from tests.support.reception_line import block_of, formats, is_kiss_off
from tests.unit.test_reception_audiosocket import MemoryKeeper

TIMES = st.integers(-1000, 10**7)
HEARD: st.SearchStrategy[Input] = st.one_of(
    st.builds(DigitHeard, st.sampled_from(DTMF_SYMBOLS), TIMES, TIMES, st.floats(-90, 10)),
    st.builds(PulseDigitHeard, st.integers(-3, 40), st.sampled_from([1800, 1900]), TIMES, TIMES),
    st.builds(
        FskHeard,
        st.binary(max_size=300),
        st.sampled_from(FskKind),
        st.sampled_from([110, 300]),
        st.integers(0, 50),
        TIMES,
    ),
    st.builds(ToneHeard, st.sampled_from([1400, 2300]), st.booleans(), TIMES, TIMES),
    st.builds(ProgressHeard, st.sampled_from(Progress), TIMES),
    st.builds(Behind, st.integers(0, 10_000)),
    st.builds(Stored, st.integers(-2, 5)),
    st.builds(StoreFailed, st.integers(-2, 5), st.text(max_size=20)),
    st.just(Answered()),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(HEARD, st.integers(0, 3000)), max_size=120), st.booleans())
def test_whatever_is_heard_the_machine_ends_and_kisses_off_only_what_is_stored(
    told: list[tuple[Input, int]], answering: bool
) -> None:
    call = Call(Profile(max_call_s=100), formats(), caller="123")
    now = 0
    stored: set[int] = set()
    asked: list[int] = []
    kisses = 0

    def carry(effects: list[Effect]) -> None:
        nonlocal kisses
        for effect in effects:
            if isinstance(effect, Store):
                asked.append(effect.token)
                if answering:
                    stored.add(effect.token)
                    carry(call.receive(Stored(effect.token), Instant(now * NS_PER_MS)))
            if isinstance(effect, Play) and is_kiss_off(effect):
                kisses += 1

    carry(call.receive(Answered(), Instant(0)))
    for each, wait in told:
        if isinstance(each, Stored):
            stored.add(each.token)
        carry(call.receive(each, Instant(now * NS_PER_MS)))
        now += wait
        carry(call.tick(Instant(now * NS_PER_MS)))
    assert kisses <= len(stored.intersection(asked))
    steps = 0
    ended: list[Effect] = []
    while not call.over:
        deadline = call.deadline()
        assert deadline is not None, "a call that lasts has a next step"
        now = max(now, -(-deadline // NS_PER_MS))
        ended = call.tick(Instant(now * NS_PER_MS))
        carry(ended)
        steps += 1
        assert steps < 200
    assert now <= 400_000
    assert call.receive(HungUp(), Instant(now * NS_PER_MS)) == []
    assert not ended or isinstance(ended[-1], HangUp)


def hostile(draw: random.Random) -> bytes:
    """Frames that are nearly right, and bytes that are nothing."""
    parts = [encode(Kind.ID, uuid.UUID(int=draw.getrandbits(128)).bytes)]
    if draw.random() < 0.2:
        parts = []
    for _ in range(draw.randrange(30)):
        match draw.randrange(7):
            case 0:
                parts.append(draw.randbytes(draw.randrange(500)))
            case 1:
                parts.append(encode(Kind.AUDIO, draw.randbytes(draw.randrange(2000))))
            case 2:
                parts.append(encode(draw.randrange(256), draw.randbytes(draw.randrange(70))))
            case 3:
                parts.append(encode(Kind.DTMF, draw.randbytes(draw.randrange(3))))
            case 4:
                parts.append(encode(Kind.DTMF, draw.choice(DTMF_SYMBOLS).encode()))
            case 5:
                parts.append(encode(Kind.HANGUP) if draw.random() < 0.2 else b"")
            case _:
                parts.append(encode(Kind.AUDIO, bytes(320)) * draw.randrange(50))
    return b"".join(parts)


def test_any_bytes_on_the_port_leave_the_server_answering() -> None:
    draw = random.Random(7)
    keeper = MemoryKeeper()
    utc = UtcTime(1)

    def open_call(line: str, call: str, caller: str) -> LineCall:
        machine = Call(Profile(), formats(), caller=caller)
        return LineCall(machine, CallRecord(call, line, caller, utc), keeper, lambda: utc)

    async def attack(port: int) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            data = hostile(draw)
            at = 0
            while at < len(data):
                step = draw.choice((1, 3, 7, 100, 5000))
                writer.write(data[at : at + step])
                at += step
                await writer.drain()
                await asyncio.sleep(0)
            if draw.random() < 0.5:
                async with asyncio.timeout(0.05):
                    while await reader.read(4096):
                        pass
        except (OSError, TimeoutError):
            pass
        finally:
            writer.close()

    async def run() -> AudioSocketServer:
        limits = Limits(lines=16, per_peer=100, new_per_second=1e6)
        server = AudioSocketServer("trunk", open_call, limits, paced=False)
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _loop, what: faults.append(what))
        await server.start("127.0.0.1", 0)
        for _ in range(30):
            await asyncio.gather(*(attack(server.port) for _ in range(8)))
        async with asyncio.timeout(10):
            while server.busy:  # noqa: ASYNC110 - what is waited for is another's state
                await asyncio.sleep(0.01)
        assert faults == []
        panel = AudioPanel("127.0.0.1", server.port, paced=False)
        await panel.call([dtmf(block_of())])
        assert panel.acknowledged == [0]
        await server.stop()
        return server

    server = asyncio.run(run())
    assert sum(server.peers.open.values()) <= 1
    assert len(server._free) == 16
    assert keeper.frames == 0
