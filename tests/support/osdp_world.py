"""A node, its controller and a bad line between them, driven by one seed; runs on both runtimes.

Every input snapshot and vendor report bears a number of its own, so that what the controller took
can be compared with what happened: nothing lost but what is told as lost, nothing invented, order
kept.
"""

from protocols.osdp import codes
from protocols.osdp.frame import build
from tests.support.osdp_board import KEY, Pair
from tests.support.osdp_chance import Chance

VENDOR_REPORT = 0x70
"""A report number Tocsin does not use."""
CALM = 0
DAMAGE = 1
"""Lost, doubled and corrupted frames; sessions are never given up."""
CUTS = 2
"""The same, with restarts, long silences and forged frames."""


def as_states(number: int) -> bytes:
    """Eight inputs of eight states: numbers below 2**24 - 1, which is the state at the start."""
    return bytes([(number >> 3 * place) & 7 for place in range(8)])


def as_number(states: bytes) -> int:
    return sum([state << 3 * place for place, state in enumerate(states)])


BEFORE = as_number(bytes([codes.INPUT_UNKNOWN] * 8))


def in_order_of_first(numbers: "list[int]", but: int) -> "list[int]":
    """Without repeats, and without `but`."""
    seen = {but}
    first = []
    for number in numbers:
        if number not in seen:
            seen.add(number)
            first.append(number)
    return first


class World:
    """`happened` and `told` are lists of numbers; `told_lost` what overflow reports said."""

    def __init__(self, seed: int, faults: int, queue_limit: int = 64) -> None:
        self.chance = Chance(seed)
        self.faults = faults
        self.pair = Pair(KEY, queue_limit=queue_limit)
        self.pair.node._random_bytes = self.chance.data
        self.happened: list[int] = []
        self.told: list[int] = []
        self.vendor_told: list[int] = []
        self.told_local: list[bytes] = []
        self.local = bytes(2)
        self.told_lost = 0
        self.outputs_asked = 0
        self.most_queued = 0
        self.waiting = b""
        """The current command, not answered yet."""
        self.tries = 0

    # What happens at the premises.

    def change(self) -> None:
        node = self.pair.node
        number = len(self.happened) + 1
        kind = self.chance.below(10)
        if kind < 6:
            node.report_inputs(as_states(number))
        elif kind < 8:
            node.report_vendor(bytes((VENDOR_REPORT,)) + number.to_bytes(4, "little"))
        else:
            self.local = bytes((self.chance.below(2), self.chance.below(2)))
            node.report_local(bool(self.local[0]), bool(self.local[1]))
            return
        self.happened.append(number)
        self.most_queued = max(self.most_queued, node.queued)

    # The line.

    def damaged(self, data: bytes) -> bytes:
        """What arrives of a frame."""
        if self.faults == CALM or not data:
            return data
        fate = self.chance.below(12)
        if fate == 0:
            return b""
        if fate == 1:
            bad = bytearray(data)
            bad[self.chance.below(len(bad))] ^= 1 << self.chance.below(8)
            return bytes(bad)
        if fate == 2:
            return data[: self.chance.below(len(data))]
        if fate == 3:
            return self.chance.data(self.chance.below(20)) + data
        if fate == 4:
            place = self.chance.below(len(data))
            return data[:place] + self.chance.data(1) + data[place:]
        return data

    def to_node(self, data: bytes) -> bytes:
        """Byte by byte, in pieces or at once; what the node sends."""
        self.pair.now_ms += 15
        node = self.pair.node
        if self.chance.below(3):
            return node.receive(data, self.pair.now_ms)
        answer = b""
        place = 0
        while place < len(data):
            step = 1 + self.chance.below(5)
            answer += node.receive(data[place : place + step], self.pair.now_ms)
            place += step
        return answer

    def exchange(self, command: bytes) -> "tuple[int, bytes] | None":
        raw = self.to_node(self.damaged(command))
        if self.faults and self.chance.below(10) == 0:
            # Came twice: the controller hears one answer.
            raw = self.to_node(command) or raw
        return self.pair.controller.hear(self.damaged(raw))

    def forge(self) -> None:
        """Something on the wire that is not from our controller."""
        pair = self.pair
        kind = self.chance.below(5)
        number = self.chance.below(4)
        if kind == 0:
            raw = build(5, number, b"\x68\x00\x02\x00\x00")
        elif kind == 1:
            mac = self.chance.data(4)
            raw = build(5, number, b"\x68" + self.chance.data(16), block=b"\x02\x17", mac=mac)
        elif kind == 2:
            raw = pair.controller.asked
        elif kind == 3:
            raw = build(5, number, b"\x76" + self.chance.data(8), block=b"\x03\x11\x01")
        else:
            raw = build(0x7F, number, b"\x60")
        pair.node.receive(raw, pair.now_ms)

    # The controller.

    def open(self) -> bool:
        controller = self.pair.controller
        controller.restart()
        controller.random = self.chance.data(8)
        self.waiting = b""
        answer = self.exchange(controller.challenge())
        proof = controller.prove(answer)
        return bool(proof) and controller.settle(self.exchange(proof))

    def turn(self) -> None:
        """One command, or one more try of the same; gives up after ten."""
        controller = self.pair.controller
        if controller.channel is None:
            self.open()
            return
        if not self.waiting:
            self.tries = 0
            if self.chance.below(8) == 0:
                self.outputs_asked += 1
                self.waiting = controller.ask(codes.OUT, b"\x00\x02\x00\x00")
            else:
                self.waiting = controller.ask(codes.POLL)
        answer = self.exchange(self.waiting)
        self.tries += 1
        if answer is not None:
            self.waiting = b""
            self.take(answer)
        elif self.tries > 10:
            controller.restart()
            self.waiting = b""

    def take(self, answer: "tuple[int, bytes]") -> None:
        code, payload = answer
        if code == codes.ISTATR:
            self.told.append(as_number(payload))
        elif code == codes.LSTATR:
            self.told_local.append(payload)
        elif code == codes.MFGREP and payload[3] == codes.REPORT_OVERFLOW:
            self.told_lost += payload[4] | payload[5] << 8
        elif code == codes.MFGREP:
            self.told.append(int.from_bytes(payload[4:8], "little"))
            self.vendor_told.append(self.told[-1])
        elif code == codes.NAK:
            self.pair.controller.restart()
            self.waiting = b""

    # The run.

    def run(self, steps: int) -> None:
        for _ in range(steps):
            what = self.chance.below(10)
            if what < 3:
                self.change()
            elif what == 3 and self.faults == CUTS:
                fate = self.chance.below(12)
                if fate == 0:
                    self.pair.controller.restart()
                    self.waiting = b""
                elif fate == 1:
                    self.pair.now_ms += 9000
                elif fate < 5:
                    self.forge()
            else:
                self.turn()

    def settle(self) -> None:
        """The line is good again: everything owed gets through in bounded time."""
        self.faults = CALM
        self.pair.now_ms += 500
        self.pair.controller.restart()
        self.waiting = b""
        assert self.open(), "no session on a good line"
        self.told_local = []
        self.pair.node.report_inputs(as_states(len(self.happened) + 1))
        self.happened.append(len(self.happened) + 1)
        for answer in self.pair.drain():
            self.take(answer)

    def check(self) -> None:
        """Nothing lost but what is told, nothing invented, order kept."""
        node = self.pair.node
        known = set(self.happened)
        known.add(BEFORE)
        assert set(self.told) <= known, "invented"
        first = in_order_of_first(self.told, BEFORE)
        vendor = set(self.vendor_told)
        inputs = [number for number in first if number not in vendor]
        assert inputs == sorted(inputs), "snapshots out of order"
        assert in_order_of_first(self.vendor_told, BEFORE) == sorted(vendor)
        if node.lost_changes == 0:
            # A snapshot that was lost may still come as the present state, behind younger reports.
            assert first == sorted(first), "out of order"
        missing = len(self.happened) - len(first)
        assert inputs[-1] == self.happened[-1], "the last state is not the present one"
        assert missing <= node.lost_changes, f"{missing} missing, {node.lost_changes} lost"
        assert self.told_lost >= node.lost_changes, "losses not told"
        assert self.told_local[-1] == self.local, "tamper and power are not the present ones"
        assert node.queued == 0
