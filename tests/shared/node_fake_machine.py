"""The RP2040's `machine` as far as the board file needs it: pins, SPI with an MCP3208, UART with
its busy bit, timers, watchdog and registers. Time goes on with each look at the clock.
"""

FLAGS = 0x40034018
CONTROL = 0x40034030
BUSY = 0x08
CHAR_US = 260


class World:
    """What stands behind the pins. One at a time; `line` holds (microsecond, driver level)."""

    def __init__(self):
        self.now_us = 0
        self.levels = {}
        self.mv = [1650] * 8
        self.converter = True
        self.supply_mv = 12000
        self.memory = {CONTROL: 0x301}
        self.heard = b""
        self.sent = b""
        self.busy_until_us = 0
        self.stuck = False
        self.driver_log = []
        self.timers = []
        self.fed = 0
        self.cause = 1
        self.resets = 0

    def pass_us(self, span_us):
        self.now_us += span_us
        for timer in list(self.timers):
            if timer.due_us <= self.now_us:
                self.timers.remove(timer)
                timer.callback(timer)

    def set(self, number, level):
        self.levels[number] = level
        if number == 2:
            self.driver_log.append((self.now_us, level))


world = World()


def fresh():
    """A new world; the module looks at it from now on."""
    global world
    world = World()
    mem32.world = world
    return world


class Pin:
    IN = 0
    OUT = 1
    PULL_UP = 1

    def __init__(self, number, mode=-1, pull=-1, value=None):
        self.number = number
        if value is not None:
            world.set(number, value)

    def value(self, level=None):
        if level is None:
            return world.levels.get(self.number, 0)
        world.set(self.number, level)
        return None


class SPI:
    def __init__(self, number, baudrate=0, sck=None, mosi=None, miso=None):
        pass

    def write_readinto(self, ask, told):
        assert world.levels[17] == 0, "not selected"
        assert ask[0] & 0xFE == 0x06, "start bit and single ended"
        channel = (ask[0] & 1) << 2 | ask[1] >> 6
        if not world.converter:
            told[0] = told[1] = told[2] = 0xFF
            return
        count = (world.mv[channel] * 4096 + 3299) // 3300
        count = min(4095, count)
        told[0] = 0xFF
        told[1] = 0xE0 | count >> 8
        told[2] = count & 0xFF


class ADC:
    def __init__(self, pin):
        assert pin.number == 26

    def read_u16(self):
        return (world.supply_mv * 65536 + 36299) // 36300


class UART:
    def __init__(
        self, number, baudrate=0, tx=None, rx=None, bits=0, parity=None, stop=0, txbuf=0, rxbuf=0
    ):
        assert (number, bits, parity, stop) == (0, 8, None, 1)
        self.char_us = 10000000 // baudrate

    def deinit(self):
        pass

    def any(self):
        return len(world.heard)

    def read(self):
        data = world.heard
        world.heard = b""
        return data

    def write(self, data):
        world.sent += data
        world.busy_until_us = world.now_us + len(data) * self.char_us

    def txdone(self):
        # As on the chip: the buffer is empty one character before the line is.
        return not world.stuck and world.now_us >= world.busy_until_us - self.char_us


class Timer:
    ONE_SHOT = 0

    def __init__(self, number):
        assert number == -1
        self.due_us = 0
        self.callback = None

    def init(self, mode=0, period=0, callback=None, hard=False):
        self.due_us = world.now_us + period * 1000
        self.callback = callback
        world.timers.append(self)

    def deinit(self):
        if self in world.timers:
            world.timers.remove(self)


class WDT:
    def __init__(self, timeout=0):
        assert timeout <= 8388, "RP2040's longest"

    def feed(self):
        world.fed += 1


class Registers:
    def __init__(self):
        self.world = world

    def __getitem__(self, address):
        if address == FLAGS:
            return BUSY if self.world.stuck or self.world.now_us < self.world.busy_until_us else 0
        return self.world.memory.get(address, 0)

    def __setitem__(self, address, value):
        assert 0 <= value <= 0xFFFFFFFF
        self.world.memory[address] = value


mem32 = Registers()
PWRON_RESET = 1
WDT_RESET = 3


def unique_id():
    return bytes(range(8))


def reset_cause():
    return world.cause


def reset():
    world.resets += 1


class Clock:
    """`time` of a board: each look costs five microseconds."""

    def ticks_us(self):
        world.pass_us(5)
        return world.now_us & 0x3FFFFFFF

    def ticks_ms(self):
        world.pass_us(5)
        return (world.now_us // 1000) & 0x3FFFFFFF

    def ticks_diff(self, later, earlier):
        return ((later - earlier + 0x20000000) & 0x3FFFFFFF) - 0x20000000

    def sleep_us(self, span_us):
        world.pass_us(span_us)

    def sleep_ms(self, span_ms):
        world.pass_us(span_ms * 1000)
