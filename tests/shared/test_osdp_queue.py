"""What the peripheral owes: told in order, kept until taken, told as lost when lost."""

from protocols.osdp import codes
from protocols.osdp.report_queue import STALE_MS
from tests.support.osdp_board import Pair, opened
from tests.support.osdp_world import CALM, CUTS, DAMAGE, World

DONE = (codes.ACK, b"")


def states(first: int) -> bytes:
    return bytes([first] + [0] * 7)


def test_a_session_begins_with_the_present_state() -> None:
    pair = Pair()
    assert pair.open()
    assert pair.drain() == [(codes.ISTATR, bytes([7] * 8)), (codes.LSTATR, b"\x00\x00")]


def test_changes_are_told_in_order_one_for_each_poll() -> None:
    pair = opened()
    pair.node.report_inputs(states(1))
    pair.node.report_inputs(states(1))
    pair.node.report_local(True, False)
    pair.node.report_inputs(states(0))
    assert pair.node.queued == 3
    assert pair.drain() == [
        (codes.ISTATR, states(1)),
        (codes.LSTATR, b"\x01\x00"),
        (codes.ISTATR, states(0)),
    ]


def test_a_change_leaves_only_with_the_next_number() -> None:
    pair = opened()
    pair.node.report_inputs(states(1))
    command = pair.controller.ask(codes.POLL)
    first = pair.carry(command)
    pair.node.report_inputs(states(2))
    assert pair.carry(command) == first
    assert pair.node.queued == 2
    assert pair.controller.hear(first) == (codes.ISTATR, states(1))
    assert pair.poll() == (codes.ISTATR, states(2))
    assert pair.node.queued == 1


def test_any_next_command_takes_it() -> None:
    pair = opened()
    pair.node.report_inputs(states(1))
    assert pair.poll() == (codes.ISTATR, states(1))
    assert pair.ask(codes.ID, b"\x00")[0] == codes.PDID  # type: ignore[index]
    assert pair.node.queued == 0


def test_a_cut_session_loses_nothing() -> None:
    pair = opened()
    pair.node.report_inputs(states(1))
    pair.node.report_inputs(states(0))
    pair.carry(pair.controller.ask(codes.POLL))
    assert pair.open()
    assert pair.drain() == [
        (codes.ISTATR, states(1)),
        (codes.ISTATR, states(0)),
        (codes.ISTATR, states(0)),
        (codes.LSTATR, b"\x00\x00"),
    ]


def test_changes_while_the_bus_is_down_are_told_when_it_is_back() -> None:
    pair = opened()
    for number in range(5):
        pair.now_ms += 20_000
        pair.node.tick(pair.now_ms)
        pair.node.report_inputs(states(number % 2 + 1))
    assert not pair.node.online
    assert pair.open()
    told = [payload[0] for code, payload in pair.drain() if code == codes.ISTATR]
    assert told == [1, 2, 1, 2, 1, 1]


def test_overflow_loses_the_oldest_and_tells_it_first() -> None:
    pair = opened(queue_limit=4)
    for number in range(1, 8):
        pair.node.report_inputs(states(number))
    assert pair.node.queued == 4
    assert pair.node.lost_changes == 3
    told = pair.drain()
    vendor = codes.VENDOR.to_bytes(3, "little")
    assert told[0] == (codes.MFGREP, vendor + bytes((codes.REPORT_OVERFLOW, 3, 0)))
    assert [payload[0] for code, payload in told if code == codes.ISTATR] == [4, 5, 6, 7, 7]
    assert told[-1] == (codes.LSTATR, b"\x00\x00")


def test_overflow_never_drops_what_is_under_way() -> None:
    pair = opened(queue_limit=3)
    pair.node.report_inputs(states(1))
    raw = pair.carry(pair.controller.ask(codes.POLL))
    for number in range(2, 7):
        pair.node.report_inputs(states(number))
    assert pair.controller.hear(raw) == (codes.ISTATR, states(1))
    told = pair.drain()
    assert told[0][1][3:] == bytes((codes.REPORT_OVERFLOW, 3, 0))
    assert [payload[0] for code, payload in told if code == codes.ISTATR] == [5, 6, 6]
    assert pair.node.lost_changes == 3


def test_what_is_under_way_is_told_again_even_when_the_queue_overflowed() -> None:
    pair = opened(queue_limit=3)
    pair.node.report_inputs(states(1))
    pair.carry(pair.controller.ask(codes.POLL))
    for number in range(2, 6):
        pair.node.report_inputs(states(number))
    assert pair.open()
    inputs = [payload[0] for code, payload in pair.drain() if code == codes.ISTATR]
    assert inputs == [1, 4, 5, 5]


def test_an_overflow_under_way_is_told_again_after_a_cut_and_later_ones_after_it() -> None:
    pair = opened(queue_limit=2)
    for number in range(1, 5):
        pair.node.report_inputs(states(number))
    pair.poll()
    for number in range(1, 4):
        pair.node.report_inputs(states(number))
    assert pair.open()
    lost = [p[4] for c, p in pair.drain() if c == codes.MFGREP and p[3] == codes.REPORT_OVERFLOW]
    assert lost[0] == 2
    assert sum(lost) == pair.node.lost_changes


def test_questions_do_not_overtake_what_is_owed() -> None:
    pair = opened()
    pair.node.report_inputs(states(1))
    pair.node.report_inputs(states(0))
    pair.node.report_local(True, True)
    pair.node.report_local(False, False)
    assert pair.ask(codes.ISTAT) == (codes.ISTATR, states(1))
    assert pair.ask(codes.LSTAT) == (codes.LSTATR, b"\x01\x01")
    assert pair.node.queued == 4
    pair.drain()
    assert pair.ask(codes.ISTAT) == (codes.ISTATR, states(0))
    assert pair.ask(codes.LSTAT) == (codes.LSTATR, b"\x00\x00")


def test_keys_and_cards_as_osdp_codes_them() -> None:
    pair = opened(readers=1)
    pair.node.report_keys("1 9*0#x")
    pair.node.report_card(26, b"\xab\xcd\xef\xff")
    pair.node.report_card(0, b"")
    pair.node.report_card(9, b"\x00")
    assert pair.drain() == [
        (codes.KEYPAD, b"\x00\x0519\x7f0\x0d"),
        (codes.RAW, b"\x00\x01\x1a\x00\xab\xcd\xef\xff"),
    ]


def test_a_long_code_goes_in_parts() -> None:
    pair = opened(readers=1)
    pair.node.report_keys("1234567890123456789")
    told = pair.drain()
    assert b"".join([payload[2:] for _, payload in told]) == b"1234567890123456789"


def test_keys_nobody_waits_for_any_more_are_not_told() -> None:
    # A code typed while the bus was down must not disarm when it comes back.
    pair = opened(readers=1)
    pair.node.report_keys("1234")
    pair.node.report_card(8, b"\x55")
    pair.node.report_inputs(states(1))
    pair.now_ms += STALE_MS + 1000
    assert pair.open()
    assert codes.KEYPAD not in [code for code, _ in pair.drain()]
    assert pair.node.lost_changes == 0


def test_a_wrong_number_of_states_is_a_programming_error() -> None:
    pair = opened()
    try:
        pair.node.report_inputs(bytes(7))
    except ValueError:
        return
    raise AssertionError("seven states for eight inputs")


def test_nothing_lost_or_invented_on_a_good_line() -> None:
    world = World(1, CALM)
    world.run(200)
    world.settle()
    world.check()
    assert world.pair.node.lost_changes == 0
    assert len(world.pair.board.did) == world.outputs_asked


def test_nothing_lost_or_invented_on_a_bad_line() -> None:
    for seed in range(4):
        world = World(seed, DAMAGE)
        world.run(200)
        world.settle()
        world.check()
        assert world.pair.node.lost_changes == 0


def test_nothing_lost_but_what_is_told_when_sessions_are_cut_and_queues_short() -> None:
    for seed in range(4):
        world = World(100 + seed, CUTS, queue_limit=6)
        world.run(200)
        world.settle()
        world.check()
