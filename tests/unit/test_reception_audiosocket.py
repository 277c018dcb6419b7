"""The AudioSocket server in one process: calls as audio, hostile peers, limits. No waiting for real
time: the panel and the server move in lock-step.
"""

from __future__ import annotations

import asyncio
import json
import random
import socket
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from collector.adapters import audiosocket_server
from collector.adapters.audiosocket_server import FRAME_S, MOST_AHEAD, AudioSocketServer
from collector.adapters.peer_limits import Limits
from collector.adapters.reception_call import CallRecord, LineCall
from collector.reception.call import Call
from collector.reception.call_types import Learned, Reported, Unrecognised
from collector.reception.profile import Profile
from protocols.audiosocket import Kind, Reader, encode
from protocols.contact_id import family, pulse
from protocols.instants import UtcTime
from protocols.tones.elements import Digits, Pulses, Silence
from tests.support.audio_panel import AudioPanel, dtmf
from tests.support.reception_line import block_of, formats

UTC = UtcTime(1_790_000_000_000_000)


@dataclass
class MemoryKeeper:
    """Keeps in memory; answers at once or with `refuse`."""

    refuse: str = ""
    stored: list[Reported] = field(default_factory=list)
    calls: list[tuple[CallRecord, Unrecognised | None, list[bytes]]] = field(default_factory=list)
    memory: dict[str, Learned] = field(default_factory=dict)
    frames: int = 0

    def store(
        self, record: CallRecord, reports: Sequence[Reported], done: Callable[[str], None]
    ) -> None:
        if not self.refuse:
            self.stored += reports
        asyncio.get_running_loop().call_soon(done, self.refuse)

    def learned(self, learned: Learned) -> None:
        self.memory[learned.caller] = learned

    def ended(
        self, record: CallRecord, unrecognised: Unrecognised | None, audio: Sequence[bytes]
    ) -> None:
        self.calls.append((record, unrecognised, list(audio)))

    def may_record(self, frames: int) -> bool:
        self.frames += frames
        return True


def serve(
    work: Callable[[AudioSocketServer, MemoryKeeper], Awaitable[None]],
    limits: Limits | None = None,
    *,
    paced: bool = False,
    profile: Profile | None = None,
    release: bool = False,
) -> tuple[AudioSocketServer, MemoryKeeper]:
    """Run `work` beside a server; the call records are complete when it returns."""
    keeper = MemoryKeeper()

    def open_call(line: str, call: str, caller: str) -> LineCall:
        machine = Call(profile or Profile(), formats(), caller=caller)
        record = CallRecord(call, line, caller, UTC)
        return LineCall(machine, record, keeper, lambda: UTC, release_to_voice=release)

    async def run() -> AudioSocketServer:
        server = AudioSocketServer("trunk", open_call, limits, paced=paced)
        await server.start("127.0.0.1", 0)
        try:
            await work(server, keeper)
        finally:
            await server.stop()
        return server

    return asyncio.run(run()), keeper


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for is another's state
            await asyncio.sleep(0.005)


def panel_of(server: AudioSocketServer, **given: object) -> AudioPanel:
    return AudioPanel("127.0.0.1", server.port, paced=False, **given)  # type: ignore[arg-type]


def test_contact_id_over_audio_on_many_lines_at_once() -> None:
    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        panels = [panel_of(server, caller=f"1380000{n:04d}") for n in range(12)]
        blocks = [
            [dtmf(block_of(f"{2000 + n}", number=f"{event:03d}")) for event in range(3)]
            for n in range(12)
        ]
        await asyncio.gather(
            *(panel.call(those) for panel, those in zip(panels, blocks, strict=True))
        )
        assert [panel.acknowledged for panel in panels] == [[0, 1, 2]] * 12
        assert [panel.sent for panel in panels] == [3] * 12
        await until(lambda: len(keeper.calls) == 12)

    server, keeper = serve(work)
    assert len({each.raw for each in keeper.stored}) == 36
    assert {record.caller for record, _, _ in keeper.calls} == {
        f"1380000{n:04d}" for n in range(12)
    }
    assert [lost for _, lost, _ in keeper.calls] == [None] * 12
    assert [record.kissed for record, _, _ in keeper.calls] == [3] * 12
    assert keeper.memory["13800000003"].preferred.format == "contact-id"
    assert keeper.frames == 0, "memory for recordings is given back"
    assert server.counts["calls"] == 12


def test_each_format_of_the_dtmf_family_and_pulses_over_audio() -> None:
    express = family.encode(family.Format.EXPRESS_4_2, "1234", "31")
    fast = family.encode(family.Format.SUPER_FAST, "1234", "155555557")
    (round_, again) = pulse.encode(pulse.FORMATS[0], "123", "4")
    pulses = tuple(
        each
        for digits in (round_, again)
        for digit in digits
        for each in (Pulses(pulse.pulses_of(digit)[0], 1800, 20), Silence(500))
    )

    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        for block, told in ((express, "express-4-2"), (fast, "super-fast")):
            panel = await panel_of(server).call([dtmf(block)])
            assert panel.acknowledged == [0]
            assert keeper.stored[-1].format == told
        # the dual handshake's own 2300 Hz tone invites this panel too
        panel = await panel_of(server, kiss_off=1400).call([pulses])
        assert panel.acknowledged == [0], (panel.over_by, panel.heard)
        assert keeper.stored[-1].format == "3+1"

    serve(work)


def test_lost_kiss_offs_bring_repeats_with_their_own_index() -> None:
    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        panel = await panel_of(server, deaf=2).call([dtmf(block_of())])
        assert panel.acknowledged == [0]
        assert panel.sent == 3

    _, keeper = serve(work)
    assert [each.index for each in keeper.stored] == [0, 1, 2]


def test_refused_by_the_store_the_panel_hears_nothing() -> None:
    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        keeper.refuse = "disk full"
        panel = await panel_of(server).call([dtmf(block_of())])
        assert panel.acknowledged == []
        assert panel.sent == 4
        await until(lambda: len(keeper.calls) == 1)

    _, keeper = serve(work)
    ((record, lost, audio),) = keeper.calls
    assert (record.stored, record.kissed, record.failed) == (0, 0, 4)
    assert lost is not None
    assert "disk full" in lost.reason
    assert len(audio) > 200, "the call's audio is kept"


def test_digits_told_by_the_exchange_instead_of_left_in_the_audio() -> None:
    quiet = encode(Kind.AUDIO, bytes(320))

    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(encode(Kind.ID, uuid.uuid4().bytes))
        for _ in range(75):
            writer.write(quiet)
            await reader.readexactly(323)
        for digit in block_of():
            writer.write(encode(Kind.DTMF, digit.replace("B", "*").encode()))
            for _ in range(5):
                writer.write(quiet)
                await reader.readexactly(323)
        for _ in range(30):
            writer.write(quiet)
            await reader.readexactly(323)
        writer.close()

    _, keeper = serve(work)
    assert [each.raw for each in keeper.stored] == [block_of()]


@pytest.mark.parametrize(
    ("first", "why"),
    [
        (encode(Kind.AUDIO, bytes(320)), "the first frame is no call id"),
        (encode(Kind.ID, bytes(15)), "the first frame is no call id"),
        (b"GET / HTTP/1.1\r\n\r\n" + bytes(30_000), "the first frame is no call id"),
        (b"", "no call id in time"),
    ],
)
def test_who_does_not_begin_with_a_call_id_is_dropped(
    first: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("collector.adapters.audiosocket_server.ID_WITHIN_S", 0.1)

    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(first)
        async with asyncio.timeout(5):
            try:
                left = await reader.read(1)
            except ConnectionError:
                left = b""
        assert left == b""
        writer.close()

    server, keeper = serve(work)
    assert server.counts == {why: 1}
    assert keeper.calls == []


def test_more_calls_than_lines_are_hung_up_and_the_others_live() -> None:
    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        panels = [panel_of(server) for _ in range(5)]
        await asyncio.gather(*(panel.call([dtmf(block_of())]) for panel in panels))
        served = [panel for panel in panels if panel.acknowledged == [0]]
        assert len(served) == 3
        later = await panel_of(server).call([dtmf(block_of())])
        assert later.acknowledged == [0], "lines are given back"

    server, _ = serve(work, Limits(lines=3))
    assert server.counts["all lines busy"] == 2


def test_bounds_per_peer_in_number_and_rate() -> None:
    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        opened = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(6)]
        await until(lambda: server.counts["too many connections of one peer"] == 2)
        for _, writer in opened:
            writer.close()
        await until(lambda: not server.peers.open)
        for _ in range(30):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.close()
        await until(lambda: server.counts["too many new connections of one peer"] > 0)

    serve(work, Limits(per_peer=4, new_per_second=5))


def test_a_peer_of_no_allowed_network_is_refused() -> None:
    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        panel = await panel_of(server).call([dtmf(block_of())])
        assert panel.acknowledged == []

    server, _ = serve(work, Limits(allow=("10.0.0.0/8",)))
    assert server.counts == {"peer not allowed": 1}


def test_a_peer_that_never_reads_is_dropped_though_it_sends_as_fast_as_it_can() -> None:
    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)
            await loop.sock_connect(peer, ("127.0.0.1", server.port))
            flood = encode(Kind.ID, uuid.uuid4().bytes) + encode(Kind.AUDIO, bytes(65_534)) * 40
            sending = asyncio.create_task(loop.sock_sendall(peer, flood))
            most = 0
            async with asyncio.timeout(20):
                while not server.counts["the peer does not read"]:
                    most = max([most, *(len(each._audio) for each in server._calls.values())])
                    await asyncio.sleep(0.001)
            assert most < 400_000, "what is sent ahead of its time waits with the sender"
            sending.cancel()
            await asyncio.wait([sending])

    serve(work)


def test_a_peer_that_stops_reading_at_the_end_does_not_keep_its_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(audiosocket_server, "PARTING_S", 0.2)

    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        loop = asyncio.get_running_loop()
        with socket.socket() as peer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            peer.setblocking(False)
            await loop.sock_connect(peer, ("127.0.0.1", server.port))
            await loop.sock_sendall(peer, encode(Kind.ID, uuid.uuid4().bytes))
            await until(lambda: bool(server._calls))
            (line,) = server._calls.values()
            assert line._transport is not None
            monkeypatch.setattr(audiosocket_server, "MOST_UNSENT_BYTES", 10**9)
            while line._transport.get_write_buffer_size() < 10_000:
                await loop.sock_sendall(peer, encode(Kind.AUDIO, bytes(320)) * 20)
                await asyncio.sleep(0)
            await loop.sock_sendall(peer, encode(Kind.HANGUP))
            await until(lambda: not server.peers.open)

    serve(work)


def test_a_peer_that_pumps_audio_is_heard_no_faster_than_time_passes() -> None:
    """Else one call of noise, and one notice to the operators, is over every half second."""
    noise = encode(Kind.AUDIO, random.Random(5).randbytes(320)) * 3000

    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(encode(Kind.ID, uuid.uuid4().bytes) + noise)
        await until(lambda: bool(server._calls))
        (line,) = server._calls.values()
        await until(lambda: line._passed >= MOST_AHEAD + 20)
        assert line._passed <= MOST_AHEAD + (loop.time() - began) / FRAME_S + 1
        assert keeper.calls == []
        writer.close()

    serve(work, paced=True)


def test_frames_of_unknown_kind_are_passed_over_but_not_for_ever() -> None:
    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(encode(Kind.ID, uuid.uuid4().bytes))
        writer.write(encode(0x12, bytes(640)) * 100)
        writer.write(encode(Kind.CONTROL, json.dumps({"do": "seize"}).encode()) * 100)
        writer.write(encode(Kind.AUDIO, bytes(320)))
        assert (await reader.readexactly(323))[0] == Kind.AUDIO
        writer.write(encode(0x77, b"x") * 400)
        await until(lambda: server.counts["too many frames of unknown kind"] == 1)
        writer.close()

    serve(work)


def test_silence_stands_in_for_audio_that_does_not_come() -> None:
    """A sender with silence suppression: the handshakes go on by the clock."""

    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(encode(Kind.ID, uuid.uuid4().bytes))
        frames = Reader()
        async with asyncio.timeout(10):
            loud = False
            while not loud:
                for frame in frames.feed(await reader.read(4096)):
                    loud = loud or (frame.kind == Kind.AUDIO and any(frame.payload))
        writer.close()

    serve(work, paced=True)


def test_only_listening_in_goes_back_to_the_exchange_where_that_is_asked_for() -> None:
    """Asterisk goes on in its dialplan after HANGUP, and ends the call after ERROR."""

    async def ends(server: AudioSocketServer, code: str) -> str:
        panel = panel_of(server, linger_ms=100_000)
        await panel.call([dtmf(block_of(code=code))])
        return panel.over_by

    async def released(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        assert await ends(server, "606") == "hung up by the receiver"
        assert await ends(server, "131") == "ended by the receiver"

    async def kept(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        assert await ends(server, "131") == "hung up by the receiver"

    _, keeper = serve(released, release=True)
    assert [each.event.code for each in keeper.stored] == [606, 131]
    serve(kept)


def test_voice_and_noise_are_no_message() -> None:
    async def work(server: AudioSocketServer, keeper: MemoryKeeper) -> None:
        panel = panel_of(server, most_ms=30_000)
        await panel.call([(Digits("12"), Silence(200))])
        assert panel.acknowledged == []
        await until(lambda: len(keeper.calls) == 1)

    _, keeper = serve(work)
    ((_, lost, _),) = keeper.calls
    assert lost is not None
    assert lost.tried[0] == "dual"
