"""The collector's own MQTT broker: nats-server as a child process (D3).

Started, given its rights (nats_rights.py), reloaded when the registry changes, restarted when it
dies, ended when we end. JetStream is what MQTT needs to start; no correctness rests on its disk.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from collector import CollectorError
from collector.adapters.authority import Authority
from collector.adapters.broker_host import (
    Ports,
    choose_ports,
    end_orphan,
    find_server,
    last_lines,
)
from collector.adapters.broker_log import (
    Fault,
    LogFollower,
    Notice,
    Ready,
    Refused,
    Reloaded,
    ReloadFailed,
    RepeatFilter,
)
from collector.adapters.broker_session import BrokerAddress
from collector.adapters.durable_file import AlreadyHeldError, locked, replace_file
from collector.adapters.nats_rights import BrokerError, Listening, configuration
from collector.adapters.registry import Registry
from protocols.instants import UtcTime

DEFAULT_PORT: Final = 8883
LOOP_S: Final = 0.1
READY_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 10.0
BACKOFF_S: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_S: Final = 30.0
"""Up this long: the next death starts the back-off afresh."""
RELOAD_TIMEOUT_S: Final = 10.0
RENEW_EVERY_S: Final = 3600.0
MAX_CONNECTIONS: Final = 20_000


class BrokerState(msgspec.Struct, frozen=True):
    """What `<data>/broker/state.json` tells other commands while the collector runs."""

    pid: int
    port: int
    host: str
    applied: int
    """Registry revision the broker has in force."""


class NatsBroker:
    """One nats-server under supervision: started, reloaded when the registry changes, restarted
    with back-off when it dies, ended with us.

    `port` 0: any free port, the same again at the next start. `on_refused` gets every refusal from
    the supervising thread and must not block; so does `on_fault` with a line for people.
    """

    def __init__(
        self,
        data_dir: Path,
        authority: Authority,
        registry: Registry,
        *,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        on_refused: Callable[[Refused], None] = lambda refused: None,
        on_fault: Callable[[str], None] = lambda text: None,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._folder = data_dir.absolute() / "broker"
        self._authority = authority
        self._registry = registry
        self._host = host
        self._wanted_port = port
        self._on_refused = on_refused
        self._on_fault = on_fault
        self._max_connections = max_connections
        self._ports = Ports(0, 0)
        self._child: subprocess.Popen[bytes] | None = None
        self._log: LogFollower | None = None
        self._repeats = RepeatFilter()
        self._stop = threading.Event()
        self._settled = threading.Event()
        self._failure: CollectorError | None = None
        self._thread: threading.Thread | None = None
        self._hold = ExitStack()
        self._written = -1
        """Registry revision in the configuration file; never rewritten while a reload is due."""
        self._stale = False
        self._reload_by = 0.0
        """0: no reload is due; else when to ask for it again."""
        self._renew_at = time.monotonic() + RENEW_EVERY_S
        self._retry_at = 0.0
        self._attempt = 0
        self._told = ""
        self._applied = -1
        self._lock_words = secrets.token_hex(32)
        self._up_since: float | None = None
        self.restarts = 0
        self._killed = 0
        """Times it was ended by a signal since somebody last looked."""

    @property
    def address(self) -> BrokerAddress:
        """Where the collector itself connects. Valid once started."""
        # "Any address" is none to connect to.
        local = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._host, self._host)  # noqa: S104
        keys = self._authority.collector
        return BrokerAddress(local, self._ports.mqtt, keys.ca, keys.cert, keys.key)

    @property
    def applied(self) -> int:
        """Registry revision that is in force at the broker; -1 before it is ready."""
        return self._applied

    @property
    def pid(self) -> int | None:
        """Process id of the broker, None while it is down."""
        return None if self._child is None else self._child.pid

    def start(self) -> None:
        """Start and wait until it accepts connections. Raises BrokerError with the reason."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        try:
            # Other commands probe this lock for an instant (broker_state).
            self._hold.enter_context(locked(self._folder / "lock", wait_s=1))
        except AlreadyHeldError:
            raise BrokerError(
                f"another collector is running on {self._folder.parent}: stop it, "
                "or give this one another --data"
            ) from None
        try:
            binary = find_server()
            end_orphan(self._folder)
            self._ports = choose_ports(self._folder, self._host, self._wanted_port)
        except CollectorError:
            self._hold.close()
            raise
        self._log = LogFollower(self._folder / "nats.log")
        self._stop.clear()
        self._settled.clear()
        self._thread = threading.Thread(
            target=self._supervise, args=(binary,), name="broker", daemon=True
        )
        self._thread.start()
        in_time = self._settled.wait(READY_TIMEOUT_S)
        while not in_time and self._killed:
            self._killed = 0  # somebody kills it while it starts: that is no fault of its own
            in_time = self._settled.wait(READY_TIMEOUT_S)
        if self._failure is not None or not in_time:
            failure = self._failure or BrokerError(
                f"the broker was not ready in {READY_TIMEOUT_S:g} s: see {self._folder}/nats.log"
            )
            self.stop()
            raise failure

    def stop(self) -> None:
        """End the broker and wait for it. Safe to call twice."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(STOP_TIMEOUT_S + 5)
            self._thread = None
        self._hold.close()

    # The supervising thread

    def _supervise(self, binary: str) -> None:
        try:
            while not self._stop.wait(LOOP_S):
                self._turn(binary)
        except CollectorError as error:
            self._failure = error
        finally:
            self._end_child()
            for refused in self._repeats.flush():
                self._on_refused(refused)
            if self._log is not None:
                self._log.close()
            with contextlib.suppress(FileNotFoundError):
                (self._folder / "state.json").unlink()
            self._settled.set()

    def _turn(self, binary: str) -> None:
        """One look at everything. Before the first readiness a fault is raised; later it is told
        and the next turn tries again, since without this thread there is no broker.
        """
        try:
            self._follow_log()
            self._look_after_child(binary)
            self._look_after_rights()
            self._told = ""
        except Exception as error:
            if not self._settled.is_set():
                raise BrokerError(f"the broker cannot be started: {error}") from error
            self._retry_at = max(self._retry_at, time.monotonic() + 1)
            if str(error) != self._told:
                self._told = str(error)
                self._on_fault(f"the broker is not looked after: {error}")

    def _look_after_child(self, binary: str) -> None:
        now = time.monotonic()
        if self._child is not None and self._child.poll() is not None:
            status = self._child.returncode
            # Ended by itself before it was ready: a fault waiting will not mend. By a signal:
            # somebody's doing (kill, memory), and the next try is as good as the first.
            if not self._settled.is_set() and status >= 0:
                raise BrokerError(self._failure_text(status))
            self._killed += status < 0
            if self._up_since is not None and now - self._up_since > STEADY_S:
                self._attempt = 0
            self._retry_at = now + BACKOFF_S[min(self._attempt, len(BACKOFF_S) - 1)]
            self._attempt += 1
            self._child, self._applied, self._up_since = None, -1, None
            self._on_fault(f"the broker ended with status {status}; starting it again")
        if self._child is None and now >= self._retry_at:
            self._spawn(binary)

    def _look_after_rights(self) -> None:
        now = time.monotonic()
        if self._up_since is None or now < self._reload_by:
            return  # it has not yet read the configuration it was told to read
        if now >= self._renew_at:
            self._renew_at = now + RENEW_EVERY_S
            self._stale |= self._authority.renew_own()
        if self._reload_by or self._stale or self._written != self._registry.content().revision:
            self._reload()

    def _spawn(self, binary: str) -> None:
        conf = self._folder / "nats.conf"
        try:
            self._write_configuration()
        except (CollectorError, OSError) as error:
            if not self._settled.is_set():
                raise
            self._stale = True
            self._on_fault(f"the broker starts with its last configuration: {error}")
        leash = Path(__file__).with_name("broker_leash.py")
        words = [sys.executable, "-I", "-S", str(leash), str(os.getpid()), binary]
        if self._settled.is_set():
            self.restarts += 1
        self._reload_by = 0.0
        with (self._folder / "nats.err").open("wb") as errors:
            self._child = subprocess.Popen(
                [*words, "-c", str(conf)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                cwd=self._folder,
                start_new_session=True,  # Ctrl-C at the terminal is for the collector alone
            )
        replace_file(self._folder / "pid", f"{self._child.pid}".encode())

    def _reload(self) -> None:
        """Write the configuration anew and have it read; nobody else is disconnected."""
        self._write_configuration()
        if self._child is not None:
            self._reload_by = time.monotonic() + RELOAD_TIMEOUT_S
            self._child.send_signal(signal.SIGHUP)

    def _follow_log(self) -> None:
        assert self._log is not None
        for notice in self._log.notices():
            self._take(notice)
        for refused in self._repeats.tick(_utc_now()):
            self._on_refused(refused)

    def _take(self, notice: Notice) -> None:
        match notice:
            case Refused():
                for refused in self._repeats.receive(notice):
                    self._on_refused(refused)
            case Ready():
                self._up_since = time.monotonic()
                self._reload_by = 0.0
                self._announce(self._written)
                self._settled.set()
            case Reloaded():
                self._reload_by = 0.0
                self._announce(self._written)
            case ReloadFailed(text):
                self._stale = True
                self._on_fault(f"the broker kept its old rights: {text}")
            case Fault(text):
                self._on_fault(f"the broker: {text}")

    def _announce(self, revision: int) -> None:
        self._applied = revision
        state = BrokerState(os.getpid(), self._ports.mqtt, self._host, revision)
        replace_file(self._folder / "state.json", msgspec.json.encode(state))

    def _failure_text(self, status: int) -> str:
        log = last_lines(self._folder / "nats.err") or last_lines(self._folder / "nats.log")
        return f"the broker ended at once with status {status}: {log}"

    def _end_child(self) -> None:
        child, self._child = self._child, None
        if child is None or child.poll() is not None:
            return
        child.terminate()
        try:
            child.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()

    # What it starts with

    def _write_configuration(self) -> None:
        content = self._registry.content()
        at = Listening(
            self._folder,
            self._authority.server,
            self._host,
            self._ports.mqtt,
            self._ports.client,
            self._max_connections,
        )
        text = configuration(content, at, self._lock_words, _utc_now())
        replace_file(self._folder / "nats.conf", text.encode())
        self._written = content.revision
        self._stale = False


def broker_state(data_dir: Path) -> BrokerState | None:
    """What the collector running on `data_dir` says of its broker; None when none runs."""
    folder = data_dir / "broker"
    try:
        with locked(folder / "lock", wait_s=0):
            return None
    except FileNotFoundError:
        return None
    except AlreadyHeldError:
        pass
    try:
        return msgspec.json.decode((folder / "state.json").read_bytes(), type=BrokerState)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _utc_now() -> UtcTime:
    return UtcTime(time.time_ns() // 1000)
