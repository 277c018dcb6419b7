"""Detector buses of a panel: OSDP over RS-485, and Modbus RTU input modules (R99, R100)."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import msgspec
from msgspec import Meta

BusName = Annotated[str, Meta(pattern="^[a-z][a-z0-9]{0,11}$")]
BusInput = Annotated[int, Meta(ge=1, le=32)]
Register = Annotated[int, Meta(ge=0, le=65_535)]


class NodeKind(Enum):
    """What stands at an OSDP address."""

    ZONES = "zones"
    """A Tocsin node, or any OSDP contact monitor with the same input bytes."""
    KEYPAD = "keypad"
    """Keypad, reader or both; may have inputs too."""


class OsdpNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One peripheral. Its key is derived from the panel's master key (`adapters/osdp_keys`)."""

    address: Annotated[int, Meta(ge=0, le=126)]
    name: Annotated[str, Meta(min_length=1, max_length=80)] = "node"
    kind: NodeKind = NodeKind.ZONES
    inputs: Annotated[int, Meta(ge=0, le=32)] = 8
    ask_state: bool = False
    """Ask LSTAT and ISTAT when it comes up. Tocsin nodes tell unasked; some peripherals do not."""
    areas: tuple[Annotated[int, Meta(ge=1, le=99)], ...] = ()
    """Keypad: areas it arms and shows; empty: all."""
    clear_text: bool = False
    """No secure channel. Refused for finance (R100); its zones are marked unsupervised."""


class ModbusTable(Enum):
    """Where a module keeps its inputs."""

    DISCRETE_INPUTS = "discrete_inputs"
    COILS = "coils"
    INPUT_REGISTERS = "input_registers"
    HOLDING_REGISTERS = "holding_registers"


class ModbusMap(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Register map of a kind of module.

    Bits: input n is item `first` + n - 1. Registers: `bits` true takes input n from bit n - 1 of
    the registers from `first` on, else a register each, active when not 0.
    """

    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_-]{0,31}$")]
    table: ModbusTable = ModbusTable.DISCRETE_INPUTS
    first: Register = 0
    inputs: BusInput = 8
    bits: bool = True
    active_high: bool = True
    tamper: Register | None = None
    """Item of the same table that is active when the module is opened."""


class ModbusDevice(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One module: `map` names a [[modbus_maps]] entry or a built-in ("di8", "di16")."""

    address: Annotated[int, Meta(ge=1, le=247)]
    name: Annotated[str, Meta(min_length=1, max_length=80)] = "module"
    map: str = "di8"
    timeout_ms: Annotated[int, Meta(ge=10, le=1000)] = 100
    debounce_ms: Annotated[int, Meta(ge=0, le=2000)] = 0


class BusConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One serial bus. OSDP buses have `nodes`, Modbus buses `devices`."""

    name: BusName
    protocol: Annotated[str, Meta(pattern="^(osdp|modbus)$")] = "osdp"
    port: Annotated[str, Meta(min_length=1, max_length=200)]
    """A stable path: /dev/serial/by-id/..., never a number that may move (users.md J3)."""
    baud: Annotated[int, Meta(ge=1200, le=230_400)] = 38_400
    parity: Annotated[str, Meta(pattern="^[NEO]$")] = "N"
    nodes: tuple[OsdpNode, ...] = ()
    devices: tuple[ModbusDevice, ...] = ()
    lost_after_s: Annotated[float, Meta(ge=0.5, le=10)] = 1.5
    """A node without a valid reply for this long is lost; told within 2 s at the default."""
    reply_timeout_ms: Annotated[int, Meta(ge=20, le=200)] = 100
    """Longest wait for a reply's first byte (OSDP: a peripheral must answer in 200 ms)."""
    gap_ms: Annotated[float, Meta(ge=0, le=50)] = 0
    """Silence kept between frames; 0: two characters (OSDP) or 3.5 (Modbus), at least 1.75 ms."""


class BusKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The master key of all nodes: 64 hexadecimal digits in a file only the panel reads (0600)."""

    master_file: str = "bus.master"
    pairing_window_s: Annotated[float, Meta(ge=30, le=3600)] = 600


class Sabotage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When vanishing parts are one tamper verdict."""

    window_s: Annotated[float, Meta(ge=1, le=120)] = 10
    parts: Annotated[int, Meta(ge=2, le=16)] = 2
    """Nodes and paths vanished inside the window, at least."""
