"""The MQTT path of the panel: carries out what the Reporter decides (`edge/reporting`)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, Protocol

import msgspec

from edge.adapters.mqtt_delivery import CertificateNotice, CommandArrived, Delivery
from edge.adapters.mqtt_paho import MqttPath
from edge.adapters.wall_clock import monotonic
from edge.config import MqttConfig, PanelConfig
from edge.journal.record_types import Opened, OwedKey, Stored
from edge.journal_thread import JournalThread, Place
from edge.panel.inputs import Fault, PanelInput, PathChanged, RemoteTest, StandDown
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
from protocols.instants import NS_PER_S
from protocols.mqtt import payloads, topics
from protocols.panel_event import Code, PanelEvent

MQTT: Final = "mqtt"


class Host(Protocol):
    """What a path needs of the panel bridge."""

    def feed(self, given: PanelInput) -> None:
        """For the panel machine."""

    def emit(self, event: PanelEvent) -> None:
        """For the journal."""

    def acknowledged(self, path: str, keys: tuple[OwedKey, ...]) -> None:
        """The collector holds these."""

    def path_changed(self, change: PathChanged) -> None:
        """A path's end-to-end truth changed."""

    def reissued(self, stored: tuple[Stored, ...], epoch: int, upto: int) -> None:
        """Records of `epoch` up to `upto` live on under new numbers, owed on every path."""


class MqttReporting:
    """Reporter, MQTT client, and the journal's bytes on their way out."""

    def __init__(
        self,
        config: PanelConfig,
        mqtt: MqttConfig,
        boot: str,
        base: Path,
        journal: JournalThread,
        host: Host,
        heartbeat: Callable[[], bytes],
    ) -> None:
        """`base`: where file names in the configuration start."""
        self._config = config
        self._journal = journal
        self._host = host
        self._heartbeat = heartbeat
        self._loop = asyncio.get_running_loop()
        self._reporter = Reporter(mqtt, config.id)
        self._path = MqttPath(mqtt, config.id, boot, base, self._loop, self._from_path)
        self._sends: asyncio.Queue[Send] = asyncio.Queue()
        self._timer: asyncio.TimerHandle | None = None
        self._loose: set[asyncio.Task[None]] = set()
        self._certificate_troubles: dict[str, str] = {}
        self.up = False
        self.cause = LinkCause.NOT_STARTED.value

    @property
    def session(self) -> str:
        """Of the connection that is up."""
        return self._path.session

    def owed(self) -> int:
        """How many Records the collector has not acknowledged."""
        return self._reporter.owed()

    def start(self, opened: Opened, owed: tuple[OwedKey, ...]) -> None:
        """Connect; `owed` is all the journal says."""
        self.report(Newest(opened.epoch, opened.seq, opened.head))
        self.report(Owe(owed))
        self._path.start()

    def stop(self) -> None:
        """Hang up."""
        if self._timer is not None:
            self._timer.cancel()
        self._path.stop()

    # -- the machine -----------------------------------------------------------------------------

    def report(self, given: ReporterInput) -> None:
        """Give the Reporter this."""
        for effect in self._reporter.receive(given, monotonic()):
            self._carry(effect)
        self._arm()

    def _carry(self, effect: ReporterEffect) -> None:
        match effect:
            case Send():
                self._send(effect)
            case Acknowledged(keys):
                self._host.acknowledged(MQTT, keys)
            case HeartbeatDue():
                self._path.publish(topics.HEARTBEAT, self._heartbeat())
            case PathState(up, cause):
                self.up, self.cause = up, cause
                self._host.path_changed(PathChanged(MQTT, up, cause))
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
        for effect in self._reporter.tick(monotonic()):
            self._carry(effect)
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._reporter.deadline()
        if due is not None:
            wait_s = max(0.0, (due - monotonic()) / NS_PER_S)
            self._timer = self._loop.call_later(wait_s, self._tick)

    # -- bytes on their way out ------------------------------------------------------------------

    def _send(self, send: Send) -> None:
        if self._sends.empty() and self._publish(send.keys, {}):
            return
        self._sends.put_nowait(send)

    def _publish(self, keys: tuple[OwedKey, ...], read: dict[Place, bytes]) -> bool:
        raws = []
        for key in keys:
            raw = self._journal.kept_raw(key) or read.get((key.epoch, key.seq))
            if raw is None:
                return False
            raws.append(raw)
        for payload in pack(raws):
            self._path.publish(topics.REPORT, payload)
        return True

    async def send_in_order(self) -> None:
        """Serve for ever: what the memory does not hold any more is read first."""
        while True:
            send = await self._sends.get()
            read = await self._journal.raws(send.keys)
            known = tuple(key for key in send.keys if (key.epoch, key.seq) in read)
            if known:
                self._publish(known, read)

    async def _owe_again(self, asked: payloads.Resend) -> None:
        store = self._journal.store
        keys = await self._journal.on_disk(
            lambda: store.held(MQTT, asked.epoch, asked.first, asked.last)
        )
        self.report(ResendFound(asked, tuple(keys)))

    async def _find_digest(self, epoch: int, seq: int) -> None:
        store = self._journal.store
        digest = await self._journal.on_disk(lambda: store.digest_at(epoch, seq))
        self.report(DigestFound(epoch, seq, digest))

    async def _roll_back(self, epoch: int, upto: int, head: str) -> None:
        store = self._journal.store
        rollback = await self._journal.on_disk(lambda: store.rolled_back(epoch, upto, head))
        if rollback.reissued:
            self.report(Repeated(epoch, upto))
            self._host.reissued(rollback.reissued, epoch, upto)
        for event in rollback.faults:
            self._host.emit(event)

    # -- the path --------------------------------------------------------------------------------

    def _from_path(self, given: Delivery) -> None:
        match given:
            case LinkUp():
                self._certificate("link", None)
                card = msgspec.json.encode(site_card(self._config))
                self._path.publish(topics.SITE_CARD, card)
                self.report(given)
            case CommandArrived(command):
                self._obey(command)
            case LinkDown(cause=cause):
                if cause.of_certificate:
                    self._certificate("link", cause)
                self.report(given)
            case CertificateNotice(cause=own):
                self._certificate("own", own)
            case AckArrived():
                self.report(given)

    def _certificate(self, source: str, cause: LinkCause | None) -> None:
        """One clear trouble for each cause that waiting will not mend (issue: no crash loop)."""
        before = set(self._certificate_troubles.values())
        if cause is None:
            self._certificate_troubles.pop(source, None)
        else:
            self._certificate_troubles[source] = cause.value
        after = set(self._certificate_troubles.values())
        for gone in before - after:
            self._host.feed(Fault(Code.CERTIFICATE_FAULT, False, gone))
        for come in after - before:
            self._host.feed(Fault(Code.CERTIFICATE_FAULT, True, come))

    def _obey(self, command: payloads.Command) -> None:
        match command:
            case payloads.Resend():
                self.report(ResendAsked(command))
            case payloads.StandDown(area, operator, case):
                self._host.feed(StandDown(area, operator, case))
            case payloads.SendTest(operator):
                self._host.feed(RemoteTest(operator))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._loose.add(task)
        task.add_done_callback(self._loose.discard)
