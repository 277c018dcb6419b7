"""A panel's OSDP bus, simulated nodes on a wire of its own process, and every fault of a bus."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Self

from edge.adapters.osdp_bus import OsdpBus
from edge.adapters.osdp_keys import NodeKeys
from edge.bus.bus_types import BusChanged, BusEvent, BusStatistics
from edge.config_bus import BusConfig, OsdpNode
from hil.drivers.bus_wire_process import WireProcess
from hil.drivers.bus_wire_storm import snapshot
from protocols.instants import Instant
from protocols.osdp import codes
from protocols.osdp.frame import build
from tests.support.bus_ledger import BusLedger

COMMIT_S = 0.002
"""What the panel's disk takes."""
LOST_WITHIN_S = 2.0
BACK_WITHIN_S = 5.0
UNLUCKY = 2
"""Nodes of 32 that may be told lost in four seconds of heavy noise."""
STRANGER = bytes([codes.INPUT_UNKNOWN] * 8)
"""Inputs of the second node at an address."""


class BusStorm:
    """The rig. `grace_s` is added to every limit, for machines with other work to do."""

    def __init__(
        self,
        directory: Path,
        nodes: int = 32,
        baud: int = 230_400,
        seed: int = 0,
        turnaround_ms: float = 0.3,
        grace_s: float = 0.0,
    ) -> None:
        self.ledger = BusLedger()
        self.addresses = tuple(range(1, nodes + 1))
        self.dice = random.Random(seed)
        self.named_s: dict[str, float] = {}
        """Fault: seconds until it was named."""
        self.back_s: dict[str, float] = {}
        """Fault: seconds from its end until every node was up."""
        self.failures: list[str] = []
        self.lost_in_noise = 0
        self.lost_though_in_time = 0
        """Nodes told lost for a moment that only began to answer late, within the time-out: the
        driver's shorter, learned time-out may not have grown in 1.5 s."""
        self.handshakes = 0
        self.grace_s = grace_s
        self._baud = baud
        self._link = directory / "bus"
        self._keys = NodeKeys(directory, "P1")
        self.wire = WireProcess({"panel": self._link}, baud, seed, turnaround_ms)
        self._bus: OsdpBus | None = None
        self._driver = 0
        self._doubles = 0

    # --- the parts ---

    async def __aenter__(self) -> Self:
        self.wire.start()
        for address in self.addresses:
            key = self._keys.key("main", address).hex()
            self.wire.order(node=address, key=key)
        self.start_driver()
        await self.all_up("start")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.stop_driver()
        self.wire.stop()

    def start_driver(self) -> None:
        config = BusConfig(
            name="main",
            port=str(self._link),
            baud=self._baud or 230_400,
            nodes=tuple(OsdpNode(address=address) for address in self.addresses),
        )
        loop = asyncio.get_running_loop()
        self._driver += 1
        driver = self._driver

        def deliver(event: BusEvent, now: Instant, token: int) -> None:
            assert driver == self._driver, "delivered after stop"
            self.ledger.take(event)
            if token:
                loop.call_later(COMMIT_S, bus.committed, token)

        bus = self._bus = OsdpBus(config, self._keys, loop, deliver)
        bus.start()

    def stop_driver(self) -> None:
        """As when the panel is stopped or killed: nothing more is committed to it."""
        if self._bus is not None:
            self.handshakes += sum(n.handshakes for n in self.statistics().nodes)
            self._bus.stop()
            self._driver += 1
            self._bus = None
            self.ledger.up.clear()

    def statistics(self) -> BusStatistics:
        assert self._bus is not None
        return self._bus.statistics()

    def nodes(self) -> dict[str, Any]:
        """State of each node, by name; a second node at an address is none of them."""
        state: dict[str, Any] = self.wire.state()["nodes"]
        return {name: node for name, node in state.items() if name.startswith("node-")}

    # --- waiting and judging ---

    async def until(self, what: str, probe: Callable[[], bool], timeout_s: float) -> float:
        """Seconds it took; a failure is noted, not raised, so that the storm goes on."""
        began_s = time.monotonic()
        while not probe():
            if time.monotonic() - began_s > timeout_s + self.grace_s:
                self.failures.append(f"{what}: not within {timeout_s:g} s")
                break
            await asyncio.sleep(0.01)
        return time.monotonic() - began_s

    async def all_up(self, after: str, within_s: float = BACK_WITHIN_S) -> None:
        everybody = set(self.addresses)
        took_s = await self.until(
            f"{after}: all nodes up", lambda: self.ledger.up >= everybody, within_s
        )
        self.back_s[after] = max(took_s, self.back_s.get(after, 0.0))
        missing = sorted(everybody - self.ledger.up)
        if missing:
            self.failures.append(f"{after}: not up again: {missing}")

    async def lost(
        self, fault: str, since_s: float, who: set[int], perhaps: int | None = None
    ) -> None:
        """These nodes are told lost in time, and no others, but `perhaps` this one."""
        found = self.ledger.lost_since
        await self.until(
            f"{fault}: nodes told lost",
            lambda: set(found(since_s)) >= who,
            LOST_WITHIN_S - (time.monotonic() - since_s),
        )
        told = found(since_s)
        self.lost_though_in_time += perhaps in told
        if others := set(told) - who - {perhaps}:
            self.failures.append(f"{fault}: told lost without reason: {sorted(others)}")
        if told:
            worst_s = max(at_s for at_s, _ in told.values())
            self.named_s[fault] = max(worst_s, self.named_s.get(fault, 0.0))

    async def trouble(
        self, fault: str, since_s: float, named: set[tuple[int, str]], within_s: float
    ) -> None:
        """One of these (address, trouble) is told in time."""
        found = self.ledger.troubles_since
        await self.until(
            f"{fault}: one of {sorted(named)}", lambda: bool(set(found(since_s)) & named), within_s
        )
        times = [at_s for what, at_s in found(since_s).items() if what in named]
        if times:
            self.named_s[fault] = max(min(times), self.named_s.get(fault, 0.0))

    def nobody_lost(self, fault: str, since_s: float) -> None:
        if told := self.ledger.lost_since(since_s):
            self.failures.append(f"{fault}: told lost: {told}")

    async def settled(self, timeout_s: float) -> dict[str, int]:
        """Wait until all moves are made and told. The sums."""

        def done() -> bool:
            state = self.nodes()
            told = self.ledger.nodes
            return all(
                address in told and told[address].last >= state[f"node-{address}"]["moved"]
                for address in self.addresses
            )

        await self.until("everything told", done, timeout_s)
        state = self.nodes()
        return self.ledger.judge(
            {a: (state[f"node-{a}"]["moved"], state[f"node-{a}"]["cuts"]) for a in self.addresses}
        )

    def move(self, changes: int, ahead: int = 4) -> None:
        """All nodes move by themselves, up to this number of changes each."""
        self.wire.order(storm={"changes": changes, "ahead": ahead})

    # --- the faults ---

    async def noise(self) -> None:
        """Hits on the cable, characters lost, doubled, turned over, in a quarter of all exchanges.

        Named. Now and then a node has bad luck for 1.5 s on end and is told lost, and up again.
        """
        since_s = time.monotonic()
        self.wire.order(set={"noise_per_s": 40, "lose": 1e-3, "double": 1e-3, "flip": 1e-3})
        await self.trouble("noise", since_s, {(-1, "noise")}, 5.0)
        await asyncio.sleep(max(0.0, 4.0 - (time.monotonic() - since_s)))
        unlucky = set(self.ledger.lost_since(since_s))
        self.lost_in_noise += len(unlucky)
        if len(unlucky) > UNLUCKY:
            self.failures.append(f"noise: told lost: {sorted(unlucky)}")
        self.wire.order(set={"noise_per_s": 0, "lose": 0, "double": 0, "flip": 0})
        await self.all_up("noise")

    async def adapter(self) -> None:
        """An adapter that echoes, batches what it hands over, then splits it (users.md J2)."""
        since_s = time.monotonic()
        self.wire.order(drop="panel", echo=True, batch_ms=self.dice.choice((8, 16)))
        await asyncio.sleep(1.5)
        self.wire.order(drop="panel", split=True, batch_ms=4)
        await asyncio.sleep(1.5)
        self.nobody_lost("adapter", since_s)
        self.wire.order(drop="panel", echo=False, split=False, batch_ms=0)
        await self.all_up("adapter")

    async def late(self) -> None:
        """One node answers late but in time, one after its time, two have their power cut."""
        slow, dead, *dark = self.dice.sample(self.addresses, 4)
        since_s = time.monotonic()
        self.wire.order(drop=f"node-{slow}", late_ms=(40, 80))
        self.wire.order(drop=f"node-{dead}", late_ms=(120, 190))
        for address in dark:
            self.wire.order(power_cut=address)
        await self.lost("late", since_s, {dead, *dark}, perhaps=slow)
        self.wire.order(drop="*", late_ms=(0, 0))
        for address in dark:
            self.wire.order(power_on=address)
        await self.all_up("late")

    async def resets(self) -> None:
        """Nodes restart at random: nobody notices but by a new session."""
        since_s = time.monotonic()
        for _ in range(6):
            address = self.dice.choice(self.addresses)
            self.wire.order(power_cut=address)
            self.wire.order(power_on=address)
            await asyncio.sleep(self.dice.uniform(0.0, 0.2))
        self.nobody_lost("resets", since_s)
        await self.all_up("resets")

    async def babble(self) -> None:
        """A node never stops talking: nobody gets through, and the bus as a whole is named."""
        name = f"node-{self.dice.choice(self.addresses)}"
        since_s = time.monotonic()
        self.wire.order(drop=name, babble_ms=0)
        await self.trouble("babble", since_s, {(-1, "babble")}, LOST_WITHIN_S)
        await asyncio.sleep(max(0.0, LOST_WITHIN_S - (time.monotonic() - since_s)))
        self.wire.order(drop=name, babble_ms=None)
        await self.all_up("babble")

    async def cut(self) -> None:
        """The cable is cut behind a node: those beyond are lost, those before live on."""
        after = self.dice.randint(8, len(self.addresses) - 8)
        since_s = time.monotonic()
        self.wire.order(set={"cut_after": after})
        await self.lost("cut", since_s, set(self.addresses[after:]))
        self.wire.order(set={"cut_after": None})
        await self.all_up("cut")

    async def short(self) -> None:
        """A against B."""
        since_s = time.monotonic()
        self.wire.order(set={"short": True})
        await self.lost("short", since_s, set(self.addresses))
        self.wire.order(set={"short": False})
        await self.all_up("short")

    async def double(self) -> None:
        """A second node with the address and the key of another."""
        address = self.dice.choice(self.addresses)
        self._doubles += 1
        name = f"double-{self._doubles}"
        self.ledger.strangers[address] = tuple(STRANGER)
        key = self._keys.key("main", address).hex()
        since_s = time.monotonic()
        self.wire.order(node=address, key=key, name=name, more={"seed": 99, "serial": 4711})
        self.wire.order(move=name, states=list(STRANGER))
        named = {(address, "duplicate")}
        await self.trouble("double", since_s, named, 5.0)
        others = set(self.ledger.lost_since(since_s)) - {address}
        if others:
            self.failures.append(f"double: told lost without reason: {sorted(others)}")
        self.wire.order(drop=name, deaf=True, mute=True)
        await self.all_up("double")

    async def forge(self) -> None:
        """Answers in clear text, with wrong MACs, and recorded ones, in place of a node's own."""
        address = self.dice.choice(self.addresses)
        recorded = [bytes.fromhex(said[2]) for said in self._said(f"node-{address}", 40)]
        states = snapshot(5_000_000)
        clear = build(address, 0, bytes((codes.ISTATR,)) + states, True)
        sealed = build(
            address,
            0,
            bytes((codes.ISTATR,)) + self.dice.randbytes(16),
            True,
            bytes((2, codes.SCS_18)),
            b"\1\2\3\4",
        )
        since_s = time.monotonic()
        frames = [clear, sealed, *(frame.lstrip(b"\xff") for frame in recorded if frame)]
        for frame in frames[:12]:
            self.wire.order(answer_for=address, data=frame.hex(), fit=True, delay_ms=0.3)
            await asyncio.sleep(0.1)
        await self.trouble("forge", since_s, {(address, "forged")}, 2.0)
        await self.all_up("forge")

    async def command_forged(self) -> None:
        """Recorded and made-up commands to nodes: none of them does anything."""
        address = self.dice.choice(self.addresses)
        on = bytes((codes.OUT, 0, 2, 0, 0))
        for sequence in range(4):
            self.wire.order(inject=build(address, sequence, on, mark=True).hex())
            await asyncio.sleep(0.02)
        for said in self._said("panel", 12):
            self.wire.order(inject=said[2])
            await asyncio.sleep(0.02)
        state = self.nodes()[f"node-{address}"]
        if any(state["outputs"]):
            self.failures.append("command_forged: a forged command was obeyed")
        await self.all_up("command_forged")

    async def unplug(self) -> None:
        """The adapter is pulled and plugged again."""
        since_s = time.monotonic()
        self.wire.order(unplug="panel")
        await self.until("unplug: told", lambda: self._changed(since_s, up=False), LOST_WITHIN_S)
        self.named_s["unplug"] = time.monotonic() - since_s
        await asyncio.sleep(self.dice.uniform(0.0, 0.8))
        since_s = time.monotonic()
        self.wire.order(plug="panel")
        await self.until("unplug: back", lambda: self._changed(since_s, up=True), 3.0)
        await self.all_up("unplug")

    async def restart(self) -> None:
        """The controller is gone for a moment, twice."""
        for _ in range(2):
            self.stop_driver()
            await asyncio.sleep(self.dice.uniform(0.0, 0.3))
            self.start_driver()
            await asyncio.sleep(self.dice.uniform(0.0, 0.5))
        await self.all_up("restart")

    async def everything(self) -> None:
        """Noise, and at odd moments a node, the controller or the adapter goes and comes back."""
        self.wire.order(set={"noise_per_s": 10, "lose": 3e-4, "double": 3e-4, "flip": 3e-4})
        for _ in range(10):
            match self.dice.randrange(4):
                case 0:
                    self.stop_driver()
                    await asyncio.sleep(self.dice.uniform(0.0, 0.2))
                    self.start_driver()
                case 1:
                    self.wire.order(unplug="panel")
                    await asyncio.sleep(self.dice.uniform(0.0, 0.2))
                    self.wire.order(plug="panel")
                case _:
                    address = self.dice.choice(self.addresses)
                    self.wire.order(power_cut=address)
                    await asyncio.sleep(self.dice.uniform(0.0, 0.1))
                    self.wire.order(power_on=address)
            await asyncio.sleep(self.dice.uniform(0.0, 0.6))
        self.wire.order(set={"noise_per_s": 0, "lose": 0, "double": 0, "flip": 0})
        await self.all_up("everything")

    def _said(self, sender: str, last: int) -> list[list[Any]]:
        said: list[list[Any]] = self.wire.order(said=sender, last=last)["said"]
        return said

    def _changed(self, since_s: float, *, up: bool) -> bool:
        return any(
            at_s >= since_s and isinstance(event, BusChanged) and event.up == up
            for at_s, event in self.ledger.events
        )

    def faults(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """All of them, by name."""
        return {
            "noise": self.noise,
            "adapter": self.adapter,
            "late": self.late,
            "resets": self.resets,
            "babble": self.babble,
            "cut": self.cut,
            "short": self.short,
            "double": self.double,
            "forge": self.forge,
            "command_forged": self.command_forged,
            "unplug": self.unplug,
            "restart": self.restart,
        }
