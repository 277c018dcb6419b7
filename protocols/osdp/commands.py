"""What each command of the controller does, and its reply. [both runtimes]"""

from protocols.osdp.codes import (
    ABORT,
    ACK,
    ACURXSIZE,
    ASK_RESTART,
    BUZ,
    CAP,
    CAPABILITY_AUDIBLE,
    CAPABILITY_CARD_FORMAT,
    CAPABILITY_CHECK,
    CAPABILITY_INPUTS,
    CAPABILITY_LED,
    CAPABILITY_OUTPUTS,
    CAPABILITY_READERS,
    CAPABILITY_RECEIVE_SIZE,
    CAPABILITY_SECURITY,
    CAPABILITY_VERSION,
    COM,
    COMSET,
    FILETRANSFER,
    FTSTAT,
    ID,
    ISTAT,
    ISTATR,
    KEEPACTIVE,
    KEYSET,
    LED,
    LSTAT,
    LSTATR,
    MFG,
    NAK,
    NAK_LENGTH,
    NAK_RECORD,
    NAK_SECURITY_CONDITION,
    NAK_UNKNOWN_COMMAND,
    OSTAT,
    OSTATR,
    OUT,
    PDCAP,
    PDID,
    POLL,
    RSTAT,
    RSTATR,
)
from protocols.osdp.frame import MAX_FRAME_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from protocols.osdp.peripheral import Peripheral

BAUDS = (9_600, 19_200, 38_400, 57_600, 115_200, 230_400)
OUT_BYTES = 4
LED_BYTES = 14
BUZ_BYTES = 5
FILE_HEADER_BYTES = 11
POLLS_PAUSE_MS = 1_500
"""Longer than the cycle of the slowest bus."""


class Device:
    """What the board does for the peripheral. This one refuses everything."""

    def set_output(self, number: int, code: int, timer_ds: int) -> bool:
        """OUT's control code (0-6) for output `number` from 0; timer in tenths of a second."""
        return False

    def output_states(self) -> bytes:
        """One byte for each output: 0 off, 1 on."""
        return b""

    def set_led(self, payload: bytes) -> bool:
        """One LED record, 14 bytes."""
        return False

    def set_buzzer(self, payload: bytes) -> bool:
        """One buzzer record, 5 bytes."""
        return False

    def store_key(self, key: bytes) -> bool:
        """Must be durable when this returns True."""
        return False

    def store_communication(self, address: int, baud: int) -> bool:
        """Keep it; the UART changes only when the reply is out."""
        return False

    def file_part(self, kind: int, total: int, offset: int, data: bytes) -> "tuple[int, int]":
        """FTSTAT status (codes.FILE_*) and a pause for it. No data: are you still busy?"""
        return -1, 0

    def abort_file(self) -> None:
        """The controller gave the transfer up."""

    def vendor(self, data: bytes) -> None:
        """MFG of our vendor code, except a restart."""

    def restart(self) -> None:
        """Called some time after the reply to the command that asked for it."""


class Answer:
    """A reply; `address` and `baud` (when not -1) and `restart` take effect once it is out."""

    def __init__(
        self,
        code: int,
        payload: bytes = b"",
        address: int = -1,
        baud: int = -1,
        restart: bool = False,
    ) -> None:
        self.code = code
        self.payload = payload
        self.address = address
        self.baud = baud
        self.restart = restart


NOTHING_TO_TELL = Answer(ACK)


def refused(reason: int) -> Answer:
    """A NAK."""
    return Answer(NAK, bytes((reason,)))


def carry_out(node: "Peripheral", code: int, payload: bytes) -> Answer:
    """Execute one command that passed all checks of sequence and security."""
    if code == FILETRANSFER:
        return _file(node, payload)
    handler = _BY_CODE.get(code)
    if handler is None:
        return refused(NAK_UNKNOWN_COMMAND)
    size, act = handler
    if size >= 0 and len(payload) != size:
        return refused(NAK_LENGTH)
    return act(node, payload)


def capabilities(node: "Peripheral") -> bytes:
    """Payload of PDCAP: function, level, count."""
    listed = [
        (CAPABILITY_INPUTS, 4, node.inputs),
        (CAPABILITY_OUTPUTS, 2, node.outputs),
        (CAPABILITY_LED, 1, 1),
        (CAPABILITY_AUDIBLE, 1, 1),
        (CAPABILITY_CHECK, 1, 0),
        (CAPABILITY_SECURITY, 1, 0 if node.keyed else 1),
        (CAPABILITY_RECEIVE_SIZE, MAX_FRAME_BYTES & 0xFF, MAX_FRAME_BYTES >> 8),
        (CAPABILITY_VERSION, 2, 0),
    ]
    if node.readers:
        listed.append((CAPABILITY_CARD_FORMAT, 1, 0))
        listed.append((CAPABILITY_READERS, 0, node.readers))
    return b"".join([bytes(entry) for entry in sorted(listed)])


def _identify(node: "Peripheral", payload: bytes) -> Answer:
    return Answer(PDID, node.identity.encode())


def _tell_capabilities(node: "Peripheral", payload: bytes) -> Answer:
    return Answer(PDCAP, capabilities(node))


def _acknowledge(node: "Peripheral", payload: bytes) -> Answer:
    return Answer(ACK)


def _keep_active(node: "Peripheral", payload: bytes) -> Answer:
    node.keep_active(payload[0] | payload[1] << 8)
    return Answer(ACK)


def _inputs(node: "Peripheral", payload: bytes) -> Answer:
    return Answer(ISTATR, node.inputs_to_tell())


def _local(node: "Peripheral", payload: bytes) -> Answer:
    return Answer(LSTATR, node.local_to_tell())


def _outputs(node: "Peripheral", payload: bytes) -> Answer:
    return Answer(OSTATR, node.device.output_states())


def _reader_states(node: "Peripheral", payload: bytes) -> Answer:
    return Answer(RSTATR, bytes(node.readers)) if node.readers else refused(NAK_UNKNOWN_COMMAND)


def _records(payload: bytes, size: int) -> "list[bytes]":
    if not payload or len(payload) % size:
        return []
    return [payload[start : start + size] for start in range(0, len(payload), size)]


def _set_outputs(node: "Peripheral", payload: bytes) -> Answer:
    records = _records(payload, OUT_BYTES)
    if not records:
        return refused(NAK_LENGTH)
    for record in records:
        # All or nothing: half a command carried out is nothing a controller can know.
        if record[0] >= node.outputs or record[1] > 6:
            return refused(NAK_RECORD)
    done = True
    for record in records:
        done = node.device.set_output(record[0], record[1], record[2] | record[3] << 8) and done
    return Answer(ACK) if done else refused(NAK_RECORD)


def _set_led(node: "Peripheral", payload: bytes) -> Answer:
    records = _records(payload, LED_BYTES)
    if not records:
        return refused(NAK_LENGTH)
    done = True
    for record in records:
        done = node.device.set_led(record) and done
    return Answer(ACK) if done else refused(NAK_RECORD)


def _set_buzzer(node: "Peripheral", payload: bytes) -> Answer:
    records = _records(payload, BUZ_BYTES)
    if not records:
        return refused(NAK_LENGTH)
    done = True
    for record in records:
        done = node.device.set_buzzer(record) and done
    return Answer(ACK) if done else refused(NAK_RECORD)


def _set_communication(node: "Peripheral", payload: bytes) -> Answer:
    address = payload[0]
    baud = int.from_bytes(payload[1:5], "little")
    if address > 0x7E or baud not in BAUDS or not node.device.store_communication(address, baud):
        # The standard's answer to settings that are not taken: those that stay.
        address, baud = node.address, node.baud
    return Answer(COM, bytes((address,)) + baud.to_bytes(4, "little"), address, baud)


def _set_key(node: "Peripheral", payload: bytes) -> Answer:
    if payload[0] != 1 or payload[1] != 16:
        return refused(NAK_RECORD)
    if not node.may_set_key() or not node.set_key(payload[2:18]):
        return refused(NAK_SECURITY_CONDITION)
    return Answer(ACK)


def _file(node: "Peripheral", payload: bytes) -> Answer:
    if len(payload) < FILE_HEADER_BYTES:
        return refused(NAK_LENGTH)
    total = int.from_bytes(payload[1:5], "little")
    offset = int.from_bytes(payload[5:9], "little")
    size = payload[9] | payload[10] << 8
    if size != len(payload) - FILE_HEADER_BYTES or offset + size > total:
        return refused(NAK_LENGTH)
    status, delay_ms = node.device.file_part(payload[0], total, offset, payload[FILE_HEADER_BYTES:])
    status &= 0xFFFF
    if node.queued:
        # Changes wait: the controller polls only in the pauses of a transfer.
        delay_ms = max(delay_ms, POLLS_PAUSE_MS)
    delay_ms = max(0, min(delay_ms, 0xFFFF))
    # Control 1: other commands may come between.
    told = bytes((1, delay_ms & 0xFF, delay_ms >> 8, status & 0xFF, status >> 8, 0, 0))
    return Answer(FTSTAT, told)


def _abort(node: "Peripheral", payload: bytes) -> Answer:
    node.device.abort_file()
    return Answer(ACK)


def _vendor(node: "Peripheral", payload: bytes) -> Answer:
    if len(payload) < 4:
        return refused(NAK_LENGTH)
    if payload[:3] != node.identity.vendor_bytes():
        return refused(NAK_RECORD)
    data = payload[3:]
    if data[0] == ASK_RESTART:
        return Answer(ACK, restart=True)
    node.device.vendor(data)
    return Answer(ACK)


_BY_CODE = {
    POLL: (0, _acknowledge),
    ID: (1, _identify),
    CAP: (1, _tell_capabilities),
    LSTAT: (0, _local),
    ISTAT: (0, _inputs),
    OSTAT: (0, _outputs),
    RSTAT: (0, _reader_states),
    OUT: (-1, _set_outputs),
    LED: (-1, _set_led),
    BUZ: (-1, _set_buzzer),
    COMSET: (5, _set_communication),
    KEYSET: (18, _set_key),
    MFG: (-1, _vendor),
    ABORT: (0, _abort),
    KEEPACTIVE: (2, _keep_active),
    ACURXSIZE: (2, _acknowledge),
}
"""Payload length (-1: its handler looks) and what it does. POLL comes here only when too long."""
