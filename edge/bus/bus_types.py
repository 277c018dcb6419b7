"""The seam between bus drivers (`adapters/osdp_bus`, `adapters/modbus_bus`) and the panel."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class InputState(Enum):
    """One input as its node decoded it; values of OSDP profiles in `protocols.osdp.codes`."""

    NORMAL = 0
    ALARM = 1
    SHORT = 2
    OPEN = 3
    TAMPER = 4
    MASKED = 5
    MASKED_ALARM = 6
    UNKNOWN = 7


class LossCause(Enum):
    """Why a node is lost."""

    NO_ANSWER = "no_answer"
    KEY_REFUSED = "key_refused"
    """It answers, but not with our key."""
    NOT_SECURE = "not_secure"
    """It has no key yet, or no secure channel at all."""
    GARBLED = "garbled"
    """Something comes back, never a good frame."""
    BUS_DOWN = "bus_down"


@dataclass(frozen=True, slots=True)
class NodeId:
    """Bus name and address; "main.5" in text."""

    bus: str
    address: int

    def __str__(self) -> str:
        return f"{self.bus}.{self.address}"


@dataclass(frozen=True, slots=True)
class NodeUp:
    """The node answers, in a secure channel unless the file allows clear text."""

    node: NodeId
    secure: bool
    vendor: int = 0
    model: int = 0
    serial: int = 0
    firmware: str = ""


@dataclass(frozen=True, slots=True)
class NodeLost:
    """No valid reply for `lost_after_s`, or never since the start. Told once until NodeUp."""

    node: NodeId
    cause: LossCause


@dataclass(frozen=True, slots=True)
class InputsReported:
    """All inputs of a node, in order from input 1, as of one moment in the node's own order."""

    node: NodeId
    states: tuple[InputState, ...]


@dataclass(frozen=True, slots=True)
class LocalReported:
    """The node's own enclosure and supply. True: something is wrong with it."""

    node: NodeId
    tamper: bool
    power: bool


@dataclass(frozen=True, slots=True)
class NodeReport:
    """What a Tocsin node says of itself (MFGREP REPORT_NODE)."""

    node: NodeId
    reset_cause: str
    resets: int
    lost_changes: int
    supply_mv: int
    uptime_s: int
    firmware: str
    trial: bool
    loop_worst_ms: int


@dataclass(frozen=True, slots=True)
class ChangesLost:
    """The node's queue overflowed: `count` changes are gone; the present states follow."""

    node: NodeId
    count: int


@dataclass(frozen=True, slots=True)
class KeysPressed:
    """Keys of a keypad: "0".."9", "*", "#"."""

    node: NodeId
    keys: str


@dataclass(frozen=True, slots=True)
class CardRead:
    """A card at a reader: `bits` of them in `data`, the first bit the highest of the first byte."""

    node: NodeId
    bits: int
    data: bytes


class Trouble(Enum):
    """Faults of a node or bus other than loss."""

    FORGED = "forged"
    """A MAC that does not fit, clear text in a secure channel, a replay, a wrong key."""
    DUPLICATE = "duplicate"
    """Two nodes at one address."""
    NOISE = "noise"
    BABBLE = "babble"
    """A node that talks without being asked, or never stops."""
    PAIRING_EXPIRED = "pairing_expired"
    REFUSED = "refused"
    """It refuses a command or an update; `detail` tells."""


@dataclass(frozen=True, slots=True)
class NodeTrouble:
    """`on` False: over again. Address -1: the bus as a whole."""

    node: NodeId
    trouble: Trouble
    on: bool = True
    detail: str = ""


@dataclass(frozen=True, slots=True)
class BusChanged:
    """The bus's port is gone (unplugged, busy) or back. `cause` in the system's words."""

    bus: str
    up: bool
    cause: str = ""


@dataclass(frozen=True, slots=True)
class CommandDone:
    """A NodeCommand with a token ended: `ok`, or why not."""

    node: NodeId
    token: int
    ok: bool
    detail: str = ""


BusEvent = (
    NodeUp
    | NodeLost
    | InputsReported
    | LocalReported
    | NodeReport
    | ChangesLost
    | KeysPressed
    | CardRead
    | NodeTrouble
    | BusChanged
    | CommandDone
)


class Colour(Enum):
    """LED colours as OSDP numbers them."""

    OFF = 0
    RED = 1
    GREEN = 2
    AMBER = 3
    BLUE = 4


@dataclass(frozen=True, slots=True)
class SetNodeOutput:
    """Output `number` (from 1) on or off until further notice."""

    number: int
    on: bool


@dataclass(frozen=True, slots=True)
class SetLed:
    """LED 0 of reader 0: lasting `colour`; with `blink` both in turn (OFF: dark between)."""

    colour: Colour
    blink: Colour | None = None


@dataclass(frozen=True, slots=True)
class Beep:
    """`times` beeps of `on_ds` with pauses of `off_ds` (tenths of a second). 0 times: stop."""

    times: int
    on_ds: int = 1
    off_ds: int = 1


@dataclass(frozen=True, slots=True)
class Pair:
    """Open the pairing window for this address: the default key is taken once, and replaced."""


@dataclass(frozen=True, slots=True)
class ClosePairing:
    """Close the window now."""


@dataclass(frozen=True, slots=True)
class Rekey:
    """Give the node its next key."""


@dataclass(frozen=True, slots=True)
class SendFirmware:
    """Transfer this signed image (OSDP file transfer)."""

    image: bytes


@dataclass(frozen=True, slots=True)
class AskReport:
    """Have the node tell its NodeReport."""


@dataclass(frozen=True, slots=True)
class SetCommunication:
    """Move the node to this address and speed (OSDP COMSET); it leaves its present place."""

    address: int
    baud: int


NodeCommand = (
    SetNodeOutput
    | SetLed
    | Beep
    | Pair
    | ClosePairing
    | Rekey
    | SendFirmware
    | AskReport
    | SetCommunication
)


@dataclass(frozen=True, slots=True)
class NodeStatistics:
    """Of one node since the start. Times in ms; `last_seen_s` None: never."""

    node: NodeId
    state: str
    """"secure", "clear", "lost", "pairing" or "starting"."""
    polls: int = 0
    replies: int = 0
    retries: int = 0
    timeouts: int = 0
    crc_errors: int = 0
    foreign_frames: int = 0
    handshakes: int = 0
    cycle_ms: float = 0.0
    """Median time between two polls."""
    turnaround_ms: float = 0.0
    last_seen_s: float | None = None
    firmware: str = ""
    progress: str = ""
    """Of an update: "12288/40960"."""
    refused: int = 0
    """Replies of a Modbus module that are exceptions or of a wrong length."""


@dataclass(frozen=True, slots=True)
class BusStatistics:
    """Of one bus. `cycle_ms`: median time for one round over all nodes."""

    bus: str
    up: bool
    cause: str
    cycle_ms: float
    noise_bytes: int
    nodes: tuple[NodeStatistics, ...] = ()
