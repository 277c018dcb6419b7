"""The link machine as transcripts: what is sent when, and what a receiver may rely on."""

from __future__ import annotations

from protocols.automation.bosch import BoschSia, framed
from protocols.automation.effects import Arrived, Back, Effect, Lost, Malformed, Send
from protocols.automation.machine import Automation, Policy
from protocols.automation.surgard import SurGard
from protocols.instants import Instant, later
from protocols.mqtt.reception import Report, Unrecognised

ALARM = b"5011 181234E13001005\x14"
OTHER = b"5011 181234E13001006\x14"
BEAT = b"1011           @    \x14"
ACK, NAK = Send(b"\x06"), Send(b"\x15")
START = Instant(1_000_000_000_000)


def at(seconds: float) -> Instant:
    return later(START, seconds)


def machine(policy: Policy | None = None) -> Automation:
    one = Automation(SurGard(), policy)
    assert one.connected(at(0)) == []
    return one


def zones(effects: list[Effect]) -> list[int | str]:
    out: list[int | str] = []
    for one in effects:
        if isinstance(one, Arrived):
            assert isinstance(one.what[0], Report)
            out.append(one.what[0].event.zone)
        else:
            out.append(type(one).__name__)
    return out


def test_an_alarm_is_acknowledged_when_it_is_stored() -> None:
    one = machine()
    effects = one.receive(ALARM, at(1))
    assert zones(effects) == ["Back", 5]
    assert one.stored(1, at(1.5)) == [ACK]
    assert one.stored(1, at(1.6)) == []  # once
    assert one.stored(99, at(1.6)) == []  # nobody's


def test_a_repeat_while_the_store_works_is_not_told_twice() -> None:
    one = machine()
    one.receive(ALARM, at(0))
    assert one.receive(ALARM, at(4)) == []
    assert one.receive(ALARM, at(8)) == []
    assert one.stored(1, at(9)) == [ACK]
    assert one.repeats == 2


def test_an_acknowledgement_that_comes_too_late_waits_for_the_repeat() -> None:
    one = machine()
    one.receive(ALARM, at(0))
    assert one.stored(1, at(4.5)) == []  # something else may be on its way by now
    assert one.receive(ALARM, at(5)) == [ACK]
    assert one.repeats == 1


def test_another_frame_is_never_acknowledged_by_the_first_ones_store() -> None:
    one = machine()
    one.receive(ALARM, at(0))
    assert zones(one.receive(OTHER, at(1))) == [6]
    assert one.stored(1, at(1.1)) == []
    assert one.stored(2, at(1.2)) == [ACK]
    assert one.receive(ALARM, at(2)) == [ACK]  # stored, and its ACK never went


def test_the_same_again_after_an_acknowledgement_is_told_and_flagged() -> None:
    one = machine()
    one.receive(ALARM, at(0))
    assert one.stored(1, at(0.1)) == [ACK]
    (again,) = one.receive(ALARM, at(4))
    assert isinstance(again, Arrived)
    assert (again.token, again.repeat) == (2, True)
    assert one.stored(2, at(4.1)) == [ACK]
    (later_on,) = one.receive(ALARM, at(60))  # no repeat: a second alarm of that zone
    assert isinstance(later_on, Arrived)
    assert not later_on.repeat


def test_numbered_frames_that_come_again_are_the_same() -> None:
    one = Automation(BoschSia())
    frame = framed("a00120102[#1234|18113001005]")
    one.receive(frame, at(0))
    answer = framed("\t00120102[]")
    assert one.stored(1, at(0)) == [Send(answer)]
    assert one.receive(frame, at(60)) == [Send(answer)]
    (wrapped,) = one.receive(frame, at(700))  # 9,999 frames later it may be another
    assert isinstance(wrapped, Arrived)


def test_what_could_not_be_stored_arrives_again() -> None:
    one = machine()
    one.receive(ALARM, at(0))
    one.refused(1)
    assert one.stored(1, at(1)) == []
    assert zones(one.receive(ALARM, at(4))) == [5]
    assert one.stored(2, at(4.1)) == [ACK]


def test_a_token_nobody_answers_for_is_told_again() -> None:
    one = machine(Policy(repeat_s=20))
    one.receive(ALARM, at(0))
    assert one.receive(ALARM, at(19)) == []
    assert zones(one.receive(ALARM, at(21))) == [5]


def test_heartbeats_are_answered_unless_nothing_gets_stored() -> None:
    one = machine()
    assert one.receive(BEAT, at(0)) == [Back(), ACK]
    one.receive(ALARM, at(1))
    assert one.receive(BEAT, at(2)) == [ACK]
    assert one.receive(BEAT, at(6)) == []  # the receiver shall tell its operator
    one.stored(1, at(7))
    assert one.receive(BEAT, at(8)) == [ACK]


def test_noise_is_asked_for_again_twice_and_then_waited_out() -> None:
    one = machine()
    kinds = [
        [type(effect) for effect in one.receive(b"5011 18xxx%d\x14" % number, at(0))]
        for number in range(4)
    ]
    assert kinds == [[Malformed, Send], [Malformed, Send], [Malformed], [Malformed]]
    assert one.malformed == 4
    assert one.receive(BEAT, at(1)) == [Back(), ACK]
    effects = one.receive(b"5011 18zzz\x14", at(2))
    assert effects == [
        Malformed("not a line of this receiver", "Sur-Gard line", b"5011 18zzz"),
        NAK,
    ]


def test_the_same_strange_line_twice_is_no_noise() -> None:
    one = machine()
    line = b"T0110012 A  12\x14"
    assert [type(effect) for effect in one.receive(line, at(0))] == [Malformed, Send]
    back, arrived = one.receive(line, at(0.1))
    assert back == Back()
    assert isinstance(arrived, Arrived)
    assert isinstance(arrived.what[0], Unrecognised)
    assert one.receive(line, at(4)) == []  # a repeat of what is being stored
    assert one.stored(arrived.token, at(4.1)) == [ACK]


def test_a_frame_cut_off_is_dropped_in_time() -> None:
    one = machine()
    assert one.receive(ALARM[:9], at(0)) == []
    assert one.deadline() == at(2)
    assert one.tick(at(1.9)) == []
    assert one.tick(at(2)) == [Malformed("frame cut off", "sur-gard-3", ALARM[:9]), NAK]
    assert zones(one.receive(ALARM, at(3))) == ["Back", 5]


def test_an_endless_line_costs_no_memory_and_no_later_frame() -> None:
    one = machine()
    effects = one.receive(b"x" * 100_000, at(0))
    assert [type(effect) for effect in effects] == [Malformed]
    assert effects[0] == Malformed("longer than 1024 bytes", "sur-gard-3", b"x" * 256)
    assert zones(one.receive(b"\x14" + ALARM, at(0))) == ["Back", 5]


def test_silence_is_told_once_and_so_is_the_return() -> None:
    one = machine()
    one.receive(BEAT, at(0))
    assert one.deadline() == at(95)
    assert one.tick(at(94)) == []
    assert one.tick(at(95)) == [Lost("silent")]
    assert one.tick(at(200)) == []
    assert one.deadline() is None
    assert one.receive(BEAT, at(300)) == [Back(), ACK]
    assert one.deadline() == at(395)


def test_a_closed_connection_is_told_sooner() -> None:
    one = machine()
    one.receive(BEAT, at(0))
    one.receive(ALARM, at(0))
    assert one.disconnected("hung up", at(1)) == []
    assert one.stored(1, at(1)) == []  # nobody is there to hear it
    assert one.deadline() == at(11)
    assert one.tick(at(11)) == [Lost("hung up")]
    assert one.connected(at(20)) == []
    assert one.receive(ALARM, at(20)) == [Back(), ACK]  # stored before: its ACK at last


def test_a_new_connection_in_time_is_no_loss() -> None:
    one = machine()
    one.receive(BEAT, at(0))
    one.disconnected("hung up", at(1))
    one.connected(at(3))
    assert one.tick(at(50)) == []
    assert one.deadline() == at(95)


def test_a_receiver_never_heard_is_lost_too() -> None:
    one = machine()
    assert one.tick(at(95)) == [Lost("silent")]
    two = Automation(SurGard())
    assert two.deadline() is None
    two.disconnected("no such device", at(0))
    assert two.tick(at(10)) == [Lost("no such device")]


def test_what_was_stored_late_and_never_acknowledged_is_known_behind_the_next_heartbeat() -> None:
    """The receiver gave up long ago; it still has the frame and sends it once more."""
    one = machine()
    one.receive(ALARM, at(0))
    assert one.stored(1, at(60)) == []
    assert one.receive(BEAT, at(90)) == [ACK]
    assert one.receive(ALARM, at(90.1)) == [ACK]
    assert zones(one.receive(ALARM, at(90.2))) == [5]  # the same thing happened again


def test_a_receiver_that_went_on_without_its_answer_may_have_let_go_of_the_frame() -> None:
    one = machine()
    one.receive(ALARM, at(0))
    assert one.stored(1, at(60)) == []
    one.receive(OTHER, at(61))
    assert one.stored(2, at(61)) == [ACK]
    assert zones(one.receive(ALARM, at(90))) == [5]  # no repeat for sure: told
