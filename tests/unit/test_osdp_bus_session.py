"""libosdp's context as we drive it: one exchange at a time, reset at once from any state."""

from __future__ import annotations

import gc

import pytest

from edge.adapters.osdp_seal import Seal
from edge.adapters.osdp_session import Session
from protocols.osdp import codes
from protocols.osdp.frame import Frame, FrameReader, build
from tests.support.osdp_bus_peripheral import LibosdpNode

KEY = bytes(range(16))


def frame_of(raw: bytes) -> Frame:
    (frame,) = FrameReader().feed(raw)
    assert isinstance(frame, Frame)
    return frame


def challenge(key: bytes) -> bytes:
    """The random number of the first handshake."""
    session, node = Session(5, key), LibosdpNode(5, key)
    while True:
        sent = session.command()
        if frame_of(sent).data[0] == codes.CHLNG:
            return frame_of(sent).data[1:9]
        session.answer(node.receive(sent, 0))


def up(session: Session, node: LibosdpNode) -> list[Frame]:
    sent = []
    while not session.online:
        command = session.command()
        sent.append(frame_of(command))
        session.answer(node.receive(command, 0))
    return sent


def test_a_session_comes_up_in_four_exchanges() -> None:
    session = Session(5, KEY)
    sent = up(session, LibosdpNode(5, KEY))
    assert [f.data[0] for f in sent] == [codes.ID, codes.CAP, codes.CHLNG, codes.SCRYPT]
    assert session.secure
    assert not session.default_key
    assert session.identity()["firmware_version"] == 0x010203


def test_challenges_never_repeat() -> None:
    assert len({challenge(KEY) for _ in range(50)}) == 50


def test_a_command_not_answered_is_the_same_bytes_however_often_it_is_asked_for() -> None:
    session = Session(5, KEY)
    first = session.command()
    assert all(session.command() == first for _ in range(20))


@pytest.mark.parametrize("exchanges", range(5))
def test_a_reset_begins_anew_at_once_from_any_state(exchanges: int) -> None:
    for pending in (False, True):
        session, node = Session(5, KEY), LibosdpNode(5, KEY)
        for _ in range(exchanges):
            command = session.command()
            if command:
                session.answer(node.receive(command, 0))
        if pending:
            session.command()
        session.reset()
        assert not session.online
        command = frame_of(session.command())
        assert (command.data[0], command.sequence) == (codes.ID, 0)
        assert next(f.data[0] for f in up(session, node)) == codes.ID
        assert session.secure


def test_a_wrong_key_ends_in_fell_and_not_in_a_session() -> None:
    session, node = Session(5, KEY), LibosdpNode(5, bytes(16))
    while not session.fell:
        session.answer(node.receive(session.command(), 0))
    assert not session.online


def test_events_leave_nothing_behind_in_memory() -> None:
    session, node = Session(5, KEY), LibosdpNode(5, KEY)
    up(session, node)
    for _ in range(3):
        session.reset()
        up(session, node)
    gc.collect()
    before = len(gc.get_objects())
    for _ in range(50):
        session.reset()
        up(session, node)
    gc.collect()
    assert len(gc.get_objects()) - before < 60


def test_the_seal_takes_only_the_session_s_own_replies() -> None:
    session, node, seal = Session(5, KEY), LibosdpNode(5, KEY), Seal()
    old: list[Frame] = []
    while not session.online:
        command = session.command()
        seal.sending(command, KEY)
        reply = frame_of(node.receive(command, 0))
        assert seal.fits(reply)
        seal.heard(reply)
        session.answer(reply.raw)
    assert seal.closed
    for _ in range(4):
        while not (command := session.command()):
            pass
        seal.sending(command, KEY)
        seal.sending(command, KEY)  # a retry
        reply = frame_of(node.receive(command, 0))
        forged = [
            build(5, reply.sequence, reply.data, reply=True),
            build(5, reply.sequence, reply.data, reply=True, block=b"\x03\x12\x01"),
            build(5, reply.sequence, reply.data, reply=True, block=b"\x02\x16", mac=bytes(4)),
            *(build(5, reply.sequence, f.data, reply=True, block=f.block, mac=f.mac) for f in old),
        ]
        assert not any(seal.fits(frame_of(raw)) for raw in forged)
        assert seal.fits(reply)
        seal.heard(reply)
        session.answer(reply.raw)
        old.append(reply)
