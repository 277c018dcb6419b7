"""What outsiders and odd peers do to real SIP calls: documented outcomes, nothing unstored."""

from __future__ import annotations

import json
import os
import random
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from collector.adapters.spool_reading import peek_entries
from hil.drivers.process import Program, wait_for
from protocols import audiosocket
from protocols.audiosocket import Kind
from protocols.contact_id.message import Message, encode
from protocols.mqtt.reception import Report
from tests.support import sipp
from tests.support.agent_panel import AgentPanel
from tests.support.rtp_panel import RtpPanel
from tests.support.sip_peer import EVENTS, LOUD, SILENCE, Rtp, SipPeer

pytestmark = [pytest.mark.system]
G729 = ("18", "a=rtpmap:18 G729/8000\r\n")
A_LAW = ("8", "a=rtpmap:8 PCMA/8000\r\n")
BLOCKS = [encode(Message("4321", "1", "130", "01", f"{zone:03d}")) for zone in (1, 2)]


def first_line(message: str) -> str:
    return message.partition("\r\n")[0]


class Centre:
    """The front-end, and behind it the receiver or (`bare`) a socket."""

    def __init__(self, folder: Path, *options: str, bare: bool = False) -> None:
        self.folder = folder
        self.programs: list[Program] = []
        self.server: socket.socket | None = None
        if bare:
            self.server = socket.create_server(("127.0.0.1", 0))
            self.server.settimeout(10)
            port = self.server.getsockname()[1]
        else:
            port = self._receiver()
        words = ["collector.sip", "--listen", "127.0.0.1:0", "--allow", "127.0.0.1/32"]
        self.front = self._begin("front", *words, "--audiosocket", f"127.0.0.1:{port}", *options)
        self.port = int(str(self.front.ready()["sip"]).rpartition(":")[2])

    def _receiver(self) -> int:
        config = self.folder / "receiver.toml"
        config.write_text('id = "rx"\n[[line]]\nname = "sip"\nlisten = "127.0.0.1:0"\nlines = 8\n')
        words = ["collector.receiver_main", "run", "--json", "--config", str(config)]
        program = self._begin("receiver", *words, "--data", str(self.folder / "spool"))
        return int(program.ready()["audiosocket_port"])

    def _begin(self, name: str, *words: str) -> Program:
        log = self.folder / f"{name}.log"
        program = Program(name, [sys.executable, "-m", *words], log)
        self.programs.append(program)
        program.start()
        return program

    def stored(self) -> list[str]:
        """What the receiver's spool holds."""
        taken = [one.what for one in peek_entries(self.folder / "spool", 0, 1000)]
        return [what.raw for what in taken if isinstance(what, Report)]

    def taken(self) -> socket.socket:
        """The next call's connection, taken as a receiver does: by a frame of its own."""
        assert self.server is not None
        connection, _ = self.server.accept()
        connection.settimeout(10)
        connection.sendall(audiosocket.encode(Kind.AUDIO, bytes(320)))
        return connection

    def told(self, text: str) -> str:
        """Waits for a line of the front-end's log that holds this."""

        def look() -> str | None:
            lines = self.front.log.read_text().splitlines()
            return next((line for line in lines if text in line), None)

        return wait_for(f"{text!r} from the front-end", look, 10)

    def stop(self) -> None:
        codes = {one.name: one.stop() for one in reversed(self.programs)}
        if self.server is not None:
            self.server.close()
        assert set(codes.values()) == {0}, (codes, self.front.tail())


@pytest.fixture
def bare(tmp_path: Path) -> Iterator[Centre]:
    centre = Centre(tmp_path, bare=True)
    yield centre
    centre.stop()


def loudest(connection: socket.socket, frames: int) -> int:
    """Peak of the next so many frames of audio."""
    reader, audio = audiosocket.Reader(), b""
    while len(audio) < frames * 320:
        came = reader.feed(connection.recv(65_536))
        audio += b"".join(frame.payload for frame in came if frame.kind == Kind.AUDIO)
    return int(np.abs(np.frombuffer(audio, "<i2").astype(int)).max())


def shouted_at(peer: SipPeer, frames: int, payload_kind: int = 0) -> None:
    """Own silence (mu-law 0, A-law 8), and twelve times as many packets of a stranger's."""
    stranger = Rtp("127.0.0.2", ssrc=9)
    for _ in range(frames):
        peer.rtp.send(peer.there, b"\xd5" * 160 if payload_kind else SILENCE, payload_kind)
        for _ in range(12):
            stranger.send(peer.there, LOUD, payload_kind)
        time.sleep(0.02)
    stranger.close()


# -- at the centre ---------------------------------------------------------------------------------


def test_a_strangers_audio_is_not_heard_at_the_centre(bare: Centre) -> None:
    with SipPeer() as peer:
        peer.ask("INVITE", bare.port, peer.sdp())
        with bare.taken() as connection:
            peer.hear("SIP/2.0 200")
            peer.ask("ACK")
            shouted_at(peer, 50)
            assert loudest(connection, 50) < 100
            for _ in range(50):
                peer.rtp.send(peer.there, LOUD)
                time.sleep(0.02)
            assert loudest(connection, 40) > 1000, "the caller itself is"
            assert first_line(peer.final("BYE")) == "SIP/2.0 200 OK"


def test_a_worker_goes_before_the_machines_other_work_where_it_may(bare: Centre) -> None:
    pid = json.loads(bare.told('"is": "up"'))["pid"]
    assert os.getpriority(os.PRIO_PROCESS, pid) == (-10 if os.geteuid() == 0 else 0)


def test_what_is_offered_and_cannot_be_is_refused_with_the_reason(bare: Centre) -> None:
    port = bare.port
    offers: list[tuple[str, str, str]] = [
        ("488", "no G.711", "g729"),
        ("488", "no G.711", "srtp"),
        ("420", "an extension", "require"),
        ("513", "too large", "long"),
    ]
    for code, why, call in offers:
        with SipPeer(call=call) as peer:
            sdp = peer.sdp(G729) if call == "g729" else peer.sdp()
            sdp = sdp.replace("RTP/AVP", "RTP/SAVP") if call == "srtp" else sdp
            more = {"require": "Require: flux\r\n"}.get(call, "")
            more = f"P-Asserted-Identity: <sip:{'5' * 5000}@x>\r\n" if call == "long" else more
            assert code in first_line(peer.final("INVITE", port, sdp, more)), call
        assert f'"code": {code}' in bare.told(why)
    with SipPeer("127.0.0.2", call="stranger") as peer:
        assert "403" in first_line(peer.final("INVITE", port, peer.sdp()))
    for method, code in (("REGISTER", "405"), ("OPTIONS", "200"), ("BYE", "481")):
        with SipPeer(call=method) as peer:
            assert code in first_line(peer.final(method, port)), method


def test_a_call_lives_through_hold_codec_change_transfer_and_headers_of_any_length(
    bare: Centre,
) -> None:
    with SipPeer() as peer:
        history = f"History-Info: <sip:{'1' * 30_000}@x>\r\nReplaces: a;to-tag=b;from-tag=c\r\n"
        peer.ask("INVITE", bare.port, "", history)
        with bare.taken() as connection:
            peer.hear("SIP/2.0 200")
            peer.ask("ACK", 0, peer.sdp())  # the offer was theirs: none came with the INVITE
            assert "405" in first_line(peer.final("REFER", 0, "", "Refer-To: <sip:1@x>\r\n"))
            held = peer.final("INVITE", 0, peer.sdp(more="a=sendonly\r\n"))
            assert "a=recvonly" in held
            changed = peer.final("INVITE", 0, peer.sdp(A_LAW))
            assert "RTP/AVP 8" in changed
            assert "500" in first_line(peer.final("INVITE", 0, peer.sdp(G729)))
            for _ in range(40):
                peer.rtp.send(peer.there, LOUD, 8)
                time.sleep(0.02)
            assert loudest(connection, 60) > 1000
            assert first_line(peer.final("BYE")) == "SIP/2.0 200 OK"
    with SipPeer(call="cancelled") as peer:
        peer.ask("INVITE", bare.port, peer.sdp())
        assert bare.server is not None
        connection, _ = bare.server.accept()
        peer.ask("CANCEL", bare.port)
        assert "487" in peer.hear("SIP/2.0 [4-6]")
        connection.close()


def test_digits_that_a_gateway_took_out_of_the_audio_come_back_as_tones(tmp_path: Path) -> None:
    centre = Centre(tmp_path)
    with SipPeer() as peer:
        peer.final("INVITE", centre.port, peer.sdp(EVENTS))
        panel = RtpPanel(peer, events=True, leak=1).report(BLOCKS[:1])
        peer.final("BYE")
    assert panel.acknowledged == [0]
    assert centre.stored() == BLOCKS[:1]
    assert '"telephone_events": 0' not in centre.told("telephone_events")
    centre.stop()


def test_a_call_survives_what_rtp_may_do(tmp_path: Path) -> None:
    """Sequence and time stamp wrap, a new source (SSRC), a leap, comfort noise, hostile packets."""
    centre = Centre(tmp_path)
    chance = random.Random(5)

    def spoil(frame: int, rtp: Rtp) -> None:
        if frame == 120:
            rtp.ssrc, rtp.sequence, rtp.stamp = 77, chance.randrange(65_536), chance.getrandbits(32)
        elif frame == 30:
            rtp.sequence += 5_000
        if frame % 25 == 3:
            rtp.send(peer.there, b"\x40", 13, 0)
        junk = chance.randbytes(chance.randrange(80))
        peer.rtp.raw(peer.there, junk)
        peer.rtp.raw(peer.there, b"\x80" + junk)
        peer.rtp.raw(peer.there + 1, b"\x81\xc9" + junk)

    with SipPeer() as peer:
        peer.rtp.sequence, peer.rtp.stamp = 65_500, 2**32 - 160 * 60
        peer.final("INVITE", centre.port, peer.sdp())
        panel = RtpPanel(peer).report(BLOCKS, spoil)
        peer.final("BYE")
    assert panel.acknowledged == [0, 1]
    assert set(centre.stored()) == set(BLOCKS)
    centre.stop()


def test_the_centres_number_is_registered_by_digest_and_a_refusal_is_told(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hunter two\n")
    common = ("--user", "1001", "--password-file", str(secret))
    for password, said in (("hunter two", '"up": true'), ("other", "unregistered_403")):
        folder = tmp_path / password.replace(" ", "")
        folder.mkdir()
        with sipp.Sipp(folder, sipp.registrar("1001", password)) as there:
            centre = Centre(
                folder, "--registrar", f"sip:127.0.0.1:{there.port}", *common, bare=True
            )
            assert said in centre.told('"is": "registration"')
            assert "hunter" not in centre.front.log.read_text()
            centre.front.stop()
            assert centre.server is not None
            centre.server.close()


# -- at the premises -------------------------------------------------------------------------------


@pytest.fixture
def far() -> Iterator[SipPeer]:
    with SipPeer() as peer:
        yield peer


@pytest.fixture
def panel(far: SipPeer, tmp_path: Path) -> Iterator[AgentPanel]:
    """A panel that has dialled by an agent whose trunk is `far`."""
    words = ["-m", "edge.sip", "--line", "127.0.0.1:0", "--check-s", "0"]
    program = Program(
        "agent",
        [sys.executable, *words, "--trunk", f"sip:127.0.0.1:{far.port}"],
        tmp_path / "agent.log",
    )
    program.start()
    try:
        with AgentPanel(str(program.ready()["line"])) as one:
            one.do("seize")
            one.until("dial_tone")
            one.do("dial", number="5551000")
            yield one
    finally:
        assert program.stop() == 0, program.tail()


def test_early_media_is_heard_and_busy_comes_after_it(far: SipPeer, panel: AgentPanel) -> None:
    asked = far.hear("INVITE")
    far.answer(asked, "183 Session Progress", far.sdp())
    assert panel.until("ringing")
    for _ in range(40):
        far.rtp.send(far.there, LOUD)
        time.sleep(0.02)
    far.answer(asked, "486 Busy Here")
    assert panel.until("busy") == {"is": "busy"}
    assert panel.loudest > 1000


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        ("302 Moved Temporarily", "", {"is": "failed", "why": "302"}),
        ("200 OK", "", {"is": "failed", "why": "406"}),
        ("200 OK", "v=0\r\nm=audio -1 RTP/AVP x\r\n", {"is": "failed", "why": "415"}),
    ],
    ids=["redirected", "no audio described", "nonsense described"],
)
def test_an_answer_that_is_no_call_is_told_by_its_code(
    far: SipPeer, panel: AgentPanel, status: str, body: str, told: dict[str, Any]
) -> None:
    asked = far.hear("INVITE")
    elsewhere = "Contact: <sip:x@127.0.0.1:9>\r\n" if status.startswith("302") else ""
    far.answer(asked, status, body, elsewhere)
    if status.startswith("200"):
        far.answer(far.hear("BYE"), "200 OK")
    assert panel.until("failed") == told


def test_the_panel_hears_its_own_call_alone_and_is_not_transferred(
    far: SipPeer, panel: AgentPanel
) -> None:
    far.answer(far.hear("INVITE"), "200 OK", far.sdp())
    far.hear("ACK")
    panel.until("answered")
    assert "405" in first_line(far.final("REFER", 0, "", "Refer-To: <sip:1@127.0.0.1:9>\r\n"))
    assert "a=recvonly" in far.final("INVITE", 0, far.sdp(more="a=sendonly\r\n"))
    assert "RTP/AVP 8" in far.final("INVITE", 0, far.sdp(A_LAW))
    shouted_at(far, 50, 8)
    chance = random.Random(7)
    for _ in range(400):
        data = bytearray(b"BYE sip:x SIP/2.0\r\nCall-ID: y\r\nCSeq: 1 BYE\r\n\r\n" * 3)
        for _ in range(9):
            data[chance.randrange(len(data))] = chance.randrange(256)
        far.send(bytes(data), int(far.target.rpartition(":")[2].partition(";")[0]))
    assert first_line(far.final("BYE")) == "SIP/2.0 200 OK"
    panel.until("dropped")
    assert panel.loudest < 100


def test_a_bye_that_is_lost_holds_up_no_further_call(far: SipPeer, panel: AgentPanel) -> None:
    """Three places of the library's four wait for its answer, up to 32 s; the fourth is there."""
    for _ in range(3):
        far.answer(far.hear("INVITE sip:5551000"), "200 OK", far.sdp())
        far.hear("ACK")
        panel.until("answered")
        panel.do("release")
        far.hear("BYE")  # and no answer to it
        panel.do("seize")
        panel.until("dial_tone")
        panel.do("dial", number="5551000")
    assert far.hear("INVITE sip:5551000", 5)
