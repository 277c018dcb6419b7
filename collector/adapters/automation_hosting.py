"""The receiver process's hardware receivers: configuration -> ports -> spool -> acknowledgement."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Protocol

from collector import CollectorError
from collector.adapters.automation_port import AutomationPort, OnState, Transport
from collector.adapters.automation_serial import SerialLine, SerialTransport
from collector.adapters.automation_tcp import TcpClient, TcpServer
from collector.adapters.receiver_config import HardwareConfig, address
from collector.adapters.spool_frames import Frame
from collector.adapters.spool_sqlite import What
from protocols.automation.ademco685 import Ademco685
from protocols.automation.bosch import BoschSia
from protocols.automation.dialect import Dialect
from protocols.automation.effects import Arrived, Kept, Malformed
from protocols.automation.machine import Policy
from protocols.automation.radionics import Radionics6500
from protocols.automation.reports import Accounts
from protocols.automation.surgard import SurGard
from protocols.instants import UtcTime

DIALECTS: Final[Mapping[str, Callable[[Accounts], Dialect]]] = {
    "sur-gard-3": lambda accounts: SurGard(3, accounts),
    "sur-gard-5": lambda accounts: SurGard(5, accounts),
    "ademco-685": Ademco685,
    "radionics-6500": Radionics6500,
    "bosch-sia": lambda accounts: BoschSia(accounts=accounts),
    "bosch-sia-unchecked": lambda accounts: BoschSia(check=False, accounts=accounts),
}
"""`dialect` in `receiver.toml`. `bosch-sia-unchecked`: should a receiver's CRC be another."""


class Keep(Protocol):
    """`spool_writer.SpoolWriter`: commit, then call `done` with "" or why not."""

    def __call__(
        self,
        items: Sequence[tuple[UtcTime, str, What]],
        done: Callable[[str], None],
        *,
        frame: Frame | None = None,
    ) -> None:
        """`frame`: what these came in, kept in the same commit."""
        ...


class Frames(Protocol):
    """`spool_sqlite.Spool`: hardware receivers' frames that may come again after a restart."""

    def frames(self, line: str) -> list[Kept]:
        """Those of a line, oldest first."""
        ...

    def settle(self, line: str) -> None:
        """Durably forget those without a number. Raises CollectorError."""
        ...


MINUTE_S: Final = 60.0
MOST_NOTES: Final = 10
_log = logging.getLogger(__name__)


class HardwareError(CollectorError):
    """A hardware receiver's configuration cannot be used; the text says how to mend it."""


class HardwareReceivers:
    """All hardware receivers of one receiver process. Nothing is acknowledged before its commit.
    `frames`: where what may come again after a restart is known from.
    """

    def __init__(
        self,
        configs: Sequence[HardwareConfig],
        accounts: Accounts,
        keep: Keep,
        on_state: OnState,
        utc_now: Callable[[], UtcTime],
        policy: Policy | None = None,
        frames: Frames | None = None,
    ) -> None:
        self._keep = keep
        self._frames = frames
        self._utc_now = utc_now
        self._servers: dict[str, TcpServer] = {}
        self._notes: dict[str, Notes] = {}
        self._ports: dict[str, AutomationPort] = {}
        for config in configs:
            dialect, transport = dialect_of(config, accounts), self._transport_of(config)
            self._notes[config.name] = Notes(config.name)
            times = policy_of(config) if policy is None else policy
            self._ports[config.name] = AutomationPort(
                config.name,
                dialect,
                transport,
                self._taken,
                on_state,
                on_malformed=self._note,
                on_settled=self._settled,
                kept=() if frames is None else frames.frames(config.name),
                policy=times,
            )

    def start(self) -> None:
        """Begin; each port keeps trying for ever."""
        for port in self._ports.values():
            port.start()

    def stop(self) -> None:
        """End all ports. What was not acknowledged stays in the receivers."""
        for port in self._ports.values():
            port.stop()
        for server in self._servers.values():
            server.shut()

    def states(self) -> dict[str, str]:
        """`closed`, `open`, `up` or `down: why` by name."""
        return {name: port.state for name, port in self._ports.items()}

    def listening(self) -> list[int]:
        """Port numbers of those that listen, in order."""
        return [server.port for server in self._servers.values()]

    def counts(self, name: str) -> dict[str, int]:
        """What is worth knowing of one: repeats, malformed, held, connections refused."""
        server = self._servers.get(name)
        refused = {} if server is None or not server.refused else {"refused": server.refused}
        return self._ports[name].counts | refused

    def _transport_of(self, config: HardwareConfig) -> Transport:
        if config.device:
            bits, parity, stop = tuple(config.mode)
            line = SerialLine(config.device, config.baud, int(bits), parity, int(stop))
            return SerialTransport(line)
        place = address(config.connect or config.listen)
        if place is None:
            raise HardwareError(
                f"hardware {config.name}: give `device`, or `connect` or `listen` as host:port"
            )
        if config.connect:
            return TcpClient(*place)
        try:
            server = TcpServer(*place, config.allow)
        except ValueError as error:
            raise HardwareError(
                f"hardware {config.name}: allow: {error}; write addresses and networks such as"
                " 192.168.7.20 or 192.168.7.0/24"
            ) from error
        except OSError as error:
            raise HardwareError(
                f"hardware {config.name}: cannot listen on {config.listen}: {error.strerror};"
                " choose an address of this machine and a port nobody uses"
            ) from error
        self._servers[config.name] = server
        return server

    def _note(self, name: str, bad: Malformed) -> None:
        self._notes[name].take(bad, time.monotonic())

    def _settled(self, name: str) -> None:
        if self._frames is not None:
            self._frames.settle(name)

    def _taken(self, name: str, arrived: Arrived) -> None:
        port, token = self._ports[name], arrived.token
        if arrived.repeat:
            _log.info("%s: the same line again after its acknowledgement; both are kept", name)

        def done(why: str) -> None:
            if why:
                _log.error("%s: not stored, the receiver keeps it and repeats it: %s", name, why)
                port.refused(token)
            else:
                port.stored(token)

        at = self._utc_now()
        frame = Frame(name, arrived.kept.frame, arrived.kept.sequence)
        self._keep([(at, name, one) for one in arrived.what], done, frame=frame)


def policy_of(config: HardwareConfig) -> Policy:
    """The times of a receiver's link."""
    times = Policy(lost_s=config.silent_s, ack_s=config.ack_s)
    if config.listen:  # some senders connect anew for each message: silence decides
        times = replace(times, gone_s=times.lost_s)
    return times


def dialect_of(config: HardwareConfig, accounts: Accounts) -> Dialect:
    """Raises HardwareError for a name nobody knows."""
    make = DIALECTS.get(config.dialect)
    if make is None:
        raise HardwareError(
            f"hardware {config.name}: dialect = {config.dialect!r}: expected one of "
            + ", ".join(DIALECTS)
        )
    return make(accounts)


class Notes:
    """What one receiver's line says of unreadable bytes in the log: a few of each minute, then how
    many there were, for noise and foes send more than a disk holds.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._from_s = 0.0
        self._told = 0
        self._silent = 0

    def take(self, bad: Malformed, now_s: float) -> None:
        """Log it, or count it."""
        if now_s > self._from_s + MINUTE_S:
            if self._silent:
                _log.warning("%s: %d more pieces could not be read", self._name, self._silent)
            self._from_s, self._told, self._silent = now_s, 0, 0
        if self._told >= MOST_NOTES:
            self._silent += 1
            return
        self._told += 1
        _log.warning("%s: %s (%s): %r", self._name, bad.reason, bad.clause, bad.raw)
