"""The phone path of the panel: carries out what the Dialler decides (`edge/reporting/phone`)."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from edge.adapters.line_modem import ModemLine
from edge.adapters.line_socket import SocketLine
from edge.adapters.local_socket import PhoneStatus, PhoneStep
from edge.adapters.wall_clock import monotonic
from edge.config import PanelConfig
from edge.config_phone import LineDriver, PhoneConfig, PolicyKind
from edge.journal.record_types import OwedKey, Stored
from edge.journal_thread import JournalThread
from edge.mqtt_reporting import Host
from edge.panel.inputs import Fault, PathChanged
from edge.reporting.phone.call_types import Cause, Ended, Note
from edge.reporting.phone.dialler import Dialler
from edge.reporting.phone.dialler_types import (
    CallAsked,
    Calling,
    DiallerEffect,
    DiallerInput,
    Elsewhere,
    EndListenIn,
    Forget,
    JournalEvent,
    Keep,
    LineVoltage,
    Memory,
    MqttPath,
    NotCommunicated,
    OwePhone,
    Reportable,
    Settled,
)
from edge.reporting.phone.line import Line, LineInput, LineStatus, Release
from edge.reporting.reporter_types import PathState
from protocols.instants import NS_PER_S, Instant
from protocols.mqtt.payloads import PhoneState, Record
from protocols.panel_event import Code, PanelEvent

log = logging.getLogger(__name__)

PHONE: Final = "phone"
MEMORY: Final = "phone.state"
LOG_KEPT: Final = 400
BROKEN_MAX_S: Final = 60.0


class _Kept(msgspec.Struct, frozen=True):
    """The state file."""

    boot: str
    memory: Memory


class PhoneReporting:
    """Dialler and line. What a call did is kept as steps, for status and test calls."""

    def __init__(
        self,
        config: PanelConfig,
        phone: PhoneConfig,
        data: Path,
        boot: str,
        journal: JournalThread,
        host: Host,
    ) -> None:
        self._phone = phone
        self._boot = boot
        self._file = data / MEMORY
        self._journal = journal
        self._host = host
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._steps: deque[PhoneStep] = deque(maxlen=LOG_KEPT)
        self._counted = 0
        self._stopped = False
        self._seed = int.from_bytes(hashlib.sha256(config.id.encode()).digest()[:8], "big")
        self._with_mqtt = config.mqtt is not None
        self._taken_up = False
        """The dialler knows all that the journal owes."""
        self._states: dict[type, DiallerInput] = {}
        """What the surroundings said last, for a dialler that begins anew."""
        self._dialler = self._new_dialler()
        self._broken = 0
        """Times the machine raised."""
        self._work: set[asyncio.Task[None]] = set()
        self._line = self._open(data)

    def _new_dialler(self) -> Dialler:
        memory = read_memory(self._file, self._boot)
        return Dialler(self._phone, self._seed, memory, mqtt=self._with_mqtt)

    def _open(self, data: Path) -> Line:
        line = self._phone.line
        if line.driver is LineDriver.MODEM:
            return ModemLine(line, self._loop, self._from_line)
        return SocketLine(line, data, self._loop, self._from_line)

    def owed(self) -> int:
        """How many Records are still to be told by phone."""
        return self._dialler.owed()

    async def start(self, mqtt_owes: Sequence[OwedKey] | None) -> None:
        """Take up what the journal owes; `mqtt_owes`: what MQTT still does, None without MQTT."""
        keys = await self._take_up()
        if mqtt_owes is not None:
            owed = {(key.epoch, key.seq) for key in mqtt_owes}
            self._give(Elsewhere(tuple(k for k in keys if (k.epoch, k.seq) not in owed)))
        self._line.start()

    async def _take_up(self) -> Sequence[OwedKey]:
        store = self._journal.store
        keys = await self._journal.on_disk(lambda: store.owed(PHONE))
        raws = await self._journal.raws(keys)
        items = [
            Reportable(key, msgspec.json.decode(raw, type=Record).event)
            for key in keys
            if (raw := raws.get((key.epoch, key.seq))) is not None
        ]
        self._give(OwePhone(tuple(items)))
        self._taken_up = True
        return keys

    def stop(self) -> None:
        """Hang up and let go of the line."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        self._line.stop()

    # -- what happens elsewhere ------------------------------------------------------------------

    def stored(self, made: Sequence[tuple[Stored, PanelEvent]]) -> None:
        """These were committed."""
        self._give(OwePhone(tuple(Reportable(item.key, event) for item, event in made)))

    def reissued(self, stored: Sequence[Stored], epoch: int, upto: int) -> None:
        """The journal gave what was owed new numbers."""
        self._give(Forget(epoch, upto))
        self.stored([(item, msgspec.json.decode(item.raw, type=Record).event) for item in stored])

    def acknowledged_elsewhere(self, keys: tuple[OwedKey, ...]) -> None:
        """MQTT delivered these."""
        self._give(Elsewhere(keys))

    def mqtt_path(self, *, up: bool) -> None:
        """MQTT's end-to-end truth."""
        self._give(MqttPath(up))

    def test_call(self, by: str) -> None:
        """Somebody wants a test call."""
        self._give(CallAsked(by))

    def voltage(self, *, present: bool) -> None:
        """The monitor of the line's voltage (point `phone_line`) says so."""
        self._give(LineVoltage(present))

    def release(self, by: str) -> bool:
        """Let go of a line that is held for listening in; False: none is."""
        listening = self._dialler.view(monotonic()).listening
        if listening:
            self._give(EndListenIn(by))
        return listening

    # -- the machine -----------------------------------------------------------------------------

    def _from_line(self, given: LineInput) -> None:
        self._give(given)

    def _give(self, given: DiallerInput) -> None:
        if self._stopped:
            return
        if isinstance(given, MqttPath | LineStatus | LineVoltage):
            self._states[type(given)] = given
        self._step_of(lambda now: self._dialler.receive(given, now))

    def _tick(self) -> None:
        self._step_of(self._dialler.tick)

    def _step_of(self, machine: Callable[[Instant], list[DiallerEffect]]) -> None:
        try:
            effects = machine(monotonic())
        except Exception as error:
            # A bug must not silence the path for good, nor take the panel with it (users.md E2).
            log.exception("phone: the dialler failed and begins anew")
            self._host.feed(Fault(Code.TASK_RESTARTED, True, f"phone:{type(error).__name__}"))
            self._line.order(Release())
            self._dialler = self._new_dialler()
            self._taken_up = False
            self._broken += 1
            wait_s = min(BROKEN_MAX_S, 2.0 ** min(self._broken - 1, 16))
            self._loop.call_later(wait_s, self._begin_anew)
            return
        for effect in effects:
            self._carry(effect)
        self._arm()

    def _begin_anew(self) -> None:
        if not self._stopped:
            for state in list(self._states.values()):
                self._give(state)
            task = self._loop.create_task(self._owe_again())
            self._work.add(task)
            task.add_done_callback(self._work.discard)

    async def _owe_again(self) -> None:
        await self._take_up()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self._dialler.deadline()
        if due is not None and not self._stopped:
            wait_s = max(0.0, (due - monotonic()) / NS_PER_S)
            self._timer = self._loop.call_later(wait_s, self._tick)

    def _carry(self, effect: DiallerEffect) -> None:
        match effect:
            case Settled(keys, kissed):
                self._journal.acknowledge(PHONE, keys, firmly=kissed)
            case JournalEvent(event):
                self._host.emit(event)
            case NotCommunicated(on, detail):
                self._host.feed(Fault(Code.FAILED_TO_COMMUNICATE, on, detail))
            case Keep(memory):
                kept = msgspec.json.encode(_Kept(self._boot, memory))
                self._journal.on_disk(partial(write_memory, self._file, kept))
            case PathState(up, cause):
                self._step("path_up" if up else "path_down", cause)
                self._host.path_changed(PathChanged(PHONE, up, cause))
            case Calling(number, why):
                self._step("calling" if number else "checking_line", f"{number} {why}".strip())
            case Note(what, detail):
                self._step(what, detail)
            case Ended(cause, detail, at):
                where = "" if cause is Cause.DONE else f" while {at.value}"
                self._step("ended", f"{cause.value}{where}{f': {detail}' if detail else ''}")
            case _:
                self._line.order(effect)

    def _step(self, what: str, detail: str) -> None:
        log.info("phone: %s %s", what, detail)
        self._counted += 1
        self._steps.append(PhoneStep(self._counted, monotonic() / NS_PER_S, what, detail))

    # -- for people ------------------------------------------------------------------------------

    def status(self, after: int = 0) -> PhoneStatus:
        """The path now, with the steps numbered above `after`."""
        view = self._dialler.view(monotonic())
        last = view.last
        return PhoneStatus(
            up=view.up,
            cause=view.cause,
            line=view.line_present,
            policy=self._phone.policy.value,
            numbers=self._phone.numbers,
            owed=view.owed,
            step=view.step,
            last="" if last is None else last.cause.value,
            last_detail="" if last is None else last.detail,
            failed_in_a_row=view.failed_in_a_row,
            next_call_s=view.next_call_s,
            next_test_s=view.next_test_s,
            counted=self._counted,
            steps=[step for step in self._steps if step.number > after],
            listening=view.listening,
            microphone=" ".join(self._phone.line.microphone),
        )

    def beat(self) -> PhoneState | None:
        """The path as a heartbeat tells it; None while what is owed is still being read."""
        if not self._taken_up:
            return None
        now = monotonic()
        view = self._dialler.view(now)
        ages = (
            None if at is None else round((now - at) / NS_PER_S)
            for at in (view.kissed, view.tested)
        )
        kissed_s, tested_s = ages
        return PhoneState(
            up=view.up,
            cause=view.cause,
            line=view.line_present,
            owed=view.owed + self._journal.untold(),
            failed=view.failed_in_a_row,
            kissed_s=kissed_s,
            tested_s=tested_s,
        )

    @property
    def fallback(self) -> bool:
        """MQTT comes first."""
        return self._phone.policy is PolicyKind.FALLBACK


def read_memory(file: Path, boot: str) -> Memory:
    """What was kept; nothing when it cannot be read. Instants hold in their own boot only."""
    try:
        kept = msgspec.json.decode(file.read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError):
        return Memory()
    return kept.memory if kept.boot == boot else Memory(kept.memory.unmarked)


def write_memory(file: Path, kept: bytes) -> None:
    """Replace what stands there. A disk that refuses costs marks, never a report."""
    new = file.with_suffix(".new")
    try:
        with new.open("wb") as stream:
            stream.write(kept)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(file)
    except OSError as error:
        log.warning("phone state not kept: %s", error)
