"""A panel with two buses, four nodes and two wired zones; what it is told, as lines."""

from __future__ import annotations

from edge.bus.bus_machine import BusMachine, BusTold
from edge.bus.bus_types import BusEvent, InputsReported, InputState, NodeId, NodeUp
from edge.bus.node_fault import NodeFault
from edge.config import (
    AreaConfig,
    Loop,
    MqttConfig,
    OutputConfig,
    PanelConfig,
    SystemPoint,
    UserConfig,
    ZoneConfig,
    ZoneType,
)
from edge.config_bus import BusConfig, ModbusDevice, NodeKind, OsdpNode
from edge.field.reading import Reading
from protocols.panel_event import Code
from tests.support.panel_site import ALL_CODE, ALL_DURESS, at

THREE = NodeId("main", 3)
FOUR = NodeId("main", 4)
KEYPAD = NodeId("main", 9)
MODULE = NodeId("io", 101)
WHOLE = NodeId("main", -1)
CARD = "c4" * 32


def zone(number: int, wired: str, kind: ZoneType = ZoneType.INSTANT) -> ZoneConfig:
    return ZoneConfig(number=number, name=f"z{number}", area=1, type=kind, loop=Loop(input=wired))


def bus_config(
    *, zones: tuple[ZoneConfig, ...] = (), nodes: tuple[int, ...] = (3, 4)
) -> PanelConfig:
    return PanelConfig(
        id="bus-1",
        name="Bus",
        areas=(AreaConfig(number=1, name="House"),),
        zones=zones
        or (
            zone(1, "bus:main.3.1"),
            zone(2, "bus:main.3.2"),
            zone(3, "bus:main.3.tamper", ZoneType.TAMPER),
            zone(4, "bus:main.4.1"),
            zone(5, "bus:io.101.1"),
            zone(6, "gpio:17"),
            zone(7, "gpio:27"),
        ),
        users=(
            UserConfig(
                number=1, name="All", code_hash=ALL_CODE, duress_hash=ALL_DURESS, card_hash=CARD
            ),
        ),
        points=(SystemPoint(role="mains", loop=Loop(input="bus:main.4.power")),),
        outputs=(OutputConfig(role="siren", gpio=20),),
        buses=(
            BusConfig(
                name="main",
                port="/dev/serial/by-id/a",
                nodes=(
                    *(OsdpNode(address=address) for address in nodes),
                    OsdpNode(address=9, kind=NodeKind.KEYPAD, inputs=0),
                ),
            ),
            BusConfig(
                name="io",
                protocol="modbus",
                port="/dev/serial/by-id/b",
                devices=(ModbusDevice(address=101),),
            ),
        ),
        mqtt=MqttConfig(host="localhost", ca="ca", cert="cert", key="key"),
    )


def told(found: list[BusTold]) -> list[str]:
    """ "zone:1 alarm"; faults as "+CODE main.3 (detail)"."""
    return [_line(one) for one in found]


def _line(one: BusTold) -> str:
    match one:
        case Reading(point, state):
            return f"{point} {state.value}"
        case NodeFault(code, node, on, detail):
            words = f"{'+' if on else '-'}{Code(code).name} {node}"
            return f"{words} ({detail})" if detail else words


class Bus:
    """A machine and its time."""

    def __init__(self, config: PanelConfig | None = None) -> None:
        self.machine = BusMachine(config or bus_config())
        self.seconds = 0.0

    def give(self, event: BusEvent) -> list[str]:
        return told(self.machine.receive(event, at(self.seconds)))

    def inputs(self, node: NodeId, *states: InputState) -> list[str]:
        rest = (InputState.NORMAL,) * (8 - len(states))
        return self.give(InputsReported(node, states + rest))

    def up(self, node: NodeId = THREE) -> Bus:
        """The node is up and its inputs are at rest."""
        self.give(NodeUp(node, secure=True))
        self.inputs(node)
        return self
