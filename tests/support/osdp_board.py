"""A board for the peripheral that remembers what it was told; runs on both runtimes."""

from protocols.osdp import codes
from protocols.osdp.commands import Device
from protocols.osdp.peripheral import Identity, Peripheral
from tests.support.osdp_controller import Controller

KEY = bytes(range(16))
OTHER_KEY = bytes(range(100, 116))
IDENTITY = Identity(codes.VENDOR, 7, 2, 0x01020304, (1, 2, 3))
PERIPHERAL_RANDOM = bytes(range(0x50, 0x58))


class Board(Device):
    """Refuses what it is told to refuse, takes everything else."""

    def __init__(self) -> None:
        self.outputs = [0, 0]
        self.did: list[object] = []
        self.refuses = False
        self.keys: list[bytes] = []
        self.file = b""
        self.restarts = 0

    def set_output(self, number: int, code: int, timer_ds: int) -> bool:
        self.did.append(("output", number, code, timer_ds))
        self.outputs[number] = 1 if code in (2, 4, 5) else 0
        return not self.refuses

    def output_states(self) -> bytes:
        return bytes(self.outputs)

    def set_led(self, payload: bytes) -> bool:
        self.did.append(("led", payload))
        return not self.refuses

    def set_buzzer(self, payload: bytes) -> bool:
        self.did.append(("buzzer", payload))
        return not self.refuses

    def store_key(self, key: bytes) -> bool:
        if self.refuses:
            return False
        self.keys.append(key)
        return True

    def store_communication(self, address: int, baud: int) -> bool:
        self.did.append(("communication", address, baud))
        return not self.refuses

    def file_part(self, kind: int, total: int, offset: int, data: bytes) -> "tuple[int, int]":
        if self.refuses:
            return codes.FILE_ABORT, 0
        if offset == 0:
            self.file = b""
        self.file = self.file[:offset] + data
        return (codes.FILE_PROCESSED if len(self.file) == total else codes.FILE_OK), 0

    def abort_file(self) -> None:
        self.did.append(("abort",))

    def vendor(self, data: bytes) -> None:
        self.did.append(("vendor", data))

    def restart(self) -> None:
        self.restarts += 1


def fixed_random(count: int) -> bytes:
    """For tests: what the node "draws"."""
    return PERIPHERAL_RANDOM[:count]


class Pair:
    """A node and its controller, and a clock; nothing is lost unless the test loses it."""

    def __init__(
        self,
        key: "bytes | None" = KEY,
        controller_key: "bytes | None" = None,
        clear: bool = False,
        crc: bool = True,
        mark: bool = False,
        readers: int = 0,
        queue_limit: int = 64,
    ) -> None:
        self.board = Board()
        self.node = Peripheral(
            IDENTITY,
            self.board,
            5,
            key,
            fixed_random,
            readers=readers,
            queue_limit=queue_limit,
            clear=clear,
        )
        if controller_key is None:
            controller_key = key or codes.DEFAULT_KEY
        self.controller = Controller(5, controller_key, crc, mark)
        self.now_ms = 1000

    def carry(self, command: bytes) -> bytes:
        self.now_ms += 20
        return self.node.receive(command, self.now_ms)

    def ask(self, code: int, payload: bytes = b"") -> "tuple[int, bytes] | None":
        return self.controller.hear(self.carry(self.controller.ask(code, payload)))

    def poll(self) -> "tuple[int, bytes] | None":
        return self.ask(codes.POLL)

    def open(self) -> bool:
        """Handshake from sequence 0."""
        controller = self.controller
        controller.restart()
        answer = controller.hear(self.carry(controller.challenge()))
        proof = controller.prove(answer)
        if not proof:
            return False
        return controller.settle(controller.hear(self.carry(proof)))

    def drain(self) -> "list[tuple[int, bytes]]":
        """Poll until there is nothing more to tell."""
        told = []
        for _ in range(200):
            answer = self.poll()
            if answer is None or answer[0] == codes.ACK:
                return told
            told.append(answer)
        raise AssertionError("the queue never empties")


def opened(**how: "object") -> Pair:
    """A pair in a session, with what a session begins with already told."""
    pair = Pair(**how)  # type: ignore[arg-type]
    assert pair.open()
    pair.drain()
    return pair
