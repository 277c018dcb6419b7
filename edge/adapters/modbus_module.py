"""One Modbus module: what to ask it by its register map, what its replies mean. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import ReadHoldingRegistersRequest, ReadInputRegistersRequest

from edge.adapters.modbus_wire import EXCEPTION_BYTES, frame_of
from edge.bus.bus_types import (
    BusEvent,
    InputsReported,
    InputState,
    LocalReported,
    LossCause,
    NodeId,
    NodeLost,
    NodeTrouble,
    NodeUp,
    Trouble,
)
from edge.config_bus import ModbusDevice, ModbusMap, ModbusTable

REGISTER_BITS: Final = 16
TRUSTED_REPLIES: Final = 4
"""Good replies in a row, each in time, after a silence: see `Module.answered`."""

_REQUESTS: Final[dict[ModbusTable, type[ModbusPDU]]] = {
    ModbusTable.COILS: ReadCoilsRequest,
    ModbusTable.DISCRETE_INPUTS: ReadDiscreteInputsRequest,
    ModbusTable.HOLDING_REGISTERS: ReadHoldingRegistersRequest,
    ModbusTable.INPUT_REGISTERS: ReadInputRegistersRequest,
}
_BIT_TABLES: Final = (ModbusTable.COILS, ModbusTable.DISCRETE_INPUTS)


@dataclass(frozen=True, slots=True)
class Read:
    """One request, and how long its reply must be."""

    frame: bytes
    reply_bytes: int
    items: int


class ModuleMap:
    """The reads of one module, and its inputs in their replies."""

    def __init__(self, address: int, shape: ModbusMap) -> None:
        self._address = address
        self._map = shape
        self._is_bits = shape.table in _BIT_TABLES
        items = shape.inputs
        if not self._is_bits and shape.bits:
            items = -(-shape.inputs // REGISTER_BITS)
        # A tamper item next to the inputs comes in the same reply; one elsewhere has its own read,
        # for a module refuses a span it has only parts of.
        self._tamper_at: int | None = None
        tamper = shape.tamper
        own = tamper is not None and not shape.first <= tamper <= shape.first + items
        if tamper is not None and not own:
            self._tamper_at = tamper - shape.first
            items = max(items, self._tamper_at + 1)
        self.reads: tuple[Read, ...] = (self._read(shape.first, items),)
        if tamper is not None and own:
            self.reads += (self._read(tamper, 1),)

    def _read(self, first: int, items: int) -> Read:
        request = _REQUESTS[self._map.table](dev_id=self._address, address=first, count=items)
        data_bytes = -(-items // 8) if self._is_bits else 2 * items
        return Read(frame_of(request), EXCEPTION_BYTES + data_bytes, items)

    def states(self, replies: list[ModbusPDU]) -> tuple[tuple[InputState, ...], bool]:
        """The inputs, and whether the module is open, by one reply to each read."""
        items = self._items(replies[0])
        if not self._is_bits and self._map.bits:
            inputs = [
                items[n // REGISTER_BITS] >> n % REGISTER_BITS & 1 for n in range(self._map.inputs)
            ]
        else:
            inputs = items[: self._map.inputs]
        tamper = False
        if self._tamper_at is not None:
            tamper = self._active(items[self._tamper_at])
        elif len(replies) > 1:
            tamper = self._active(self._items(replies[1])[0])
        return tuple(
            InputState.ALARM if self._active(i) else InputState.NORMAL for i in inputs
        ), tamper

    def _items(self, reply: ModbusPDU) -> list[int]:
        return [int(item) for item in (reply.bits if self._is_bits else reply.registers)]

    def _active(self, item: int) -> bool:
        return (item != 0) is self._map.active_high


class Settling:
    """Inputs as they are told: a change counts once it was seen for `debounce_s` on end."""

    def __init__(self, debounce_s: float) -> None:
        self._debounce_s = debounce_s
        self._told: tuple[InputState, ...] | None = None
        self._since: dict[int, float] = {}

    @property
    def pending(self) -> bool:
        """Something moved and is not told yet."""
        return bool(self._since)

    def anew(self) -> None:
        """The next states are told as they come."""
        self._told = None
        self._since.clear()

    def seen(self, states: tuple[InputState, ...], now: float) -> tuple[InputState, ...] | None:
        """What to tell now, if anything."""
        if self._told is None:
            self._told = states
            return states
        settled = list(self._told)
        for index, state in enumerate(states):
            if state is self._told[index]:
                self._since.pop(index, None)
            elif now - self._since.setdefault(index, now) >= self._debounce_s:
                settled[index] = state
                del self._since[index]
        if tuple(settled) == self._told:
            return None
        self._told = tuple(settled)
        return self._told


class Module:
    """What is known and told of one module. Times in seconds of one monotonic clock."""

    def __init__(self, bus: str, device: ModbusDevice, shape: ModbusMap) -> None:
        self.id = NodeId(bus, device.address)
        self.map = ModuleMap(device.address, shape)
        self.timeout_s = device.timeout_ms / 1000
        self.has_tamper = shape.tamper is not None
        self.not_before = 0.0
        """It may still be answering an earlier request until then."""
        self.inputs = Settling(device.debounce_ms / 1000)
        self._tamper: bool | None = None
        self.trust = 0
        """Good replies since it last was silent."""
        self._refused = ""
        self._heard = False
        """Something came since the last good reply, though nothing good."""
        self.up = False
        self.told_lost = False

    @property
    def in_doubt(self) -> bool:
        """Its next reply alone is not to be believed."""
        return self.trust < TRUSTED_REPLIES

    def anew(self) -> None:
        """The port is new: whatever comes first may answer somebody else's request."""
        self.trust = 0
        self.not_before = 0.0

    def answered(self, replies: list[ModbusPDU], now: float) -> list[BusEvent] | None:
        """Good replies to all reads; None: not to be believed yet, ask again.

        A Modbus reply has no number. One that comes later than its time-out would answer the next
        request of the same module, with an old state. Behind a gateway several may be on their way
        at once and come back to back, each in time for a later request. A module is left alone
        after a silence, so within a second no more than three can be: the fourth in a row that
        came in time is the answer to a request of now.
        """
        self.trust = min(self.trust + 1, TRUSTED_REPLIES)
        if self.in_doubt:
            return None
        self._heard = False
        states, tamper = self.map.states(replies)
        events: list[BusEvent] = []
        if not self.up:
            self.up = True
            self.told_lost = False
            self._tamper = None
            self.inputs.anew()
            events.append(NodeUp(self.id, secure=False))
        if self._refused:
            events.append(NodeTrouble(self.id, Trouble.REFUSED, on=False, detail=self._refused))
            self._refused = ""
        if self.has_tamper and tamper is not self._tamper:
            self._tamper = tamper
            events.append(LocalReported(self.id, tamper=tamper, power=False))
        told = self.inputs.seen(states, now)
        if told is not None:
            events.append(InputsReported(self.id, told))
        return events

    def silent(self) -> None:
        """No reply in time: the next one may be this one, late."""
        self.trust = 0

    def unusable(self) -> None:
        """Something came that cannot be trusted."""
        self._heard = True

    def refused(self, code: int) -> list[BusEvent]:
        """It answered with an exception: the map does not fit it, or it is not well."""
        self._heard = True
        detail = f"exception {code}"
        if detail == self._refused:
            return []
        self._refused = detail
        return [NodeTrouble(self.id, Trouble.REFUSED, detail=detail)]

    def lost(self, cause: LossCause | None = None) -> list[BusEvent]:
        """Told once until it is up again."""
        self.up = False
        if self.told_lost:
            return []
        self.told_lost = True
        if cause is None:
            cause = LossCause.GARBLED if self._heard else LossCause.NO_ANSWER
        self._heard = False
        return [NodeLost(self.id, cause)]
