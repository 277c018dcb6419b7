"""SIP at both ends without SIP: what is told, when a call is answered, what leaves the SDP."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.sip import bridging
from collector.sip.bridging import Bridging, Part, Patience, Refuse, caller_of
from edge.sip import signalling
from edge.sip.signalling import Dial, Invite, Line, Malformed, Release, Say, Seize, order_of
from protocols.instants import Instant, later
from protocols.sip.playout import FRAME_BYTES, SILENCE, Playout
from protocols.sip.sdp import without_telephone_event

NOW = Instant(0)


def calling() -> Line:
    line = Line(30, up=True)
    assert line.order(Seize(), NOW) == [Say("seized"), Say("dial_tone")]
    assert line.order(Dial("5551000"), NOW) == [Invite("5551000")]
    return line


def test_no_answer_is_told_at_its_time_and_ends_the_call() -> None:
    line = calling()
    assert line.ringing() == [Say("ringing")]
    assert line.ringing() == []
    assert line.tick(later(NOW, 29)) == []
    assert line.tick(later(NOW, 30)) == [signalling.HangUp(), Say("failed", "no_answer")]
    assert line.ended(487) == []
    assert line.order(Release(), NOW) == []
    assert not line.off_hook


def test_each_final_answer_has_its_word() -> None:
    words = {
        486: Say("busy"),
        600: Say("busy"),
        503: Say("failed", "503"),
        408: Say("failed", "408"),
    }
    assert {code: calling().ended(code)[0] for code in words} == words
    line = calling()
    line.ringing()
    assert line.ended(408) == [Say("failed", "no_answer")]
    line = calling()
    assert line.answered() == [Say("answered")]
    assert line.ended(200) == [Say("dropped")]


def test_an_absent_line_cannot_be_seized() -> None:
    line = Line(30, up=True)
    assert line.trunk(False, "unregistered_403") == [Say("line", "unregistered_403", up=False)]
    assert line.order(Seize(), NOW) == [Say("no_line", "unregistered_403")]
    assert line.trunk(True) == [Say("line", up=True)]


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300) | st.text(max_size=60).map(str.encode))
def test_orders_of_any_bytes_have_documented_outcomes(payload: bytes) -> None:
    order = order_of(payload)
    assert order is None or isinstance(order, Seize | Dial | Release | Malformed)


def test_a_call_is_answered_when_the_receiver_took_it() -> None:
    call = Bridging(Patience(), 0.0)
    assert call.connected(0.1) == []
    assert call.heard(0.15) == [bridging.Answer()]
    assert call.tick(8.2) == [bridging.HangUp(), Part()], "no ACK"
    assert call.end == "no ACK"


def test_a_call_is_refused_as_the_receiver_is() -> None:
    full = Bridging(Patience(), 0.0)
    full.connected(0.0)
    assert full.receiver_hung_up() == [Refuse(486), Part()]
    away = Bridging(Patience(), 0.0)
    assert away.tick(2.0) == [Refuse(503), Part()]
    assert away.caller_gone() == []


def test_the_network_knows_the_caller_better() -> None:
    invite = "INVITE sip:x SIP/2.0\r\nP-Asserted-Identity: <sip:+8655501234@ims>\r\n\r\nbody"
    assert caller_of(invite, "<sip:1001@pbx>") == "8655501234"
    assert caller_of("INVITE x SIP/2.0\r\n\r\n", '"A" <sip:555-1001@pbx>') == "5551001"
    assert caller_of("", "sip:anonymous@invalid") == ""


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), st.text(max_size=60))
def test_callers_are_digits_or_nothing(invite: str, uri: str) -> None:
    caller = caller_of(invite, uri)
    assert len(caller) <= 15
    assert all(digit in "0123456789" for digit in caller)


def test_events_leave_the_offer_and_nothing_else_does() -> None:
    rest = "a=rtpmap:8 PCMA/8000\r\n"
    events = "a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\n"
    offer = f"m=audio 4000 RTP/AVP 8 0 96\r\n{rest}{events}"
    assert without_telephone_event(offer) == f"m=audio 4000 RTP/AVP 8 0\r\n{rest}"
    assert without_telephone_event(rest) == rest


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=900), max_size=30))
def test_playout_gives_every_whole_frame_in_order(pieces: list[bytes]) -> None:
    playout = Playout(prime=1, limit=1000)
    for piece in pieces:
        playout.put(piece)
    audio = b"".join(pieces)
    whole = len(audio) // FRAME_BYTES
    given_back = b"".join(playout.take() for _ in range(whole))
    assert given_back == audio[: whole * FRAME_BYTES]
    assert playout.take() is SILENCE


def test_playout_waits_longer_for_whom_it_once_waited_in_vain() -> None:
    playout, frame = Playout(prime=3), b"\1" * FRAME_BYTES

    def until_it_gives() -> int:
        for count in range(1, 20):
            playout.put(frame)
            if playout.take() is not SILENCE:
                while playout.take() is not SILENCE:
                    pass
                return count
        return 0

    assert [until_it_gives() for _ in range(8)] == [3, 4, 5, 6, 7, 8, 8, 8]
    assert (playout.starved, playout.next_prime()) == (8, 8)
    playout.clear()
    assert playout.next_prime() == 7, "and less late when it was on time for a whole call"
    assert (playout.starved, until_it_gives()) == (0, 8), "the line stays as late as it is"
