"""The panel bridge as one process: the only place that knows the whole chain.

field -> panel -> journal -> reporting -> MQTT and phone. The panel's outputs are moved at once
(siren); its events wait for the journal's commit before they are told to anybody (rule 2).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from edge.adapters import watchdog
from edge.adapters.code_hash import hash_code
from edge.adapters.gpio_field import Field
from edge.adapters.local_socket import (
    BusAsked,
    BusCommandAsked,
    CodeEntered,
    LocalSocket,
    PanelStatus,
    PathStatus,
    PhoneAsked,
    PhoneReleaseAsked,
    PhoneTestAsked,
    Reply,
    Request,
    StatusAsked,
    action_of,
    status_of,
)
from edge.adapters.wall_clock import WallClock, monotonic
from edge.bus.bus_types import NodeCommand, NodeId
from edge.bus.node_fault import NodeFault
from edge.bus_service import BusService
from edge.config import PanelConfig
from edge.field.pairs import Pairs
from edge.field.reading import Reading, ReadingState
from edge.journal.record_types import OwedKey, Stored
from edge.journal_thread import JournalThread
from edge.keypad_service import KeypadService
from edge.mqtt_reporting import MQTT, MqttReporting
from edge.panel.effects import Answer, Effect, Emit, SetOutput
from edge.panel.inputs import (
    Action,
    Booted,
    CodeEntry,
    Fault,
    LocalTime,
    PanelInput,
    PathChanged,
)
from edge.panel.panel import Panel
from edge.phone_reporting import PHONE, PhoneReporting
from edge.reporting.reporter import Owe
from protocols.instants import NS_PER_S, Instant
from protocols.mqtt import payloads
from protocols.panel_event import Code, PanelEvent

log = logging.getLogger(__name__)

ORDERLY: Final = "ended.orderly"
PHONE_LINE: Final = "phone_line"
HOUSEKEEPING_S: Final = 30.0


class Say(Protocol):
    """Tells whoever watches the process: `say("ready", panel="shop-1")`."""

    def __call__(self, kind: str, **fields: object) -> None:
        """`kind` names what happened, `fields` tell more."""


class PanelBridge:
    """Wires the chain and drives it. `run` returns after `stop` is set and all is on disk."""

    def __init__(self, config: PanelConfig, base: Path, data: Path, say: Say) -> None:
        """`base`: where file names in the configuration start. `data`: journal and sockets."""
        self._config = config
        self._base = base
        self._data = data
        self._say = say
        self._boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        self._started = time.monotonic()
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._token = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._mqtt: MqttReporting | None = None
        self._phone: PhoneReporting | None = None
        self._line_voltage: bool | None = None
        """What the monitor of the phone line's voltage said last; None: there is none."""

    # -- life ----------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything, serve until `stop`, leave the journal closed and the outputs safe."""
        self._loop = asyncio.get_running_loop()
        self._data.mkdir(parents=True, exist_ok=True)
        config = self._config
        paths = ((MQTT,) if config.mqtt else ()) + ((PHONE,) if config.phone else ())
        self._journal = JournalThread(config, self._data, self._boot, paths)
        opened = await self._journal.open()
        now = monotonic()
        self._clock = WallClock(config, self._data, self.emit, self.feed)
        self._panel, effects = Panel.restore(
            config,
            opened.snapshot,
            now,
            same_boot=opened.same_boot,
            lost=opened.snapshot_lost,
        )
        self._journal.begin(self._clock.stamp, self._panel.snapshot, self._stored)
        self._pairs = Pairs(config)
        self._field = Field(config, self._data, self._loop, self._from_field)
        self._keypads = KeypadService(config, self._panel.view, self._enter, self._order_node)
        self._buses = BusService(
            config,
            self._data,
            self._from_bus,
            self._keypads.entered,
            self._keypads.came_up,
            self._journal.stored,
        )
        self._field.start()
        self.feed(Booted(self._boot, opened.same_boot, self._how_it_ended(opened.seq)))
        self._keypads.start()
        self._buses.start()
        for event in opened.faults:
            self.emit(event)
        self._carry(effects)
        await self._clock.ask()
        store = self._journal.store
        owed = None
        work: list[tuple[str, Callable[[], Coroutine[Any, Any, None]]]] = []
        if config.mqtt is not None:
            mqtt = MqttReporting(
                config, config.mqtt, self._boot, self._base, self._journal, self, self._heartbeat
            )
            owed = tuple(await self._journal.on_disk(lambda: store.owed(MQTT)))
            self._mqtt = mqtt
            mqtt.start(opened, owed)
            work.append(("sender", mqtt.send_in_order))
        if config.phone is not None:
            self._phone = PhoneReporting(
                config, config.phone, self._data, self._boot, self._journal, self
            )
            await self._phone.start(owed)
            if self._line_voltage is not None:
                self._phone.voltage(present=self._line_voltage)
        local = LocalSocket(self._data / "panel.sock", self._answer_local)
        await local.start()
        for name, serve in (
            ("journal", self._journal.keep),
            *work,
            ("clock", self._clock.run),
            ("housekeeping", self._keep_house),
            ("watchdog", self._feed_watchdog),
        ):
            self._tasks.append(self._loop.create_task(self._supervise(name, serve), name=name))
        self._say("ready", panel=config.id, epoch=opened.epoch, seq=opened.seq)
        watchdog.notify("READY=1")
        await stop.wait()
        watchdog.notify("STOPPING=1")
        await local.stop()
        self.emit(PanelEvent(Code.PANEL_SHUTDOWN, detail="ordered"))
        await self._journal.flush()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for path in (self._mqtt, self._phone):
            if path is not None:
                path.stop()
        self._keypads.stop()
        self._buses.stop()
        self._field.stop()
        await self._journal.close()
        (self._data / ORDERLY).touch()

    def _how_it_ended(self, seq: int) -> str:
        """Was the last run ended by order, or by power, kill or crash?"""
        mark = self._data / ORDERLY
        orderly = mark.exists()
        mark.unlink(missing_ok=True)
        return "first_start" if seq == 0 else "orderly" if orderly else "cut_off"

    async def _supervise(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """A task that ends is reported and begins anew; none takes another down (users.md E2)."""
        while True:
            try:
                await work()
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.exception("task %s ended", name)
                self.feed(Fault(Code.TASK_RESTARTED, True, f"{name}:{type(error).__name__}"))
            await asyncio.sleep(1)

    # -- the chain -----------------------------------------------------------------------------

    def _from_field(self, reading: Reading, _at: Instant) -> None:
        if reading.point == PHONE_LINE:
            self._line_voltage = reading.state is ReadingState.NORMAL
            if self._phone is not None:
                self._phone.voltage(present=self._line_voltage)
            return
        for told in self._pairs.receive(reading, monotonic()):
            self.feed(told)

    def _order_node(self, node: NodeId, command: NodeCommand) -> None:
        self._buses.order(node, command)

    def _from_bus(self, told: Reading | NodeFault) -> None:
        if isinstance(told, NodeFault):
            self.feed(told)
        else:
            self._from_field(told, monotonic())

    def feed(self, given: PanelInput) -> None:
        """Give the panel machine this."""
        self._carry(self._panel.receive(given, monotonic()))
        if not isinstance(given, LocalTime):
            self._journal.touch()
        self._arm_timer()

    def _carry(self, effects: list[Effect]) -> None:
        if effects:
            self._keypads.panel_moved()
        for effect in effects:
            match effect:
                case Emit(event):
                    self.emit(event)
                case SetOutput(role, on):
                    self._field.set_output(role, on)
                case Answer(token=token):
                    waiting = self._answers.pop(token, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(effect)

    def emit(self, event: PanelEvent) -> None:
        """Keep this and report it."""
        self._journal.record(event)

    def _stored(self, made: Sequence[tuple[Stored, PanelEvent]]) -> None:
        """Committed: now it may be told."""
        if self._mqtt is not None:
            self._mqtt.report(Owe(tuple(item.key for item, _ in made)))
        if self._phone is not None:
            self._phone.stored(made)

    def acknowledged(self, path: str, keys: tuple[OwedKey, ...]) -> None:
        """The collector holds these by `path`."""
        self._journal.acknowledge(path, keys)
        if path == MQTT and self._phone is not None:
            self._phone.acknowledged_elsewhere(keys)

    def path_changed(self, change: PathChanged) -> None:
        """A path is lost or back: an event, told on the other one too (users.md M2)."""
        self.feed(change)
        if change.path == MQTT and self._phone is not None:
            self._phone.mqtt_path(up=change.up)

    def reissued(self, stored: tuple[Stored, ...], epoch: int, upto: int) -> None:
        """Records live on under new numbers, owed on every path."""
        if self._mqtt is not None:
            self._mqtt.report(Owe(tuple(item.key for item in stored)))
        if self._phone is not None:
            self._phone.reissued(stored, epoch, upto)

    def _tick(self) -> None:
        now = monotonic()
        self._carry(self._panel.tick(now))
        self._arm_timer()

    def _arm_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._panel.deadline()
        if due is not None:
            wait_s = max(0.0, (due - monotonic()) / NS_PER_S)
            self._timer = self._loop.call_later(wait_s, self._tick)

    def _heartbeat(self) -> bytes:
        stamp = self._clock.stamp()[1]
        head = self._journal.store.newest()
        mqtt = self._mqtt
        assert mqtt is not None
        assert self._config.mqtt is not None
        return msgspec.json.encode(
            payloads.Heartbeat(
                panel=self._config.id,
                boot=self._boot,
                epoch=head.epoch,
                seq=head.seq,
                digest=head.digest,
                floor=self._journal.store.floor(head.epoch),
                owed=mqtt.owed(),
                period_s=self._config.mqtt.heartbeat_s,
                uptime_s=round(time.monotonic() - self._started, 3),
                version=version("tocsin"),
                session=mqtt.session,
                clock=self._clock.state,
                utc=stamp.utc,
                err_us=stamp.err_us,
                areas={str(area): mode for area, mode in self._panel.modes().items()},
                faults=[*self._panel.faults(), *self._shell_faults()][:64],
                bypassed=list(self._panel.bypassed()),
                phone=None if self._phone is None else self._phone.beat(),
            )
        )

    # -- clock, housekeeping, watchdog ---------------------------------------------------------

    async def _keep_house(self) -> None:
        full = False
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            store = self._journal.store
            while await self._journal.on_disk(store.rotate):
                pass
            usage = await self._journal.on_disk(store.usage)
            if (usage >= 0.9) is not full:
                full = usage >= 0.9
                self.feed(Fault(Code.JOURNAL_90_FULL, full, f"{usage:.0%}"))

    async def _feed_watchdog(self) -> None:
        """Fed only while the loop turns and the journal thread answers (users.md P1)."""
        period_s = watchdog.interval_s() or 5.0
        while True:
            await asyncio.wait_for(self._journal.on_disk(lambda: None), timeout=4 * period_s)
            if all(not task.done() for task in self._tasks):
                watchdog.notify("WATCHDOG=1")
            await asyncio.sleep(period_s)

    # -- people on the spot --------------------------------------------------------------------

    async def _answer_local(self, request: Request) -> Reply:
        match request:
            case StatusAsked():
                return Reply(ok=True, status=self._status())
            case PhoneAsked(after=after):
                return self._about_phone(after)
            case PhoneTestAsked(by=by):
                if self._phone is not None:
                    self._phone.test_call(by)
                return self._about_phone(1 << 60)
            case PhoneReleaseAsked(by=by):
                if self._phone is not None and not self._phone.release(by):
                    return Reply(ok=False, reason="not_listening")
                return self._about_phone(1 << 60)
            case BusAsked():
                return Reply(ok=True, buses=self._buses.statistics())
            case BusCommandAsked():
                return await self._buses.asked(request)
            case CodeEntered():
                action = action_of(request)
                if action is None:
                    return Reply(ok=False, reason=f"no such action: {request.action}")
                hashed = await asyncio.to_thread(hash_code, request.code, self._config.code_salt)
                got = await self._enter(hashed, action)
                reason = got.reason.value if got.reason is not None else ""
                return Reply(ok=got.ok, reason=reason, zones=got.zones)

    async def _enter(self, hashed: str, action: Action) -> Answer:
        """Have the panel judge a code."""
        self._token += 1
        answer: asyncio.Future[Answer] = self._loop.create_future()
        self._answers[self._token] = answer
        self.feed(CodeEntry(hashed, action, self._token))
        return await asyncio.wait_for(answer, 10)

    def _about_phone(self, after: int) -> Reply:
        if self._phone is None:
            return Reply(ok=False, reason="no_phone")
        return Reply(ok=True, phone=self._phone.status(after))

    def _shell_faults(self) -> list[str]:
        """Faults of inputs and journal, which the panel machine does not see."""
        trouble = self._journal.trouble
        journal = [f"journal {trouble}"] if trouble else []
        return [*journal, *self._field.faults()]

    def _paths(self) -> dict[str, PathStatus]:
        found: dict[str, PathStatus] = {}
        if self._mqtt is not None:
            mqtt = self._mqtt
            found[MQTT] = PathStatus("up" if mqtt.up else "down", mqtt.cause, mqtt.owed())
        if self._phone is not None:
            phone = self._phone.status(1 << 60)
            state = {True: "up", False: "down", None: "untried"}[phone.up]
            found[PHONE] = PathStatus(state, phone.cause, phone.owed)
        return found

    def _status(self) -> PanelStatus:
        head = self._journal.store.newest()
        return status_of(
            self._config,
            self._panel.view(),
            epoch=head.epoch,
            seq=head.seq,
            clock=self._clock.state,
            paths=self._paths(),
            shell_faults=self._shell_faults(),
        )
