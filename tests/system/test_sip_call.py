"""Contact ID over real SIP calls: panel, agent, lossy wire, front-end, receiver; sipp besides."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hil.drivers.process import Program, wait_for
from protocols import audiosocket
from protocols.audiosocket import Kind
from tests.support import sipp
from tests.support.agent_panel import AgentPanel
from tests.support.sip_rig import Outcome, SipRig

pytestmark = [pytest.mark.system, pytest.mark.slow]
CALLS, EVENTS = 67, 3


# -- calls under loss ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SipRig]:
    with SipRig(tmp_path_factory.mktemp("sip"), trunks=9) as apart:
        yield apart
        names = list(apart.programs)
        assert {name: apart.programs[name].stop() for name in names} == dict.fromkeys(names, 0)


@pytest.mark.parametrize(("loss", "first"), [(0.0, 2000), (0.01, 3000), (0.02, 4000)])
def test_every_event_is_delivered_or_still_owed_and_said_so(
    rig: SipRig, loss: float, first: int
) -> None:
    outcome = rig.call(CALLS, EVENTS, first=first, loss=loss, dials=10)
    assert len(outcome.events) == CALLS * EVENTS
    assert bool(outcome.dropped) == bool(loss), "the wire does not lose what it should"
    assert outcome.kissed <= outcome.stored, "kissed off and not in the receiver's spool"
    assert not outcome.invented
    assert_owed_is_told(outcome)
    assert len(outcome.kissed) == CALLS * EVENTS, outcome.dialled
    if not loss and outcome.late < 0.001:
        # A machine that is not too busy to keep real time. The rates are the bench's (bench_sip).
        assert outcome.within(4) == 1.0, outcome.dialled
        assert outcome.within(1) >= 0.95, outcome.dialled


def assert_owed_is_told(outcome: Outcome) -> None:
    """A call says `done` only when everything it was made for is acknowledged."""
    owed = {event["digits"][:4] for event in outcome.events if not event["kissed"]}
    last = {one["account"]: one["cause"] for one in outcome.dialled}
    assert {account for account, cause in last.items() if cause != "done"} == owed


def test_nothing_is_kissed_off_unstored_whatever_is_killed_in_mid_call(rig: SipRig) -> None:
    """A worker killed, another one stopped dead, a panel's agent killed, the whole front-end."""
    with ThreadPoolExecutor(1) as beside:
        running = beside.submit(rig.call, 12, EVENTS, first=6000, lines=12, dials=20)

        def stored(count: int) -> None:
            wait_for(f"{count} events in the spool", lambda: len(rig.stored(6000)) >= count, 60)

        stored(2)
        killed, stopped = (pid for _, pid in sorted(rig.worker_pids().items())[:2])
        os.kill(killed, signal.SIGKILL)
        os.kill(stopped, signal.SIGSTOP)
        rig.programs["agent2"].kill()
        rig.programs["agent2"].start()
        wait_for("a hung worker to be found", lambda: "hangs" in rig.log("front"), 30)
        old = rig.worker_pids()
        rig.programs["front"].kill()
        orphans = [Path(f"/proc/{pid}") for pid in old.values()]
        wait_for("orphans to end", lambda: not any(map(_lives, orphans)), 20)
        rig.programs["front"].start()
        outcome = running.result()
    assert killed not in old.values(), "begun anew"
    assert outcome.kissed <= outcome.stored
    assert not outcome.invented
    assert_owed_is_told(outcome)
    assert len(outcome.kissed) == 12 * EVENTS, outcome.dialled
    assert any(one["cause"] != "done" for one in outcome.dialled), "no call was hit"


def _lives(process: Path) -> bool:
    try:
        return "State:\tZ" not in (process / "status").read_text()
    except OSError:
        return False


# -- what the far end may say to the panel's agent -------------------------------------------------


@pytest.fixture
def agents(tmp_path: Path) -> Iterator[list[Program]]:
    started: list[Program] = []
    yield started
    for program in started:
        assert program.stop() == 0, program.tail()


def agent(agents: list[Program], folder: Path, *options: str) -> str:
    words = [sys.executable, "-m", "edge.sip", "--line", "127.0.0.1:0", *options]
    program = Program("agent", words, folder / f"agent{len(agents)}.log")
    agents.append(program)
    program.start()
    return str(program.ready()["line"])


@pytest.mark.parametrize(
    ("scenario", "told"),
    [
        (sipp.refuses("486 Busy Here"), {"is": "busy"}),
        (sipp.refuses("600 Busy Everywhere"), {"is": "busy"}),
        (sipp.refuses("503 Service Unavailable"), {"is": "failed", "why": "503"}),
        (sipp.refuses("404 Not Found"), {"is": "failed", "why": "404"}),
        (sipp.RINGS_FOR_EVER, {"is": "failed", "why": "no_answer"}),
        (sipp.HANGS_UP, {"is": "dropped"}),
    ],
    ids=["486", "600", "503", "404", "no answer", "early hang-up"],
)
def test_the_far_end_is_told_to_the_panel_and_the_line_is_free_again(
    tmp_path: Path, agents: list[Program], scenario: str, told: dict[str, str]
) -> None:
    with sipp.Sipp(tmp_path, scenario) as far:
        trunk = f"sip:127.0.0.1:{far.port}"
        line = agent(agents, tmp_path, "--trunk", trunk, "--check-s", "0", "--answer-s", "5")
        with AgentPanel(line) as panel:
            assert panel.until("line") == {"is": "line", "up": True}
            for _ in range(1 if told.get("why") == "no_answer" else 2):
                panel.do("seize")
                panel.until("dial_tone")
                panel.do("dial", number="5551000")
                assert panel.until(told["is"]) == told
                panel.do("release")
            if told.get("why") == "no_answer":
                assert panel.audio_bytes, "a line that is held brings audio, be it silence"


def test_registration_by_password_file_is_the_line(tmp_path: Path, agents: list[Program]) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter two\n")
    right, wrong = sipp.registrar("1001", "hunter two"), sipp.registrar("1001", "other")
    common = ("--user", "1001", "--password-file", str(secret))
    with sipp.Sipp(tmp_path, right) as yes, sipp.Sipp(tmp_path, wrong) as no:
        for registrar, up in ((yes, True), (no, False)):
            there = f"sip:127.0.0.1:{registrar.port}"
            line = agent(agents, tmp_path, "--registrar", there, *common)
            log = agents[-1].log
            state = '"up": true' if up else "unregistered_40"
            wait_for(state, lambda log=log, state=state: state in log.read_text(), 10)
            with AgentPanel(line) as panel:
                assert panel.until("line")["up"] is up
                panel.do("seize")
                panel.until("dial_tone" if up else "no_line")
            assert "hunter" not in log.read_text()


def test_the_agent_outlives_what_no_panel_would_say(tmp_path: Path, agents: list[Program]) -> None:
    with sipp.Sipp(tmp_path, sipp.refuses("486 Busy Here")) as far:
        trunk = f"sip:127.0.0.1:{far.port}"
        line = agent(agents, tmp_path, "--trunk", trunk, "--check-s", "0")
        chance = random.Random(3)
        with AgentPanel(line) as panel, AgentPanel(line) as second:
            assert second.until("no_line")["why"] == "all_lines_taken"
            for payload in (b"", b"[]", b"{", b'{"do": 7}', b"[" * 4000, b'{"do":"dial"}'):
                panel.send(payload)
            for number in ("", "sip:x@y", "1;2", "0" * 40, 12, None, "1\r\n2"):
                panel.do("seize")
                panel.do("dial", number=number)
            for kind in range(256):
                if kind not in (Kind.HANGUP, Kind.ERROR):
                    panel.send(chance.randbytes(chance.randrange(400)), kind)
            panel.do("dial", number="5551000")
            panel.until("busy")


# -- what callers may send to the front-end --------------------------------------------------------


class Front:
    """A front-end with a receiver of nothing but bytes behind it."""

    def __init__(self, folder: Path) -> None:
        self.receiver = socket.create_server(("127.0.0.1", 0))
        self.receiver.settimeout(20)
        port = self.receiver.getsockname()[1]
        words = [sys.executable, "-m", "collector.sip", "--listen", "127.0.0.1:0"]
        words += ["--audiosocket", f"127.0.0.1:{port}"]
        self.program = Program("front", words, folder / "front.log")
        self.program.start()
        self.port = int(str(self.program.ready()["sip"]).rpartition(":")[2])


@pytest.fixture
def front(tmp_path: Path) -> Iterator[Front]:
    one = Front(tmp_path)
    try:
        yield one
        assert one.program.stop() == 0, one.program.tail()
    finally:
        one.program.kill()
        one.receiver.close()


def frames_of(connection: socket.socket, seconds_of_audio: float) -> tuple[int, int]:
    """(kind of the first frame, bytes of audio) until so much audio came or the caller hung up."""
    reader, audio, first = audiosocket.Reader(), 0, -1
    while audio < seconds_of_audio * 16_000:
        data = connection.recv(65_536)
        if not data:
            break
        for frame in reader.feed(data):
            first = frame.kind if first < 0 else first
            audio += len(frame.payload) if frame.kind == Kind.AUDIO else 0
    return first, audio


def one_call_works(front: Front, folder: Path) -> None:
    """sipp calls; id and audio come through; its BYE ends the connection."""
    with ThreadPoolExecutor(1) as beside:
        done = beside.submit(sipp.dial, front.port, folder)
        connection, _ = front.receiver.accept()
        with connection:
            connection.settimeout(10)
            connection.sendall(audiosocket.encode(Kind.AUDIO, bytes(320)))
            first, audio = frames_of(connection, 60)
        assert first == Kind.ID
        assert audio > 8_000
        assert done.result(), front.program.tail()


def test_a_foreign_caller_is_bridged(front: Front, tmp_path: Path) -> None:
    one_call_works(front, tmp_path)


def test_calls_are_refused_while_the_receiver_is_full_or_away(front: Front, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as beside:
        done = beside.submit(sipp.dial, front.port, tmp_path)
        connection, _ = front.receiver.accept()
        connection.sendall(audiosocket.encode(Kind.HANGUP))
        assert not done.result(), "answered, though the receiver was full"
        connection.close()
    front.receiver.close()
    assert not sipp.dial(front.port, tmp_path), "answered, though there was no receiver"
    codes = [line for line in front.program.log.read_text().splitlines() if '"refused"' in line]
    assert '"code": 486' in codes[0], codes
    assert '"code": 503' in codes[1], codes


SDP = (
    "v=0\r\no=x 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
)


def request(method: str, port: int, number: int, body: str = "") -> bytes:
    head = (
        f"{method} sip:5551000@127.0.0.1 SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 127.0.0.1:{port};branch=z9hG4bKf{number}\r\n"
        f"From: <sip:555{number}@127.0.0.1>;tag=f{number}\r\nTo: <sip:5551000@127.0.0.1>\r\n"
        f"Call-ID: fuzz{number}@127.0.0.1\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n"
        f"Contact: <sip:fuzz@127.0.0.1:{port}>\r\n"
    )
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return f"{head}{kind}Content-Length: {len(body)}\r\n\r\n{body}".encode()


def mangled(message: bytes, chance: random.Random) -> bytes:
    data = bytearray(message)
    for _ in range(chance.randrange(1, 12)):
        at = chance.randrange(len(data))
        match chance.randrange(4):
            case 0:
                data[at] = chance.randrange(256)
            case 1:
                del data[at : at + chance.randrange(1, 60)]
            case 2:
                data[at:at] = chance.randbytes(chance.randrange(1, 40))
            case _:
                data[at:at] = data[at : at + 80]
        if not data:
            break
    return bytes(data[:4000])


def test_hostile_datagrams_end_neither_process_nor_service(front: Front, tmp_path: Path) -> None:
    chance = random.Random(11)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as hostile:
        hostile.bind(("127.0.0.1", 0))
        own = hostile.getsockname()[1]
        for number in range(1500):
            method = chance.choice(("INVITE", "OPTIONS", "BYE", "ACK", "CANCEL", "REGISTER"))
            valid = request(method, own, number, SDP if method == "INVITE" else "")
            data = chance.randbytes(chance.randrange(600)) if number % 5 == 0 else valid
            hostile.sendto(mangled(data, chance) if data else b"", ("127.0.0.1", front.port))
        assert front.program.running(), front.program.tail()
    front.receiver.setblocking(False)

    def all_over() -> bool:
        """Callers that never acknowledge hold no line for long."""
        with contextlib.suppress(BlockingIOError):
            while True:
                front.receiver.accept()[0].close()
        told = front.program.log.read_text()
        return told.count('"is": "calling"') == told.count('"is": "over"')

    wait_for("all hostile calls to be over", all_over, 45, every_s=0.2)
    front.receiver.settimeout(20)
    one_call_works(front, tmp_path)
