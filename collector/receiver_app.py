"""The phone receiver as one process: lines -> calls -> spool -> collector (R92).

One event loop hears and answers all lines; the spool's writer, the keeper of logs and the link to
the collector are threads beside it, so that neither disk nor network holds up a line. Nothing here
needs the collector or its database.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

import msgspec

from collector import CollectorError
from collector.adapters.audiosocket_server import AudioSocketServer
from collector.adapters.automation_hosting import HardwareReceivers
from collector.adapters.calls_sqlite import CallsLog
from collector.adapters.durable_file import AlreadyHeldError, locked
from collector.adapters.peer_limits import Limits
from collector.adapters.phone_formats import GuardedFormat, load_phone_formats
from collector.adapters.pins_file import PinsFile
from collector.adapters.receiver_checks import Known
from collector.adapters.receiver_config import (
    LineConfig,
    ModemConfig,
    ReceiverConfig,
    address,
    profile_of,
    readers_of,
)
from collector.adapters.receiver_file import ReceiverConfigError, broker_of, check_names
from collector.adapters.receiver_link import ReceiverLink
from collector.adapters.receiver_status import (
    EVERY_S,
    LOCK,
    MOST_PINS,
    LineStatus,
    PinStatus,
    ReceiverStatus,
    write_status,
)
from collector.adapters.reception_call import CallRecord, LineCall
from collector.adapters.reception_keeper import ReceptionKeeper
from collector.adapters.recordings import Recordings
from collector.adapters.spool_health import SpoolHealth
from collector.adapters.spool_sqlite import Spool, What
from collector.adapters.spool_writer import SpoolWriter
from collector.adapters.systemd_notify import notify
from collector.adapters.voice_modem_line import VoiceModemLine
from collector.reception.call import Call
from collector.reception.format_names import FORMATS
from collector.reception.formats import Format
from collector.reception.pinned import Origin, origins, pinned
from collector.reception.profile import HANDSHAKES, Profile
from protocols.automation.reports import Accounts
from protocols.instants import UtcTime
from protocols.mqtt.reception import SPOOL_LINE, LineState

MOST_PROBLEMS: Final = 20
MODEM_DELAYS_S: Final = 0.6
MOST_TOLD: Final = 5
"""Pins told as unused, at most; `status` shows more."""


class ReceiverError(CollectorError):
    """The receiver cannot start; the text says why and what to do."""


class Ready(msgspec.Struct, frozen=True):
    """Printed once lines are answered. `audiosocket_port` is that of the first listener."""

    ready: bool
    audiosocket_port: int
    listeners: dict[str, int]
    data: str
    modems: dict[str, str] = {}
    """Device by name; whether it is there is told by `status`."""


def utc_now() -> UtcTime:
    """The wall clock."""
    return UtcTime(time.time_ns() // 1000)


class Receiver:
    """`base`: what relative paths in the configuration start from. `tell(text)`: for people."""

    def __init__(
        self, config: ReceiverConfig, data: Path, base: Path, tell: Callable[[str], None]
    ) -> None:
        self._config = config
        self._data = data
        self._base = base
        self._tell_people = tell
        self._problems: deque[str] = deque(maxlen=MOST_PROBLEMS)
        self._started = utc_now()
        self._servers: list[tuple[LineConfig, AudioSocketServer]] = []
        self._modems: list[VoiceModemLine] = []
        self._link_why = ""

    async def run(self, over: asyncio.Event, ready: Callable[[Ready], None]) -> None:
        """Until `over`. Raises ReceiverError or ReceiverConfigError when it cannot start."""
        self._loop = asyncio.get_running_loop()
        with ExitStack() as stack:
            try:
                self._data.mkdir(parents=True, exist_ok=True, mode=0o700)
                stack.enter_context(locked(self._data / LOCK, wait_s=2))
            except AlreadyHeldError as error:
                raise ReceiverError(
                    f"a receiver already runs on {self._data}; stop it, or use another --data"
                ) from error
            except OSError as error:
                raise ReceiverError(
                    f"--data {self._data} cannot be used: {error.strerror or error}; name a folder"
                    " that this user may write to"
                ) from error
            self._open(stack)
            try:
                await self._listen()
                ready(self._ready())
                notify("READY=1")
                await self._watch(over)
            finally:
                notify("STOPPING=1")
                for _, server in self._servers:
                    await server.stop()
                await asyncio.gather(*(modem.stop() for modem in self._modems))

    # -- parts ---------------------------------------------------------------------------------

    def _open(self, stack: ExitStack) -> None:
        config = self._config
        formats, failed = load_phone_formats() if config.plugins else ([], [])
        self._plugins: list[GuardedFormat] = formats
        for each in failed:
            self._problem(f"plug-in {each.name} is not used: {each.why}")
        more = {one.name: one for each in formats for one in each.handshakes}
        self._known = {*FORMATS, *(each.name for each in formats)}
        check_names(config, Known(frozenset(self._known), frozenset({*HANDSHAKES, *more})))
        names = {each.profile for each in config.line} | {each.profile for each in config.modem}
        self._profiles = {name: profile_of(config, name, more) for name in names}
        self._pins = PinsFile(self._data, lambda: self._post(self._pins_changed), self._problem)
        self._readers: dict[str, tuple[dict[str, str], Sequence[Format]]] = {}
        self._spool = Spool(self._data, config.id, utc_now(), keep=config.limits.acknowledged)
        stack.callback(self._spool.close)
        self._link: ReceiverLink | None = None
        self._writer = SpoolWriter(self._spool, self._committed)
        self._writer.start()
        self._health = SpoolHealth(self._spool, self._writer, self._problem)
        self._calls = CallsLog(self._data)
        stack.callback(self._calls.close)
        recordings = Recordings(
            self._data,
            keep_files=config.limits.recordings,
            keep_bytes=config.limits.recordings_mb * 1024 * 1024,
        )
        self._keeper = ReceptionKeeper(
            self._writer,
            self._calls,
            recordings,
            post=self._post,
            utc=utc_now,
            on_problem=self._problem,
        )
        self._keeper.start()
        if config.mqtt is not None:
            self._link = ReceiverLink(
                self._spool,
                config.id,
                broker_of(config.mqtt, self._base),
                lines=self._line_states,
                utc=utc_now,
                on_state=self._link_state,
                pins=self._pins,
            )
            self._link.start()
            stack.callback(self._link.stop)
        stack.callback(self._writer.close)
        stack.callback(self._keeper.close)
        accounts = Accounts(profiles=config.events, mark_code=config.mark_code)
        self._hardware = HardwareReceivers(
            config.hardware,
            accounts,
            self._writer.store,
            self.line_state,
            utc_now,
            frames=self._spool,
        )
        stack.callback(self._hardware.stop)
        self._hardware.start()
        self._tell_spool_fault()
        self._tell_unused_pins()

    def _readers_on(self, line: str, profile: str) -> tuple[dict[str, str], Sequence[Format]]:
        """Pins and recognisers of calls on `line` from now on."""
        if line not in self._readers:
            pins = pinned(self._config.pins, self._pins.pins, line, self._known)
            self._readers[line] = pins, readers_of(self._config, profile, pins, self._plugins)
        return self._readers[line]

    def _pins_changed(self) -> None:
        self._readers.clear()
        self._tell_people(f"the collector's list of pinned accounts: {len(self._pins.pins)}")
        self._tell_unused_pins()

    def _tell_unused_pins(self) -> None:
        unused = [each for each in self._origins() if each.unused]
        for each in unused[:MOST_TOLD]:
            pin = each.pin
            self._problem(
                f"collector's pin of account {pin.account} to {pin.format}: {each.unused}"
            )

    def _origins(self) -> list[Origin]:
        return origins(self._config.pins, self._pins.pins, self._known)

    async def _listen(self) -> None:
        for line in self._config.line:
            server = AudioSocketServer(
                line.name,
                self._opener(line),
                Limits(
                    lines=line.lines,
                    per_peer=line.per_peer or line.lines,
                    new_per_second=max(50.0, line.lines / 2),
                    allow=line.allow,
                ),
                on_fault=self._problem,
            )
            where = address(line.listen)
            assert where is not None
            try:
                await server.start(*where)
            except OSError as error:
                raise ReceiverError(
                    f"line {line.name}: cannot listen on {line.listen}: {error.strerror or error};"
                    " write an address of this machine and a port nobody uses"
                ) from error
            self._servers.append((line, server))
        for each in self._config.modem:
            modem = VoiceModemLine(
                each, self._opener(each), self.line_state, on_fault=self._problem
            )
            modem.start()
            self._modems.append(modem)

    def _opener(self, line: LineConfig | ModemConfig) -> Callable[[str, str, str], LineCall]:
        modem = isinstance(line, ModemConfig)
        release = isinstance(line, LineConfig) and line.listen_in == "release"

        def open_call(name: str, call: str, caller: str) -> LineCall:
            return self.line_call(name, line.profile, call, caller, release=release, modem=modem)

        return open_call

    def line_call(
        self,
        name: str,
        profile: str,
        call: str,
        caller: str,
        *,
        release: bool = False,
        modem: bool = False,
    ) -> LineCall:
        """A call that begins on line `name`. `call` need not be unique: exchanges repeat theirs."""
        chosen: Profile = self._profiles[profile]
        if modem:  # its buffers delay what it plays and what it hears
            chosen = replace(chosen, late_digit_s=chosen.late_digit_s + MODEM_DELAYS_S)
        pins, readers = self._readers_on(name, profile)
        machine = Call(
            chosen,
            readers,
            caller=caller,
            preferred=self._calls.preferred(caller),
            pins=pins,
        )
        record = CallRecord(f"{call}-{secrets.token_hex(3)}", name, caller, utc_now())
        return LineCall(machine, record, self._keeper, utc_now, release_to_voice=release)

    # -- between the threads -------------------------------------------------------------------

    def _post(self, act: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(act)
        except RuntimeError:
            return  # the loop has ended: there is no line left to answer

    def _committed(self) -> None:
        if self._link is not None:
            self._link.committed()

    def _problem(self, text: str) -> None:
        if not self._problems or self._problems[-1] != text:
            self._problems.append(text)
            self._tell_people(text)

    def _link_state(self, up: bool, why: str) -> None:
        self._link_why = why
        if up:
            self._tell_people("link to the collector's broker is up")
        elif why != "stopped":
            self._problem(f"no link to the collector's broker: {why}; calls are kept meanwhile")

    def line_state(self, name: str, up: bool, cause: str) -> None:
        """A modem or hardware receiver went away or came back; from any thread."""
        self._keep(name, LineState(up, cause[:512]))

    def _keep(self, line: str, what: What) -> None:
        def done(why: str) -> None:
            if why:
                self._problem(f"line {line}: could not be recorded: {why}")

        self._writer.store([(utc_now(), line, what)], done)

    def _tell_spool_fault(self) -> None:
        aside = self._spool.set_aside
        if aside is not None:
            told = f"damaged spool set aside as {aside.path.name}: {aside.saved} entries saved"
            self._problem(f"{told} ({aside.why})")
            self._keep(SPOOL_LINE, LineState(False, f"{told}; {aside.why}"[:512]))
            self._keep(SPOOL_LINE, LineState(True, "new spool opened"))
        if self._calls.damaged:
            self._problem(f"log of calls: {self._calls.damaged}")

    # -- status --------------------------------------------------------------------------------

    def _ready(self) -> Ready:
        ports = {line.name: server.port for line, server in self._servers}
        first = next(iter(ports.values()), 0)
        modems = {modem.name: modem.device for modem in self._modems}
        return Ready(True, first, ports, str(self._data), modems)

    async def _watch(self, over: asyncio.Event) -> None:
        while not over.is_set():
            self._keeper.tell_owed()
            self._health.look()
            write_status(self._data, self._status())
            notify("WATCHDOG=1")
            try:
                await asyncio.wait_for(over.wait(), EVERY_S)
            except TimeoutError:
                continue

    def _line_states(self) -> dict[str, str]:
        states = {
            line.name: f"{'busy' if server.busy else 'idle'} {server.busy}/{line.lines}"
            for line, server in self._servers
        }
        states |= {modem.name: modem.state for modem in self._modems}
        states |= self._hardware.states()
        if self._health.fault:
            states[SPOOL_LINE] = self._health.fault[:512]
        return states

    def _status(self) -> ReceiverStatus:
        spool, link = self._spool, self._link
        pins = self._origins()
        acknowledged = None if link is None else link.acknowledged_at
        lines = [
            LineStatus(
                line.name,
                "audiosocket",
                f"{server.busy} of {line.lines} busy",
                f"{line.listen.rpartition(':')[0]}:{server.port}",
                dict(server.counts),
            )
            for line, server in self._servers
        ]
        lines += [
            LineStatus(modem.name, "modem", modem.state, modem.device, dict(modem.counts))
            for modem in self._modems
        ]
        lines += [
            LineStatus(name, "hardware", state, counts=self._hardware.counts(name))
            for name, state in self._hardware.states().items()
        ]
        return ReceiverStatus(
            receiver=self._config.id,
            pid=os.getpid(),
            at=utc_now(),
            started=self._started,
            epoch=spool.epoch,
            newest=spool.newest,
            acked=spool.acked,
            waiting=spool.newest - spool.acked,
            lines=tuple(lines),
            counts=dict(self._keeper.counts),
            store_fault=self._health.fault,
            link_up=None if link is None else link.up,
            link_why=self._link_why,
            acknowledged_s_ago=(
                None if acknowledged is None else round(time.monotonic() - acknowledged, 1)
            ),
            plugins=tuple(each.state for each in self._plugins),
            pins=tuple(
                PinStatus(
                    each.pin.account, each.pin.format, each.pin.line, each.source, each.unused
                )
                for each in pins[:MOST_PINS]
            ),
            pins_in_all=len(pins),
            problems=tuple(self._problems),
        )


__all__ = ["Ready", "Receiver", "ReceiverConfigError", "ReceiverError", "utc_now"]
