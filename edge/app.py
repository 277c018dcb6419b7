"""The panel bridge as one process: the only place that knows the whole chain.

field -> panel -> journal -> reporter -> MQTT. The panel's outputs are moved at once (siren); its
events wait for the journal's commit before they are told to anybody (rule 2). The journal has a
thread of its own, fed by load: what gathers during one commit goes into the next.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

import msgspec

from edge.adapters import watchdog
from edge.adapters.code_hash import hash_code
from edge.adapters.gpio_field import Field
from edge.adapters.journal_sqlite import JournalStore
from edge.adapters.local_socket import (
    CodeEntered,
    LocalSocket,
    PanelStatus,
    Reply,
    Request,
    StatusAsked,
    action_of,
    status_of,
)
from edge.adapters.mqtt_delivery import CertificateNotice, CommandArrived, Delivery
from edge.adapters.mqtt_paho import MqttPath
from edge.adapters.wall_clock import WallClock, monotonic
from edge.config import PanelConfig
from edge.field.reading import Reading
from edge.journal.record_types import OwedKey, Stamped
from edge.panel.effects import Answer, Effect, Emit, SetOutput
from edge.panel.inputs import (
    Booted,
    CodeEntry,
    Fault,
    LocalTime,
    PanelInput,
    PathChanged,
    RemoteTest,
    StandDown,
)
from edge.panel.panel import Panel
from edge.reporting.path_causes import LinkCause
from edge.reporting.report_batch import pack
from edge.reporting.reporter import (
    AckArrived,
    Acknowledged,
    AskDigest,
    DigestFound,
    HeartbeatDue,
    LinkDown,
    LinkUp,
    Newest,
    Owe,
    PathState,
    Reconnect,
    ReOwe,
    Repeated,
    Reporter,
    ReporterEffect,
    ReporterInput,
    ResendAsked,
    ResendFound,
    RolledBack,
    Send,
    SendUnavailable,
)
from edge.reporting.site_card import site_card
from protocols.instants import NS_PER_S, Instant
from protocols.mqtt import payloads, topics
from protocols.panel_event import Code, PanelEvent, Qualifier

log = logging.getLogger(__name__)

T = TypeVar("T")
MQTT: Final = "mqtt"
ORDERLY: Final = "ended.orderly"
RAW_KEPT: Final = 4096
"""Newest Records kept in memory, so that the hot path does not read back what it just wrote."""
ACK_LINGER_S: Final = 0.05
"""Acknowledgements gather so long: losing one costs a resend, a commit each costs the card."""
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
        self._disk = ThreadPoolExecutor(1, "journal")
        self._pending: list[Stamped] = []
        self._acked: list[OwedKey] = []
        self._raw: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._dirty = False
        self._work = asyncio.Event()
        self._sends: asyncio.Queue[Send] = asyncio.Queue()
        self._answers: dict[int, asyncio.Future[Answer]] = {}
        self._token = 0
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._loose: set[asyncio.Task[None]] = set()
        self._path_up = False
        self._journal_trouble = ""
        self._certificate_troubles: dict[str, str] = {}

    # -- life ----------------------------------------------------------------------------------

    async def run(self, stop: asyncio.Event) -> None:
        """Start everything, serve until `stop`, leave the journal closed and the outputs safe."""
        self._loop = asyncio.get_running_loop()
        self._data.mkdir(parents=True, exist_ok=True)
        config = self._config
        self._store = await self._on_disk(
            lambda: JournalStore.open(config.journal, self._data, config.id, self._boot)
        )
        opened = self._store.opened
        now = monotonic()
        self._clock = WallClock(config, self._data, self._emit, self._feed)
        self._reporter = Reporter(config.mqtt, config.id)
        self._panel, effects = Panel.restore(
            config,
            opened.snapshot,
            now,
            same_boot=opened.same_boot,
            lost=opened.snapshot_lost,
        )
        self._path = MqttPath(
            config.mqtt, config.id, self._boot, self._base, self._loop, self._from_path
        )
        self._field = Field(config, self._data, self._loop, self._from_field)
        self._field.start()
        self._feed(Booted(self._boot, opened.same_boot, self._how_it_ended(opened.seq)))
        for event in opened.faults:
            self._emit(event)
        self._carry(effects)
        await self._clock.ask()
        self._report(Newest(opened.epoch, opened.seq, opened.head))
        self._report(Owe(tuple(await self._on_disk(lambda: self._store.owed(MQTT)))))
        self._path.start()
        local = LocalSocket(self._data / "panel.sock", self._answer_local)
        await local.start()
        for name, work in (
            ("journal", self._keep_journal),
            ("sender", self._send_in_order),
            ("clock", self._clock.run),
            ("housekeeping", self._keep_house),
            ("watchdog", self._feed_watchdog),
        ):
            self._tasks.append(self._loop.create_task(self._supervise(name, work), name=name))
        self._say("ready", panel=config.id, epoch=opened.epoch, seq=opened.seq)
        watchdog.notify("READY=1")
        await stop.wait()
        watchdog.notify("STOPPING=1")
        await local.stop()
        self._emit(PanelEvent(Code.PANEL_SHUTDOWN, detail="ordered"))
        await self._flush()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._path.stop()
        self._field.stop()
        await self._on_disk(self._store.close)
        self._disk.shutdown()
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
                self._feed(Fault(Code.TASK_RESTARTED, True, f"{name}:{type(error).__name__}"))
            await asyncio.sleep(1)

    def _on_disk(self, work: Callable[[], T]) -> asyncio.Future[T]:
        return self._loop.run_in_executor(self._disk, work)

    # -- the chain -----------------------------------------------------------------------------

    def _from_field(self, reading: Reading, at: Instant) -> None:
        self._feed(reading)

    def _feed(self, given: PanelInput) -> None:
        self._carry(self._panel.receive(given, monotonic()))
        if not isinstance(given, LocalTime):
            self._dirty = True
            self._work.set()
        self._arm_timer()

    def _carry(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Emit(event):
                    self._emit(event)
                case SetOutput(role, on):
                    self._field.set_output(role, on)
                case Answer(token=token):
                    waiting = self._answers.pop(token, None)
                    if waiting is not None and not waiting.done():
                        waiting.set_result(effect)

    def _emit(self, event: PanelEvent) -> None:
        mono, stamp = self._clock.stamp()
        self._pending.append(Stamped(event, mono, stamp.utc, stamp.err_us))
        self._dirty = True
        self._work.set()

    def _report(self, given: ReporterInput) -> None:
        for effect in self._reporter.receive(given, monotonic()):
            self._carry_report(effect)
        self._arm_timer()

    def _carry_report(self, effect: ReporterEffect) -> None:
        match effect:
            case Send():
                self._send(effect)
            case Acknowledged(keys):
                self._acked.extend(keys)
                self._loop.call_later(ACK_LINGER_S, self._work.set)
            case HeartbeatDue():
                self._path.publish(topics.HEARTBEAT, self._heartbeat())
            case PathState(up, cause):
                self._path_up = up
                self._feed(PathChanged(MQTT, up, cause))
            case Reconnect(cause):
                self._path.reconnect(cause)
            case ReOwe(resend):
                self._spawn(self._owe_again(resend))
            case AskDigest(epoch, seq):
                self._spawn(self._find_digest(epoch, seq))
            case SendUnavailable(epoch, first, last, reason):
                gone = payloads.Unavailable(self._config.id, epoch, first, last, reason)
                self._path.publish(topics.UNAVAILABLE, msgspec.json.encode(gone))
            case RolledBack(epoch, upto, head):
                self._spawn(self._roll_back(epoch, upto, head))

    def _tick(self) -> None:
        now = monotonic()
        self._carry(self._panel.tick(now))
        for effect in self._reporter.tick(now):
            self._carry_report(effect)
        self._arm_timer()

    def _arm_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = [d for d in (self._panel.deadline(), self._reporter.deadline()) if d is not None]
        if due:
            wait_s = max(0.0, (min(due) - monotonic()) / NS_PER_S)
            self._timer = self._loop.call_later(wait_s, self._tick)

    # -- journal thread ------------------------------------------------------------------------

    async def _keep_journal(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            await self._flush()

    async def _flush(self) -> None:
        """Commit what gathered, then tell the reporter; acknowledgements go last."""
        while self._pending or self._dirty:
            batch, self._pending = self._pending, []
            self._dirty = False
            snapshot = self._panel.snapshot()
            try:
                stored = await self._on_disk(partial(self._store.append, batch, snapshot))
            except BaseException:
                self._pending[:0] = batch  # a bug of ours or our end: what happened stays owed
                raise
            for item in stored:
                self._raw[item.key.epoch, item.key.seq] = item.raw
            while len(self._raw) > RAW_KEPT:
                self._raw.popitem(last=False)
            if stored:
                self._report(Owe(tuple(item.key for item in stored)))
            for event in self._store.faults():
                if event.code == Code.JOURNAL_FAULT:
                    self._journal_trouble = event.detail if event.q is Qualifier.NEW else ""
                self._emit(event)
        if self._acked:
            acked, self._acked = self._acked, []
            await self._on_disk(lambda: self._store.acknowledge(MQTT, acked))

    def _send(self, send: Send) -> None:
        if self._sends.empty() and self._publish(send.keys, {}):
            return
        self._sends.put_nowait(send)

    def _publish(self, keys: tuple[OwedKey, ...], read: dict[tuple[int, int], bytes]) -> bool:
        raws = []
        for key in keys:
            raw = self._raw.get((key.epoch, key.seq)) or read.get((key.epoch, key.seq))
            if raw is None:
                return False
            raws.append(raw)
        for payload in pack(raws):
            self._path.publish(topics.REPORT, payload)
        return True

    async def _send_in_order(self) -> None:
        while True:
            send = await self._sends.get()
            missing = [key for key in send.keys if (key.epoch, key.seq) not in self._raw]
            raws = await self._on_disk(partial(self._store.read, missing))
            read = {
                (key.epoch, key.seq): raw
                for key, raw in zip(missing, raws, strict=True)
                if raw is not None
            }
            known = tuple(
                k for k in send.keys if (k.epoch, k.seq) in read or (k.epoch, k.seq) in self._raw
            )
            if known:
                self._publish(known, read)

    async def _owe_again(self, asked: payloads.Resend) -> None:
        keys = await self._on_disk(
            lambda: self._store.held(MQTT, asked.epoch, asked.first, asked.last)
        )
        self._report(ResendFound(asked, tuple(keys)))

    async def _find_digest(self, epoch: int, seq: int) -> None:
        digest = await self._on_disk(lambda: self._store.digest_at(epoch, seq))
        self._report(DigestFound(epoch, seq, digest))

    async def _roll_back(self, epoch: int, upto: int, head: str) -> None:
        rollback = await self._on_disk(lambda: self._store.rolled_back(epoch, upto, head))
        if rollback.reissued:
            self._report(Repeated(epoch, upto))
            self._report(Owe(tuple(item.key for item in rollback.reissued)))
        for event in rollback.faults:
            self._emit(event)

    # -- the path ------------------------------------------------------------------------------

    def _from_path(self, given: Delivery) -> None:
        match given:
            case LinkUp():
                self._certificate("link", None)
                card = msgspec.json.encode(site_card(self._config))
                self._path.publish(topics.SITE_CARD, card)
                self._report(given)
            case CommandArrived(command):
                self._obey(command)
            case LinkDown(cause=cause):
                if cause.of_certificate:
                    self._certificate("link", cause)
                self._report(given)
            case CertificateNotice(cause=own):
                self._certificate("own", own)
            case AckArrived():
                self._report(given)

    def _certificate(self, source: str, cause: LinkCause | None) -> None:
        """One clear trouble for each cause that waiting will not mend (issue: no crash loop)."""
        before = set(self._certificate_troubles.values())
        if cause is None:
            self._certificate_troubles.pop(source, None)
        else:
            self._certificate_troubles[source] = cause.value
        after = set(self._certificate_troubles.values())
        for gone in before - after:
            self._feed(Fault(Code.CERTIFICATE_FAULT, False, gone))
        for come in after - before:
            self._feed(Fault(Code.CERTIFICATE_FAULT, True, come))

    def _obey(self, command: payloads.Command) -> None:
        match command:
            case payloads.Resend():
                self._report(ResendAsked(command))
            case payloads.StandDown(area, operator, case):
                self._feed(StandDown(area, operator, case))
            case payloads.SendTest(operator):
                self._feed(RemoteTest(operator))

    def _heartbeat(self) -> bytes:
        stamp = self._clock.stamp()[1]
        head = self._store.newest()
        return msgspec.json.encode(
            payloads.Heartbeat(
                panel=self._config.id,
                boot=self._boot,
                epoch=head.epoch,
                seq=head.seq,
                digest=head.digest,
                floor=self._store.floor(head.epoch),
                owed=self._reporter.owed(),
                period_s=self._config.mqtt.heartbeat_s,
                uptime_s=round(time.monotonic() - self._started, 3),
                version=version("tocsin"),
                session=self._path.session,
                clock=self._clock.state,
                utc=stamp.utc,
                err_us=stamp.err_us,
                areas={str(area): mode for area, mode in self._panel.modes().items()},
                faults=[*self._panel.faults(), *self._shell_faults()][:64],
                bypassed=list(self._panel.bypassed()),
            )
        )

    # -- clock, housekeeping, watchdog ---------------------------------------------------------

    async def _keep_house(self) -> None:
        full = False
        while True:
            await asyncio.sleep(HOUSEKEEPING_S)
            while await self._on_disk(self._store.rotate):
                pass
            usage = await self._on_disk(self._store.usage)
            if (usage >= 0.9) is not full:
                full = usage >= 0.9
                self._feed(Fault(Code.JOURNAL_90_FULL, full, f"{usage:.0%}"))

    async def _feed_watchdog(self) -> None:
        """Fed only while the loop turns and the journal thread answers (users.md P1)."""
        period_s = watchdog.interval_s() or 5.0
        while True:
            await asyncio.wait_for(self._on_disk(lambda: None), timeout=4 * period_s)
            if all(not task.done() for task in self._tasks):
                watchdog.notify("WATCHDOG=1")
            await asyncio.sleep(period_s)

    # -- people on the spot --------------------------------------------------------------------

    async def _answer_local(self, request: Request) -> Reply:
        match request:
            case StatusAsked():
                return Reply(ok=True, status=self._status())
            case CodeEntered():
                action = action_of(request)
                if action is None:
                    return Reply(ok=False, reason=f"no such action: {request.action}")
                hashed = await asyncio.to_thread(hash_code, request.code, self._config.code_salt)
                self._token += 1
                answer: asyncio.Future[Answer] = self._loop.create_future()
                self._answers[self._token] = answer
                self._feed(CodeEntry(hashed, action, self._token))
                got = await asyncio.wait_for(answer, 10)
                reason = got.reason.value if got.reason is not None else ""
                return Reply(ok=got.ok, reason=reason, zones=got.zones)

    def _shell_faults(self) -> list[str]:
        """Faults of inputs and journal, which the panel machine does not see."""
        journal = [f"journal {self._journal_trouble}"] if self._journal_trouble else []
        return [*journal, *self._field.faults()]

    def _status(self) -> PanelStatus:
        head = self._store.newest()
        return status_of(
            self._config,
            self._panel.view(),
            epoch=head.epoch,
            seq=head.seq,
            owed=self._reporter.owed(),
            clock=self._clock.state,
            path="up" if self._path_up else "down",
            shell_faults=self._shell_faults(),
        )

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)
