"""Keypads and readers on the buses: what is typed to the panel, what the panel shows back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from edge.adapters.code_hash import hash_code
from edge.adapters.wall_clock import monotonic
from edge.bus.bus_types import CardRead, KeysPressed, NodeCommand, NodeId
from edge.config import PanelConfig
from edge.config_bus import NodeKind
from edge.panel.effects import Answer
from edge.panel.inputs import Action
from edge.panel.keypad import EnterCode, KeypadMachine, KeypadWish
from edge.panel.view import PanelView
from protocols.instants import NS_PER_S

ENTRIES: Final = 4
"""Codes of one keypad waiting to be judged; whoever types faster is not typing."""


class KeypadService:
    """All keypads of one panel. Everything here runs in the event loop's thread."""

    def __init__(
        self,
        config: PanelConfig,
        view: Callable[[], PanelView],
        enter: Callable[[str, Action], Awaitable[Answer]],
        order: Callable[[NodeId, NodeCommand], None],
    ) -> None:
        """`enter` has a hashed code judged, `order` moves LED and buzzer."""
        self._loop = asyncio.get_running_loop()
        self._salt = config.code_salt
        self._view = view
        self._enter = enter
        self._order = order
        self._keypads = {
            NodeId(bus.name, node.address): KeypadMachine(node.areas, config.code_digits)
            for bus in config.buses
            for node in bus.nodes
            if node.kind is NodeKind.KEYPAD
        }
        self._entries: dict[NodeId, asyncio.Queue[EnterCode]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._shown: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Judge what is entered, one entry of a keypad after the other."""
        for node in self._keypads:
            queue = self._entries[node] = asyncio.Queue[EnterCode](ENTRIES)
            self._tasks.append(self._loop.create_task(self._judge(node, queue)))

    def stop(self) -> None:
        """Nothing is judged or shown any more."""
        for task in self._tasks:
            task.cancel()
        for handle in (self._shown, self._timer):
            if handle is not None:
                handle.cancel()

    def entered(self, event: KeysPressed | CardRead) -> None:
        """Keys or a card at a node; a node that is no keypad by the file has no say."""
        keypad = self._keypads.get(event.node)
        if keypad is None:
            return
        now, view = monotonic(), self._view()
        if isinstance(event, KeysPressed):
            wishes = keypad.keys(event.keys, view, now)
        else:
            wishes = keypad.card(event.bits, event.data, view, now)
        self._carry(event.node, wishes)
        self._arm_timer()

    def came_up(self, node: NodeId) -> None:
        """It has forgotten what it showed."""
        keypad = self._keypads.get(node)
        if keypad is not None:
            self._carry(node, keypad.came_up(self._view(), monotonic()))
            self._arm_timer()

    def panel_moved(self) -> None:
        """Show it, once for all that happens in this turn of the loop."""
        if self._keypads and self._shown is None:
            self._shown = self._loop.call_soon(self._show)

    def _show(self) -> None:
        self._shown = None
        view, now = self._view(), monotonic()
        for node, keypad in self._keypads.items():
            self._carry(node, keypad.show(view, now))
        self._arm_timer()

    def _carry(self, node: NodeId, wishes: list[KeypadWish]) -> None:
        for wish in wishes:
            if not isinstance(wish, EnterCode):
                self._order(node, wish)
            elif node in self._entries and not self._entries[node].full():
                self._entries[node].put_nowait(wish)

    async def _judge(self, node: NodeId, queue: asyncio.Queue[EnterCode]) -> None:
        while True:
            entry = await queue.get()
            hashed = await asyncio.to_thread(hash_code, entry.code, self._salt)
            answer = await self._enter(hashed, entry.action)
            self._carry(node, self._keypads[node].answered(answer, monotonic()))
            self._arm_timer()

    def _arm_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        dues = [due for each in self._keypads.values() if (due := each.deadline()) is not None]
        if dues:
            wait_s = max(0.0, (min(dues) - monotonic()) / NS_PER_S)
            self._timer = self._loop.call_later(wait_s, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = monotonic()
        for node, keypad in self._keypads.items():
            self._carry(node, keypad.tick(now))
        self._arm_timer()
