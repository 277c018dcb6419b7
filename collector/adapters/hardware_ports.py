"""Hardware receivers as the receiver process reads them: configuration -> ports -> spool.

ACK only for what is stored: `stored` is called from the spool writer's answer.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from collector.adapters.automation_port import AutomationPort, Transport
from collector.adapters.automation_serial import SerialLine, SerialTransport
from collector.adapters.automation_tcp import TcpClient, TcpServer
from collector.adapters.receiver_config import HardwareConfig, ReceiverConfigError, address
from collector.adapters.spool_writer import SpoolWriter
from protocols.automation.ademco685 import Ademco685
from protocols.automation.bosch import BoschSia
from protocols.automation.dialect import Dialect
from protocols.automation.effects import Content
from protocols.automation.radionics import Radionics6500
from protocols.automation.surgard import SurGard
from protocols.instants import UtcTime

_DIALECTS: Final[tuple[Callable[[], Dialect], ...]] = (
    lambda: SurGard(3),
    lambda: SurGard(5),
    Ademco685,
    BoschSia,
    Radionics6500,
)


def dialect_of(config: HardwareConfig) -> Dialect:
    """The dialect by its name. Raises ReceiverConfigError with the names there are."""
    known = {each.name: each for each in (make() for make in _DIALECTS)}
    if config.dialect not in known:
        raise ReceiverConfigError(
            f"hardware {config.name}: dialect = {config.dialect!r}: expected one of "
            + ", ".join(known)
        )
    return known[config.dialect]


def open_port(
    config: HardwareConfig,
    writer: SpoolWriter,
    utc: Callable[[], UtcTime],
    on_state: Callable[[str, bool, str], None],
) -> AutomationPort:
    """A port, not started. Raises ReceiverConfigError, or OSError for an address that is taken."""

    def taken(name: str, what: tuple[Content, ...], token: int, _repeat: bool) -> None:
        def done(why: str) -> None:
            if why:
                port.refused(token)
            else:
                port.stored(token)

        now = utc()
        writer.store([(now, name, each) for each in what], done)

    port = AutomationPort(config.name, dialect_of(config), _transport(config), taken, on_state)
    return port


def _transport(config: HardwareConfig) -> Transport:
    if config.device:
        bits, parity, stop = config.mode[0], config.mode[1], config.mode[2]
        return SerialTransport(SerialLine(config.device, config.baud, int(bits), parity, int(stop)))
    where = address(config.connect or config.listen)
    assert where is not None, "checked when the file was read"
    return TcpClient(*where) if config.connect else TcpServer(*where)
