# MicroPython has neither pathlib nor contextlib.suppress.
# ruff: noqa: PTH102, PTH104, PTH106, PTH107, PTH123, SIM105
"""What a board must offer (boards/board.py), of the simulated board and the RP2040's alike."""

import json
import os
import sys
import time

import tests.shared.node_fake_machine as machine
from firmware.boards.board import INPUTS
from firmware.boards.unix_sim import UnixBoard
from firmware.node.loops import FAULT_MV
from firmware.node.ticks import PERIOD
from protocols.osdp.node_report import RESET_POWER, RESET_UNKNOWN, RESET_WATCHDOG

sys.modules["machine"] = machine
import firmware.boards.rp2040 as rp2040  # noqa: E402

rp2040.time = machine.Clock()
SCRATCH_DIRECTORY = os.getenv("TMPDIR") or "/tmp"
made = 0


class Unix:
    """A simulated board and its world."""

    def __init__(self):
        global made
        made += 1
        clock = getattr(time, "time_ns", None)
        self.directory = SCRATCH_DIRECTORY + "/tocsin-board-" + str(clock()) + "-" + str(made)
        os.mkdir(self.directory)
        self.world = {"mv": [1650] * INPUTS, "tamper": 0, "supply_mv": 12000, "hang": ""}
        self.show()
        self.board = UnixBoard(self.directory, "")

    def show(self):
        with open(self.directory + "/world.new", "w") as file:
            file.write(json.dumps(self.world))
        os.rename(self.directory + "/world.new", self.directory + "/world.json")

    def mv(self, number, value):
        self.world["mv"][number] = value
        self.show()

    def outside(self, tamper, supply_mv):
        self.world["tamper"] = 1 if tamper else 0
        self.world["supply_mv"] = supply_mv
        self.show()
        self.board.read_mv([0] * INPUTS)

    def no_converter(self):
        self.world["mv"] = [FAULT_MV] * INPUTS
        self.show()

    def pins(self):
        with open(self.directory + "/outputs.json") as file:
            return json.loads(file.read())["outputs"]

    def again(self, power_cut):
        self.board._scratch.close()
        if power_cut:
            os.remove(self.directory + "/scratch")
        self.board = UnixBoard(self.directory, "")

    def end(self):
        self.board._scratch.close()
        for name in ("world.json", "outputs.json", "scratch", "reset"):
            try:
                os.remove(self.directory + "/" + name)
            except OSError:
                pass
        os.rmdir(self.directory + "/flash")
        os.rmdir(self.directory)


class Pico:
    """The RP2040's board over a machine that is made up."""

    def __init__(self):
        self.machine = machine.fresh()
        self.board = rp2040.Rp2040Board()

    def mv(self, number, value):
        self.machine.mv[number] = value

    def outside(self, tamper, supply_mv):
        self.machine.levels[22] = 1 if tamper else 0
        self.machine.supply_mv = supply_mv

    def no_converter(self):
        self.machine.converter = False

    def pins(self):
        return [self.machine.levels[4], self.machine.levels[5]]

    def again(self, power_cut):
        if power_cut:
            self.machine.memory = {}
            self.machine.cause = machine.PWRON_RESET
        else:
            self.machine.cause = machine.WDT_RESET
        self.board = rp2040.Rp2040Board()

    def end(self):
        pass


def each(check):
    for kind in (Unix, Pico):
        rig = kind()
        try:
            check(rig, rig.board)
        finally:
            rig.end()


def test_every_input_is_read_by_itself_and_a_missing_converter_is_a_fault():
    def check(rig, board):
        found = [0] * INPUTS
        for number in range(INPUTS):
            rig.mv(number, 300 * number + 100)
        board.read_mv(found)
        for number in range(INPUTS):
            assert abs(found[number] - (300 * number + 100)) <= 1, found
        rig.no_converter()
        board.read_mv(found)
        assert found == [FAULT_MV] * INPUTS

    each(check)


def test_enclosure_and_supply_are_read():
    def check(rig, board):
        rig.outside(True, 10400)
        assert board.tamper()
        assert abs(board.supply_mv() - 10400) <= 2
        rig.outside(False, 13800)
        assert not board.tamper()
        assert abs(board.supply_mv() - 13800) <= 2

    each(check)


def test_outputs_are_off_at_the_start_and_follow():
    def check(rig, board):
        assert rig.pins() == [0, 0]
        board.set_outputs(b"\x01\x00")
        assert rig.pins() == [1, 0]
        board.set_outputs(b"\x00\x01")
        assert rig.pins() == [0, 1]
        rig.again(power_cut=False)
        assert rig.pins() == [0, 0]

    each(check)


def test_the_scratch_memory_survives_a_reset_and_not_a_power_cut():
    def check(rig, board):
        for word in range(3):
            board.scratch_write(word, 0xFEDCBA98 - word)
        rig.again(power_cut=False)
        assert [rig.board.scratch_read(word) for word in range(3)] == [
            0xFEDCBA98,
            0xFEDCBA97,
            0xFEDCBA96,
        ]
        assert rig.board.reset_cause() in (RESET_WATCHDOG, RESET_UNKNOWN)
        rig.again(power_cut=True)
        assert [rig.board.scratch_read(word) for word in range(3)] == [0, 0, 0]
        assert rig.board.reset_cause() == RESET_POWER

    each(check)


def test_ticks_go_on_inside_their_period_and_serials_are_32_bits():
    def check(rig, board):
        first = board.ticks()
        board.wait(3)
        passed = (board.ticks() - first) % PERIOD
        assert 2 <= passed < 500
        assert 0 < board.serial() <= 0xFFFFFFFF
        assert board.serial() == board.serial()
        assert len(board.random_bytes(8)) == 8
        assert board.random_bytes(16) != board.random_bytes(16)

    each(check)


def test_a_bus_that_is_silent_gives_nothing_and_the_board_is_sound():
    def check(rig, board):
        board.open_bus(38400)
        assert board.read() == b""
        assert board.sound()
        board.start_watchdog(2000)
        board.feed_watchdog()
        board.set_lamp(True)

    each(check)


def test_the_driver_leaves_the_line_after_the_last_stop_bit_within_two_characters():
    for baud in (9600, 19200, 38400, 57600, 115200, 230400):
        rig = Pico()
        rig.board.open_bus(baud)
        rig.machine.driver_log = []
        rig.board.write(bytes(40))
        (on_us, on), (off_us, off) = rig.machine.driver_log
        assert (on, off) == (1, 0)
        assert on_us >= 2 * (10000000 // baud), "two idle characters before"
        late_us = off_us - rig.machine.busy_until_us
        assert 0 <= late_us <= 2 * (10000000 // baud), (baud, late_us)
        assert rig.machine.timers == []


def test_a_stuck_transmitter_is_off_the_line_in_100_ms():
    rig = Pico()
    rig.board.open_bus(38400)
    rig.machine.driver_log = []
    rig.machine.stuck = True
    rig.board.write(bytes(15))
    (on_us, _), (off_us, level) = rig.machine.driver_log[:2]
    assert level == 0
    assert off_us - on_us - 15 * 260 <= 100000
    assert rig.board.released == 1
    rig.machine.stuck = False
    rig.board.write(b"again")
    assert rig.machine.sent.endswith(b"again")
    assert rig.board.sound()


def test_the_timer_lets_go_when_the_code_itself_hangs():
    rig = Pico()
    rig.board.open_bus(38400)
    board = rig.board
    board._release.init(mode=0, period=80, callback=board._let_go, hard=True)
    board._driver.value(1)
    rig.machine.pass_us(100000)
    assert rig.machine.levels[2] == 0


def test_a_line_held_by_the_driver_is_not_sound():
    rig = Pico()
    rig.board.open_bus(38400)
    rig.machine.levels[2] = 1
    assert not rig.board.sound()
    rig.machine.levels[2] = 0
    rig.machine.memory[machine.CONTROL] = 0
    assert not rig.board.sound()
