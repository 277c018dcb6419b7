"""What a controller may do to a node: outputs, key, address, and the safe state."""

from protocols.osdp import codes
from tests.support.node_board import MemoryBoard, MemoryFlash
from tests.support.node_rig import KEY, NodeRig

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


def test_a_node_that_finds_itself_damaged_is_not_fed_and_goes_to_its_safe_state():
    found = joined()
    found.ask(codes.OUT, bytes((0, 2, 0, 0)))
    found.run(50)
    assert found.board.pins == b"\x01\x00"
    fed = found.board.fed
    found.run(1000)
    assert found.board.fed > fed
    found.node.settings.address ^= 1
    found.run(200)
    fed = found.board.fed
    found.run(3000)
    assert found.board.fed == fed
    assert found.board.pins == b"\x00\x00"


def test_outputs_obey_and_go_off_without_a_controller():
    found = joined()
    assert found.ask(codes.OUT, bytes((1, 2, 0, 0)))[0] == codes.ACK
    assert found.ask(codes.OUT, bytes((0, 5, 20, 0)))[0] == codes.ACK
    assert found.ask(codes.OSTAT)[1] == b"\x01\x01"
    assert found.board.pins == b"\x01\x01"
    found.run(2100)
    assert found.board.pins == b"\x00\x01"
    found.run(6200)
    assert found.board.pins == b"\x00\x00"


def test_an_unread_input_is_a_fault_that_puts_the_outputs_off():
    found = joined()
    found.ask(codes.OUT, bytes((0, 2, 0, 0)))
    found.board.mv[6] = -1
    found.run(300)
    assert found.board.pins == b"\x00\x00"
    assert found.ask(codes.OUT, bytes((0, 2, 0, 0)))[0] == codes.NAK
    found.drain()
    assert found.inputs() == [states(6, codes.INPUT_UNKNOWN)]


def test_a_key_is_durable_before_it_is_acknowledged():
    found = NodeRig(MemoryBoard(MemoryFlash()), key=None)
    found.run(100)
    found.join()
    assert found.ask(codes.KEYSET, b"\x01\x10" + KEY)[0] == codes.ACK
    after = NodeRig(found.board.restarted())
    after.run(100)
    after.join()
    assert after.node.peripheral.secure


def test_a_key_the_flash_does_not_take_is_refused_and_the_old_one_stays():
    found = joined()
    found.board.flash.broken = True
    assert found.ask(codes.KEYSET, b"\x01\x10" + bytes(16))[0] == codes.NAK
    found.join()
    assert found.node.settings.key == KEY


def test_address_and_speed_change_after_the_reply_and_are_kept():
    found = joined()
    reply = found.ask(codes.COMSET, bytes((9,)) + (115200).to_bytes(4, "little"))
    assert reply == (codes.COM, bytes((9,)) + (115200).to_bytes(4, "little"))
    found.run(50)
    assert found.board.baud == 115200
    after = NodeRig(found.board.restarted())
    assert after.node.peripheral.address == 9
    assert after.board.baud == 115200
