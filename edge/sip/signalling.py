"""One line as the panel sees it, between its orders and what SIP tells. Pure.

In: a panel's CONTROL frame (`order_of`), the call's progress, the trunk's state, time. Out: what is
said to the panel ({"is": ...}), and what is done in SIP.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final
from urllib.parse import quote

from protocols.instants import Instant, later

BUSY: Final = (486, 600)
"""RFC 3261 21.4.24 and 21.6.1."""
UNANSWERED: Final = (408, 487)
"""What the far side says when nobody took a call that rang."""
ORDER_BYTES: Final = 4096
NUMBER_DIGITS: Final = 32
_DIALABLE: Final = frozenset("0123456789*#,")


class Step(Enum):
    """Where the line is."""

    IDLE = "idle"
    SEIZED = "seized"
    CALLING = "calling"
    TALKING = "talking"
    OVER = "over"
    """The call has ended, the panel has not released yet."""


@dataclass(frozen=True, slots=True)
class Seize:
    """Go off-hook."""


@dataclass(frozen=True, slots=True)
class Dial:
    """Call `number`: digits, `*`, `#`; pauses were left out."""

    number: str


@dataclass(frozen=True, slots=True)
class Release:
    """Hang up."""


@dataclass(frozen=True, slots=True)
class Malformed:
    """No order of a panel's. Counted, else ignored."""

    reason: str


Order = Seize | Dial | Release


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the panel `{"is": what, ...}`."""

    what: str
    why: str = ""
    up: bool | None = None

    def fields(self) -> dict[str, Any]:
        """As sent."""
        told: dict[str, Any] = {"is": self.what}
        if self.up is not None:
            told["up"] = self.up
        if self.why:
            told["why"] = self.why
        return told


@dataclass(frozen=True, slots=True)
class Invite:
    """Begin a SIP call."""

    number: str


@dataclass(frozen=True, slots=True)
class HangUp:
    """CANCEL or BYE, whichever it takes."""


Effect = Say | Invite | HangUp


def order_of(payload: bytes) -> Order | Malformed | None:
    """A CONTROL frame's order. None: understood, and nothing to do for a SIP line."""
    if len(payload) > ORDER_BYTES:
        return Malformed("too long")
    try:
        do: Any = json.loads(payload)
    except (ValueError, RecursionError):
        return Malformed("no JSON")
    if not isinstance(do, dict):
        return Malformed("no object")
    match do.get("do"):
        case "seize":
            return Seize()
        case "release":
            return Release()
        case "dial":
            return _dial(do.get("number"))
        case "voice" | "loop":
            return None
        case _:
            return Malformed("unknown order")


def _dial(number: Any) -> Dial | Malformed:
    if not isinstance(number, str) or not set(number) <= _DIALABLE:
        return Malformed("a number is of 0-9 * # and ,")
    digits = number.replace(",", "")
    if not 1 <= len(digits) <= NUMBER_DIGITS:
        return Malformed(f"a number has 1 to {NUMBER_DIGITS} digits")
    return Dial(digits)


def request_uri(number: str, trunk: str) -> str:
    """Whom to INVITE: `number` at the trunk `host[:port]`, `#` written as %23 (RFC 3261 25.1)."""
    return f"sip:{quote(number, safe='*')}@{trunk}"


class Line:
    """The machine of one line. `answer_s`: a call that nobody takes is given up after so long."""

    def __init__(self, answer_s: float, *, up: bool, why: str = "") -> None:
        self.step = Step.IDLE
        self.up = up
        self._why = why
        self._answer_s = answer_s
        self._rang = False
        self._until: Instant | None = None

    @property
    def off_hook(self) -> bool:
        """Whether the panel holds the line."""
        return self.step is not Step.IDLE

    def plugged(self) -> list[Effect]:
        """A panel has connected."""
        return [self._status()]

    def unplugged(self) -> list[Effect]:
        """The panel's connection is gone."""
        return self.order(Release(), Instant(0))

    def order(self, order: Order, now: Instant) -> list[Effect]:
        """What the panel wants."""
        match order:
            case Seize() if self.step is Step.IDLE:
                if not self.up:
                    return [Say("no_line", self._why)]
                self.step = Step.SEIZED
                return [Say("seized"), Say("dial_tone")]
            case Dial(number) if self.step is Step.SEIZED:
                self.step, self._rang = Step.CALLING, False
                self._until = later(now, self._answer_s)
                return [Invite(number)]
            case Release() if self.step is not Step.IDLE:
                open_call = self.step in (Step.CALLING, Step.TALKING)
                self.step, self._until = Step.IDLE, None
                return [HangUp()] if open_call else []
            case _:
                return []

    def ringing(self) -> list[Effect]:
        """180 or 183."""
        if self.step is not Step.CALLING or self._rang:
            return []
        self._rang = True
        return [Say("ringing")]

    def answered(self) -> list[Effect]:
        """200."""
        if self.step is not Step.CALLING:
            return []
        self.step, self._until = Step.TALKING, None
        return [Say("answered")]

    def ended(self, code: int) -> list[Effect]:
        """The SIP call is over, with this status, and not by our own HangUp."""
        was, self._until = self.step, None
        if was is Step.TALKING:
            self.step = Step.OVER
            return [Say("dropped", str(code) if code >= 300 else "")]
        if was is not Step.CALLING:
            return []
        self.step = Step.OVER
        if code in BUSY:
            return [Say("busy")]
        if self._rang and code in UNANSWERED:
            return [Say("failed", "no_answer")]
        return [Say("failed", str(code))]

    def trunk(self, up: bool, why: str = "") -> list[Effect]:
        """The registration, or the trunk's answer to OPTIONS, came or went."""
        if (up, why) == (self.up, self._why):
            return []
        changed = up != self.up
        self.up, self._why = up, why
        return [self._status()] if changed else []

    def tick(self, now: Instant) -> list[Effect]:
        """Time has passed."""
        if self._until is None or now < self._until:
            return []
        self.step, self._until = Step.OVER, None
        return [HangUp(), Say("failed", "no_answer")]

    def deadline(self) -> Instant | None:
        """When `tick` has something to do."""
        return self._until

    def _status(self) -> Say:
        return Say("line", "" if self.up else self._why, up=self.up)


def trunk_state(code: int) -> tuple[bool, str]:
    """(up, why) from the status of a REGISTER or OPTIONS. A trunk that refuses OPTIONS is there
    all the same; one that does not answer (408, 503 made up by our own side) is not.
    """
    if code in (408, 502, 503, 504) or code < 100:
        return False, "trunk_silent"
    return True, ""
