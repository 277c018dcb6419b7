"""The switch before the SIP workers: whom it lets in, which worker gets what, what leaves it."""

from __future__ import annotations

import ipaddress

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.sip.lines import Lines
from collector.sip.message import KEPT, METHODS, Malformed, Message, parse
from collector.sip.switch import ANSWERS_A_SECOND, Alive, Effect, Ends, Refused, Send, Switch
from collector.sip.workers import Watch

PUBLIC, INNER = ("192.0.2.10", 5060), ("127.0.0.1", 40_000)
TRUNK, STRANGER = ("192.0.2.20", 5070), ("198.51.100.1", 5060)
WORKERS = [("127.0.0.1", 41_000), ("127.0.0.1", 41_001), ("127.0.0.1", 41_002)]


def switch(each: int = 4) -> Switch:
    lines = Lines([each] * len(WORKERS))
    for number, address in enumerate(WORKERS):
        lines.up(number, address)
    return Switch(Ends(PUBLIC, INNER, (ipaddress.ip_network("192.0.2.20/32"),), "tag"), lines)


def request(
    method: str = "INVITE", call: str = "c1", *, to: str = "", more: str = "", uri: str = ""
) -> bytes:
    return (
        f"{method} {uri or 'sip:5551000@192.0.2.10'} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK{call};rport\r\n"
        f"f: <sip:5550001@x>;tag=a\r\nTo: <sip:5551000@x>{to}\r\n"
        f"i: {call}\r\nCSeq: 1 {method}\r\n{more}Content-Length: 3\r\n\r\nabc"
    ).encode()


def sent(effects: list[Effect]) -> tuple[Message, bool, tuple[str, int]]:
    """The one datagram of it."""
    (one,) = [effect for effect in effects if isinstance(effect, Send)]
    message = parse(one.data)
    assert isinstance(message, Message)
    return message, one.outside, one.to


def refused(effects: list[Effect]) -> list[int]:
    return [effect.code for effect in effects if isinstance(effect, Refused)]


def answer(inside: Message, status: str, more: tuple[tuple[str, str], ...] = ()) -> bytes:
    """What a worker says to what it was given."""
    kept = ("via", "from", "to", "call-id", "cseq", "record-route")
    headers = tuple(one for one in inside.headers if one[0] in kept)
    return Message(f"SIP/2.0 {status}", (*headers, *more), b"").encode()


def test_a_call_goes_in_bare_and_its_answer_comes_out_as_if_there_were_no_switch() -> None:
    one = switch()
    more = (
        "Replaces: x;to-tag=1;from-tag=2\r\nX-Long: " + "a" * 30_000 + "\r\nRoute: <sip:y;lr>\r\n"
    )
    message, outside, to = sent(one.from_outside(request(more=more), TRUNK, 0.0))
    assert (outside, to) == (False, WORKERS[0])
    assert message.body == b"abc"
    names = [name for name, _ in message.headers]
    assert set(names) <= set(KEPT)
    assert "route" not in names, "the library would follow it"
    assert names[:3] == ["via", "record-route", "via"]
    back = answer(message, "200 OK", (("allow", "INVITE, REFER"),))
    message, outside, to = sent(one.from_worker(back, WORKERS[0], 0.1))
    assert (outside, to) == (True, TRUNK), "to where it came from (RFC 3581), not to the Via's port"
    assert [name for name, _ in message.headers].count("via") == 1
    assert not message.first("record-route")
    assert "REFER" not in message.first("allow")


def test_a_repetition_its_cancel_and_its_ack_reach_the_same_transaction() -> None:
    one = switch()
    asked = [request(), request(), request("CANCEL"), request("ACK", to=";tag=z")]
    got = [sent(one.from_outside(data, TRUNK, 0.0)) for data in asked]
    assert {to for _, _, to in got} == {WORKERS[0]}
    assert len({message.first("via") for message, _, _ in got}) == 1
    other, _, to = sent(one.from_outside(request(call="c2"), TRUNK, 0.0))
    assert to == WORKERS[1]
    assert other.first("via") != got[0][0].first("via")


def test_lines_fill_up_are_refused_and_come_back() -> None:
    one = switch(each=2)
    taken = [sent(one.from_outside(request(call=f"c{n}"), TRUNK, 0.0))[2] for n in range(6)]
    assert sorted(taken) == sorted(WORKERS * 2), "spread over the workers"
    for n, to in enumerate(taken):
        one.lines.told(WORKERS.index(to), f"c{n}", 0.1, over=False)
    full = one.from_outside(request(call="c9"), TRUNK, 100.0)
    message, outside, to = sent(full)
    assert (message.code, outside, to) == (486, True, TRUNK)
    assert refused(full) == [486]
    one.lines.told(WORKERS.index(taken[3]), "c3", 100.0, over=True)
    assert sent(one.from_outside(request(call="c9"), TRUNK, 100.1))[2] == taken[3]


def test_a_line_is_not_held_by_what_the_library_would_not_have() -> None:
    one = switch(each=1)
    for n in range(3):
        sent(one.from_outside(request(call=f"c{n}"), TRUNK, 0.0))
    assert refused(one.from_outside(request(call="c9"), TRUNK, 4.9)) == [486]
    assert not refused(one.from_outside(request(call="c9"), TRUNK, 5.1)), "never told of"
    inside, _, to = sent(one.from_outside(request(call="c10"), TRUNK, 5.1))
    told = one.from_worker(answer(inside, "488 Not Acceptable Here"), to, 5.2)
    assert refused(told) == [488]
    assert one.lines.busy(5.2) == 1


def test_a_worker_that_dies_takes_only_its_own_calls_along() -> None:
    one = switch(each=1)
    for n in range(2):
        _, _, to = sent(one.from_outside(request(call=f"c{n}"), TRUNK, 0.0))
        one.lines.told(WORKERS.index(to), f"c{n}", 0.0, over=False)
    one.lines.gone(0, 1.0)
    bye = request("BYE", "c0", to=";tag=z", uri="sip:line0@192.0.2.10")
    assert sent(one.from_outside(bye, TRUNK, 1.1))[0].code == 481
    assert sent(one.from_outside(request("BYE", "c1", to=";tag=z"), TRUNK, 1.1))[2] == WORKERS[1]
    assert sent(one.from_outside(request(call="c0"), TRUNK, 1.2))[2] == WORKERS[2], "called anew"
    one.lines.gone(1, 2.0)
    one.lines.gone(2, 2.0)
    answered, _, _ = sent(one.from_outside(request(call="c5"), TRUNK, 2.1))
    assert (answered.code, answered.first("retry-after")) == (503, "5")
    assert sent(one.from_outside(request("OPTIONS", "o"), TRUNK, 2.1))[0].code == 503
    one.lines.up(0, ("127.0.0.1", 41_009))
    assert sent(one.from_outside(request("OPTIONS", "o"), TRUNK, 2.2))[0].code == 200
    assert sent(one.from_outside(bye, TRUNK, 2.3))[2] == ("127.0.0.1", 41_009), "the reborn: 481"


def test_what_is_long_over_is_forgotten_and_what_lasts_is_not() -> None:
    one = switch()
    for name in ("short", "long", "never told"):
        _, _, to = sent(one.from_outside(request(call=name), TRUNK, 0.0))
        if name != "never told":
            one.lines.told(WORKERS.index(to), name, 0.0, over=name == "short")
    one.lines.tick(39.0)
    assert one.lines.find("short")
    one.lines.tick(50.0)
    assert [name for name in ("short", "long", "never told") if one.lines.find(name)] == ["long"]


def test_workers_speak_to_the_caller_through_the_switch_alone() -> None:
    one = switch()
    inside, _, to = sent(one.from_outside(request(), TRUNK, 0.0))
    bye = (
        "BYE sip:a@{} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:41000;branch=z9hG4bKw\r\n"
        "Route: <sip:127.0.0.1:40000;lr>\r\nFrom: <sip:x>;tag=w\r\nTo: <sip:y>;tag=a\r\n"
        "Call-ID: c1\r\nCSeq: 7 BYE\r\nContent-Length: 0\r\n\r\n"
    )
    for contact, there in (("192.0.2.33:5080", ("192.0.2.33", 5080)), ("pbx.example", TRUNK)):
        message, outside, whither = sent(one.from_worker(bye.format(contact).encode(), to, 1.0))
        assert (outside, whither) == (True, there)
        assert not message.first("route")
        assert "192.0.2.10:5060" in message.first("via")
        inward, outside, whither = sent(one.from_outside(answer(message, "200 OK"), TRUNK, 1.1))
        assert (outside, whither) == (False, WORKERS[0])
        assert inward.first("via").startswith("SIP/2.0/UDP 127.0.0.1:41000")
    assert one.from_worker(bye.encode(), ("127.0.0.1", 9), 1.0) == [
        Refused(0, "inside", ("127.0.0.1", 9))
    ], "another program of this machine"
    assert inside.first("call-id") == "c1"


def test_a_question_to_a_worker_proves_that_it_lives() -> None:
    one = switch()
    (asked,) = one.ask(1)
    assert isinstance(asked, Send)
    assert asked.to == WORKERS[1]
    message = parse(asked.data)
    assert isinstance(message, Message)
    assert one.from_worker(answer(message, "200 OK"), WORKERS[1], 0.0) == [Alive(1)]


def test_answers_go_to_where_the_question_came_from_whatever_its_via_says() -> None:
    for extra in ("rport=70000", "rport=x;received=198.51.100.9", "received=a.b", "rport"):
        asked = request("REFER").replace(b"rport", extra.encode())
        message, _, to = sent(switch().from_outside(asked, TRUNK, 0.0))
        assert to == (TRUNK if "rport" in extra else (TRUNK[0], 5060))
        assert message.code == 405


def test_a_worker_hangs_after_unanswered_questions_and_has_longer_to_begin() -> None:
    watch = Watch()
    assert [watch.hangs() for _ in range(31)].index(True) == 30
    watch.heard()
    assert [watch.hangs() for _ in range(4)] == [False] * 3 + [True]
    watch.heard()
    assert not watch.hangs()


def test_strangers_get_a_refusal_at_a_bounded_rate_and_nothing_of_theirs_goes_in() -> None:
    one = switch()
    got = [one.from_outside(request(call=f"c{n}"), STRANGER, 3.0) for n in range(500)]
    answers = [effect for each in got for effect in each if isinstance(effect, Send)]
    assert len(answers) == ANSWERS_A_SECOND
    assert all(effect.outside and len(effect.data) < 600 for effect in answers)
    assert one.counted == {"source not allowed": 500}
    assert sent(one.from_outside(request("REFER"), TRUNK, 3.0))[0].code == 405, "own peers have"
    long = f"P-Asserted-Identity: <sip:{'a' * 4000}@x>\r\n"
    assert sent(one.from_outside(request(more=long), TRUNK, 3.0))[0].code == 513
    assert one.from_outside(request("ACK", "none", to=";tag=tag"), TRUNK, 3.0) == []
    assert one.from_outside(b"\r\n\r\n", STRANGER, 3.0) == [], "keep-alive"


TOP = b"Via: SIP/2.0/UDP 192.0.2.20:5060;"
pieces = st.sampled_from(
    [
        TOP + b"rport=70000\r\n",
        TOP + b"rport=x;received=::1\r\n",
        TOP + b"received=a;rport=0\r\n",
        b"\r\n",
        b"\r\n ",
        b"Via: SIP/2.0/UDP a:0;rport=70000\r\n",
        b"Via:,,\r\n",
        b"\x00",
        b"CSeq: ",
        b"Content-Length: 99999\r\n",
        b";received=;branch=",
        b"Route: <sip:127.0.0.1:40000;lr>\r\n",
        b"INVITE ",
        b"SIP/2.0 200 OK\r\n",
        b":" * 50,
        b"\xff\xfe",
        b"sip:line99999@",
        b";tag=",
    ]
)


@settings(max_examples=600, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([*METHODS, "REFER"]), st.integers(0, 400), pieces), max_size=6
    ),
    st.binary(max_size=60),
    st.booleans(),
)
def test_any_datagram_has_a_documented_outcome(
    cuts: list[tuple[str, int, bytes]], noise: bytes, inside: bool
) -> None:
    one = switch()
    data = bytearray(request(cuts[0][0] if cuts else "INVITE"))
    for _, at, piece in cuts:
        data[at : at + len(piece) // 2] = piece
    data[5 : 5 + len(noise) // 8] = noise
    effects = (
        one.from_worker(bytes(data), WORKERS[0], 0.0)
        if inside
        else one.from_outside(bytes(data), TRUNK, 0.0)
    )
    for effect in effects:
        assert isinstance(effect, Send | Refused)
        if isinstance(effect, Send):
            message = parse(effect.data)
            assert isinstance(message, Message), "what goes out is well formed"
            assert len(effect.data) < 4_000
            if effect.outside:
                assert ipaddress.IPv4Address(effect.to[0])
                assert 0 < effect.to[1] <= 65_535
            else:
                assert effect.to in WORKERS
                assert not message.method or message.method in METHODS


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_bytes_are_a_message_or_malformed_or_nothing(data: bytes) -> None:
    message = parse(data)
    assert message is None or isinstance(message, Malformed | Message)
