"""A node on a board in memory and a controller on its bus; runs on both runtimes."""

# The largest file first, while there is room for its parse tree.
from protocols.osdp.peripheral import Peripheral

# isort: split
from firmware.node.latch import Latch
from firmware.node.loop import Loop
from firmware.node.node import Node
from firmware.node.settings import Settings, SettingsStore
from protocols.osdp import codes
from tests.support.node_board import MemoryBoard
from tests.support.osdp_controller import Controller

KEY = bytes(range(16))
ADDRESS = 5


class NodeRig:
    """`told`: what the controller took, code and payload, oldest first."""

    def __init__(self, board: MemoryBoard, key: "bytes | None" = KEY) -> None:
        self.board = board
        self.store = SettingsStore(board.flash)
        settings = self.store.load()
        if settings is None:
            settings = Settings(ADDRESS, 38400, key)
            for loop in settings.loops:
                loop.wiring = 5
            assert self.store.save(settings)
        self.node = Node(board, settings, self.store, Latch(board), (1, 2, 3))
        self.peripheral: Peripheral = self.node.peripheral
        self.loop = Loop(self.node)
        self.controller = Controller(ADDRESS, key or codes.DEFAULT_KEY)
        self.told: list[tuple[int, bytes]] = []

    def run(self, span_ms: int) -> None:
        """Time passes, the bus is silent."""
        end = self.node.uptime.now_ms + span_ms
        while self.node.uptime.now_ms < end:
            self.board.wait(self.loop.turn())

    def exchange(self, command: bytes) -> "tuple[int, bytes] | None":
        """One command and what the controller makes of the answer."""
        self.board.heard.append(command)
        self.board.sent = []
        self.run(10)
        return self.controller.hear(b"".join(self.board.sent))

    def join(self) -> None:
        """A secure channel."""
        controller = self.controller
        controller.restart()
        proof = controller.prove(self.exchange(controller.challenge()))
        assert proof, "the node does not know the key"
        assert controller.settle(self.exchange(proof))

    def ask(self, code: int, payload: bytes = b"") -> "tuple[int, bytes]":
        """One secure command; its reply."""
        reply = self.exchange(self.controller.ask(code, payload))
        assert reply is not None
        return reply

    def poll(self, count: int = 1) -> None:
        """Polls; what is told goes into `told`, without the plain acknowledgements."""
        for _ in range(count):
            reply = self.ask(codes.POLL)
            if reply[0] != codes.ACK:
                self.told.append(reply)

    def drain(self) -> "list[tuple[int, bytes]]":
        """Polls until the node has nothing more to say; all of it."""
        self.told = []
        while True:
            before = len(self.told)
            self.poll()
            if len(self.told) == before:
                return self.told

    def inputs(self) -> "list[bytes]":
        """The input snapshots of `told`."""
        return [payload for code, payload in self.told if code == codes.ISTATR]
