"""The whole node on a board in memory: every change is told, whatever the bus does."""

from protocols.osdp import codes
from tests.support.node_board import MemoryBoard, MemoryFlash
from tests.support.node_rig import NodeRig
from tests.support.osdp_chance import Chance

ALARM = codes.INPUT_ALARM
QUIET = bytes(8)


def rig(start=0):
    found = NodeRig(MemoryBoard(MemoryFlash(), start=start))
    found.run(100)
    return found


def joined(start=0):
    found = rig(start)
    found.join()
    found.drain()
    return found


def states(number, state):
    made = bytearray(8)
    made[number] = state
    return bytes(made)


def test_the_first_thing_told_is_what_is_and_never_unknown():
    found = rig()
    found.join()
    found.drain()
    assert set(found.inputs()) == {QUIET}
    assert (codes.LSTATR, b"\x00\x00") in found.told


def test_every_state_of_every_input_is_told_in_order():
    found = joined()
    for number in range(8):
        for state in range(1, 7):
            if state == codes.INPUT_UNKNOWN:
                continue
            found.board.show(number, state)
            found.run(400)
            found.board.show(number, 0)
            found.run(400)
            found.drain()
            assert found.inputs() == [states(number, state), QUIET], (number, state)


def test_tamper_and_supply_are_told():
    found = joined()
    found.board.open = True
    found.board.volts_mv = 9000
    found.run(1300)
    found.board.open = False
    found.board.volts_mv = 12000
    found.run(3000)
    told = [payload for code, payload in found.drain() if code == codes.LSTATR]
    assert told[0] == b"\x01\x00"
    assert b"\x01\x01" in told
    assert told[-1] == b"\x00\x00"


def test_an_alarm_that_an_overflowing_queue_dropped_is_told_when_it_has_drained():
    found = joined()
    found.board.show(2, ALARM)
    found.run(400)
    found.board.show(2, 0)
    found.run(400)
    for _ in range(40):
        found.board.show(3, codes.INPUT_OPEN)
        found.run(400)
        found.board.show(3, 0)
        found.run(400)
    assert found.node.peripheral.lost_changes > 0
    found.join()
    found.drain()
    assert ALARM not in [told[2] for told in found.inputs()]
    found.drain()
    assert ALARM in [told[2] for told in found.inputs()]
    assert found.inputs()[-1] == QUIET
    found.drain()
    assert found.inputs() == []


def test_what_came_in_while_the_node_was_away_is_not_answered():
    found = joined()
    found.board.heard.append(found.controller.ask(codes.POLL))
    found.board.sent = []
    found.board.pass_ms(200)
    found.run(50)
    assert found.board.sent == []
    # The controller asks again with the same number.
    assert found.exchange(found.controller.asked) is not None


def test_garbage_on_the_bus_stops_nothing():
    found = joined()
    chance = Chance(5)
    for _ in range(300):
        found.board.heard.append(chance.data(1 + chance.below(80)))
        found.run(8)
    found.run(400)
    found.board.show(0, ALARM)
    found.run(400)
    # What the garbage looked like may have used up a number: a new session.
    found.join()
    found.drain()
    assert states(0, ALARM) in found.inputs()


def test_a_node_over_the_wrap_of_its_ticks_goes_on():
    found = joined((1 << 30) - 3000)
    for _ in range(6):
        found.board.show(1, ALARM)
        found.run(500)
        found.board.show(1, 0)
        found.run(500)
        found.drain()
        assert found.inputs() == [states(1, ALARM), QUIET]


def test_a_bus_that_was_down_for_long_costs_no_change_the_queue_holds():
    found = joined()
    due = []
    for number in range(8):
        found.board.show(number, ALARM)
        found.run(400)
        due.append(states(number, ALARM))
        found.board.show(number, 0)
        found.run(400)
        due.append(QUIET)
    found.run(9000)
    found.join()
    found.drain()
    assert found.inputs()[: len(due)] == due
    assert found.node.peripheral.lost_changes == 0
