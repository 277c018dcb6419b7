"""What is asked by a register map, and when a module's inputs are told."""

from __future__ import annotations

import pytest
from pymodbus.pdu.bit_message import ReadDiscreteInputsResponse

from edge.adapters.modbus_module import TRUSTED_REPLIES, Module, ModuleMap, Settling
from edge.bus.bus_types import (
    BusEvent,
    InputsReported,
    InputState,
    LocalReported,
    LossCause,
    NodeLost,
    NodeUp,
)
from edge.config_bus import ModbusDevice, ModbusMap, ModbusTable
from tests.support.modbus_rig import framed

N, A = InputState.NORMAL, InputState.ALARM
DEVICE = ModbusDevice(address=9)


@pytest.mark.parametrize(
    ("shape", "asked", "reply_bytes"),
    [
        (ModbusMap(name="m"), [framed(9, 2, 0, 0, 0, 8)], [6]),
        (ModbusMap(name="m", inputs=9), [framed(9, 2, 0, 0, 0, 9)], [7]),
        (ModbusMap(name="m", table=ModbusTable.COILS, first=258), [framed(9, 1, 1, 2, 0, 8)], [6]),
        (
            ModbusMap(name="m", table=ModbusTable.INPUT_REGISTERS, inputs=17),
            [framed(9, 4, 0, 0, 0, 2)],
            [9],
        ),
        (
            ModbusMap(name="m", table=ModbusTable.HOLDING_REGISTERS, inputs=3, bits=False),
            [framed(9, 3, 0, 0, 0, 3)],
            [11],
        ),
        (ModbusMap(name="m", tamper=8), [framed(9, 2, 0, 0, 0, 9)], [7]),
        (
            ModbusMap(name="m", first=4, tamper=2),
            [framed(9, 2, 0, 4, 0, 8), framed(9, 2, 0, 2, 0, 1)],
            [6, 6],
        ),
    ],
)
def test_requests_are_byte_for_byte_the_standards(
    shape: ModbusMap, asked: list[bytes], reply_bytes: list[int]
) -> None:
    reads = ModuleMap(9, shape).reads
    assert [read.frame for read in reads] == asked
    assert [read.reply_bytes for read in reads] == reply_bytes


def reply(*active: int) -> list[ReadDiscreteInputsResponse]:
    return [ReadDiscreteInputsResponse(bits=[n in active for n in range(1, 17)])]


def believed(module: Module, *active: int) -> list[BusEvent] | None:
    """What is told when so many good replies came in a row that the last is believed."""
    for _ in range(TRUSTED_REPLIES - 1):
        assert module.answered(reply(*active), 0.0) is None
    return module.answered(reply(*active), 0.0)


def test_nothing_is_told_before_enough_good_replies_and_again_after_a_silence() -> None:
    module = Module("io", DEVICE, ModbusMap(name="m"))
    assert believed(module) == [
        NodeUp(module.id, secure=False),
        InputsReported(module.id, (N,) * 8),
    ]
    module.silent()
    assert module.answered(reply(3), 0.2) is None, "it may be an old one"
    module.silent()
    assert believed(module) == []


def test_a_change_is_told_once_with_all_inputs() -> None:
    module = Module("io", DEVICE, ModbusMap(name="m", inputs=3, tamper=3))
    assert believed(module) == [
        NodeUp(module.id, secure=False),
        LocalReported(module.id, tamper=False, power=False),
        InputsReported(module.id, (N, N, N)),
    ]
    assert module.answered(reply(2), 0.1) == [InputsReported(module.id, (N, A, N))]
    assert module.answered(reply(2), 0.2) == []
    assert module.answered(reply(2, 4), 0.3) == [LocalReported(module.id, tamper=True, power=False)]


def test_a_loss_is_told_once_with_its_cause_and_all_is_told_again_after_it() -> None:
    module = Module("io", DEVICE, ModbusMap(name="m", inputs=1))
    assert module.lost() == [NodeLost(module.id, LossCause.NO_ANSWER)]
    assert module.lost() == []
    believed(module)
    module.unusable()
    assert module.lost() == [NodeLost(module.id, LossCause.GARBLED)]
    assert module.answered(reply(), 1.0) == [
        NodeUp(module.id, secure=False),
        InputsReported(module.id, (N,)),
    ]


def test_each_input_settles_for_itself() -> None:
    inputs = Settling(0.1)
    assert inputs.seen((N, N), 0.0) == (N, N)
    assert inputs.seen((A, N), 0.1) is None
    assert inputs.pending
    assert inputs.seen((A, A), 0.15) is None
    assert inputs.seen((A, A), 0.2) == (A, N)
    assert inputs.seen((A, N), 0.24) is None, "the second bounced back"
    assert inputs.seen((A, A), 0.26) is None
    assert inputs.seen((A, A), 0.35) is None
    assert inputs.seen((A, A), 0.37) == (A, A)
    assert not inputs.pending


def test_without_debounce_a_change_is_told_at_once() -> None:
    inputs = Settling(0.0)
    inputs.seen((N,), 0.0)
    assert inputs.seen((A,), 0.0) == (A,)
