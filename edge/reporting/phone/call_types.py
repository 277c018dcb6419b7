"""What a call carries, what it tells, and how it may end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from edge.config_phone import DialToneWait, PhoneConfig
from edge.reporting.phone.line import LineOrder


@dataclass(frozen=True, slots=True)
class CallTimes:
    """How long a call waits, in seconds; clauses: protocols.md 1.1."""

    dial_tone_s: float = 5.0
    blind: bool = False
    """Dial after `dial_tone_s` though no dial tone was heard."""
    answer_s: float = 45.0
    """From the last digit dialled to the handshake."""
    handshake_s: float = 20.0
    """From an answer that is signalled to the handshake."""
    voice_s: float = 20.0
    """Somebody speaks (or ring-back music plays) this long, and no handshake."""
    before_block_s: float = 0.25
    """After the handshake's and after a kiss-off's end: 250-300 ms."""
    kiss_start_s: float = 1.25
    """A kiss-off begins so soon after the last digit, or the block is repeated."""
    kiss_heard_ms: int = 600
    """Kiss-offs last 750-1000 ms. The sheet's 400 would also take the 500 ms of 1400 Hz by which a
    receiver that heard nothing of us invites pulse formats: an alarm gone, and nobody has it.
    """
    kiss_longest_ms: int = 2600
    """Beyond, it is a stuck tone: Express kiss-offs last up to 2 s."""
    tries: int = 4
    digit_ms: int = 50
    gap_ms: int = 50


def times_of(config: PhoneConfig) -> CallTimes:
    """As the panel file wants them."""
    return CallTimes(
        dial_tone_s=config.dial_tone_s,
        blind=config.dial_tone is DialToneWait.BLIND,
        answer_s=config.answer_s,
        digit_ms=config.digit_ms,
        gap_ms=config.gap_ms,
    )


@dataclass(frozen=True, slots=True)
class Block:
    """One message: 16 or 22 hex digits. `name` is the caller's own."""

    name: int
    digits: str


class Cause(Enum):
    """How a call ended. Values are stable tokens."""

    DONE = "done"
    NO_LINE = "no_line"
    LINE_CUT = "line_cut"
    """The line went away during the call."""
    IN_USE = "in_use"
    NO_DIAL_TONE = "no_dial_tone"
    BUSY = "busy"
    NO_ANSWER = "no_answer"
    VOICE_ANSWER = "voice_answer"
    WRONG_HANDSHAKE = "wrong_handshake"
    NO_KISS_OFF = "no_kiss_off"
    DROPPED = "dropped"
    FAILED = "failed"
    """The network or the adapter could not: `detail` has its word."""
    LINE_SILENT = "line_silent"
    """The adapter did not answer an order in time."""
    GIVEN_UP = "given_up"
    """By our own order."""


class Step(Enum):
    """Where a call is, in order."""

    IDLE = "idle"
    SEIZING = "seizing"
    DIAL_TONE = "waiting for the dial tone"
    DIALLING = "dialling"
    ANSWER = "waiting for the handshake"
    PAUSE = "pausing before a block"
    READY = "ready for a block"
    SENDING = "sending"
    KISS = "waiting for the kiss-off"
    VOICE = "listen-in"
    RELEASING = "hanging up"


@dataclass(frozen=True, slots=True)
class Order:
    """For the line."""

    order: LineOrder


@dataclass(frozen=True, slots=True)
class Ready:
    """A block may go: answer with `send`, `listen_in` or `hang_up`, at once or soon."""


@dataclass(frozen=True, slots=True)
class Sending:
    """The block begins to go out, for the `tries`th time in this call: from now on the receiver may
    hold it, whatever becomes of the call or of us.
    """

    block: Block
    tries: int


@dataclass(frozen=True, slots=True)
class Kissed:
    """The receiver holds the block."""

    block: Block


@dataclass(frozen=True, slots=True)
class Note:
    """What happened, for people and logs: a stable `what` with a word more."""

    what: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """The line is on-hook again (or not answering). `at`: the Step it ended in."""

    cause: Cause
    detail: str = ""
    at: Step = Step.IDLE


CallEffect = Order | Ready | Sending | Kissed | Note | Ended
