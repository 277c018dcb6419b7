"""One incoming call between a SIP caller and the receiver: when to answer, refuse, hang up. Pure.

The call is answered only when the receiver has taken it: after the connection is made and the id
sent, the receiver has `settle_s` to hang up or close again (it is full, it is going down). Its
first frame shortens that wait.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

BUSY_HERE: Final = 486
UNAVAILABLE: Final = 503
_USER: Final = re.compile(r"(?:sips?|tel):([^@;>\s]*)", re.IGNORECASE)
_IDENTITY: Final = re.compile(r"^(?:P-Asserted-Identity)\s*:(.*)$", re.IGNORECASE | re.MULTILINE)
_DIGITS: Final = re.compile(r"\+?[0-9]{1,15}")
_SEPARATORS: Final = str.maketrans("", "", "-.() ")


class Stage(Enum):
    """Where a call is."""

    CONNECTING = "connecting"
    SETTLING = "settling"
    UP = "up"
    OVER = "over"


@dataclass(frozen=True, slots=True)
class Answer:
    """200 to the caller; audio flows from now on."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """A final answer of `code` to the INVITE."""

    code: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """BYE to the caller."""


@dataclass(frozen=True, slots=True)
class Part:
    """Tell the receiver that the call is over and close its connection."""


Effect = Answer | Refuse | HangUp | Part


@dataclass(frozen=True, slots=True)
class Patience:
    """Time limits. `ack_s`: from our 200 to the caller's ACK. `longest_s`: no call lasts longer."""

    connect_s: float = 2.0
    settle_s: float = 0.2
    ack_s: float = 8.0
    longest_s: float = 900.0


class Bridging:
    """The machine. `end` tells in a word how the call ended, once it is over."""

    def __init__(self, patience: Patience, now_s: float) -> None:
        self.stage = Stage.CONNECTING
        self.end = ""
        self._patience = patience
        self._until_s = now_s + patience.connect_s
        self._confirmed = False

    def connected(self, now_s: float) -> list[Effect]:
        """The receiver's socket took the connection and the call's id."""
        if self.stage is Stage.CONNECTING:
            self.stage = Stage.SETTLING
            self._until_s = now_s + self._patience.settle_s
        return []

    def heard(self, now_s: float) -> list[Effect]:
        """A frame came from the receiver that neither hangs up nor tells an error."""
        return self._answer(now_s) if self.stage is Stage.SETTLING else []

    def confirmed(self, now_s: float) -> list[Effect]:
        """The caller's ACK came. A caller that sends none is none, and shall hold no line."""
        if self.stage is Stage.UP and not self._confirmed:
            self._confirmed = True
            self._until_s = now_s + self._patience.longest_s
        return []

    def refuse(self, code: int, why: str) -> list[Effect]:
        """Refuse an incoming call before anything was done for it."""
        self._over(why)
        return [Refuse(code)]

    def receiver_hung_up(self) -> list[Effect]:
        """The receiver sent HANGUP or ERROR."""
        return self._receiver_over(BUSY_HERE, "receiver")

    def receiver_gone(self) -> list[Effect]:
        """The receiver could not be reached, or its connection broke."""
        return self._receiver_over(UNAVAILABLE, "receiver gone")

    def caller_gone(self) -> list[Effect]:
        """The caller cancelled, hung up, or the SIP call died."""
        if self.stage is Stage.OVER:
            return []
        self._over("caller")
        return [Part()]

    def deadline(self) -> float | None:
        """When `tick` has something to do."""
        return None if self.stage is Stage.OVER else self._until_s

    def tick(self, now_s: float) -> list[Effect]:
        """Time has passed."""
        if self.stage is Stage.OVER or now_s < self._until_s:
            return []
        if self.stage is Stage.SETTLING:
            return self._answer(now_s)
        if self.stage is Stage.CONNECTING:
            return self.receiver_gone()
        self._over("too long" if self._confirmed else "no ACK")
        return [HangUp(), Part()]

    def _answer(self, now_s: float) -> list[Effect]:
        self.stage = Stage.UP
        self._until_s = now_s + self._patience.ack_s
        return [Answer()]

    def _receiver_over(self, code: int, why: str) -> list[Effect]:
        if self.stage is Stage.OVER:
            return []
        up = self.stage is Stage.UP
        self._over(why)
        return [HangUp(), Part()] if up else [Refuse(code), Part()]

    def _over(self, why: str) -> None:
        self.stage = Stage.OVER
        self.end = why


def caller_of(invite: str, remote_uri: str) -> str:
    """The caller's number as digits, or empty: the network's word (P-Asserted-Identity, RFC 3325)
    before the phone's own (From).
    """
    head = invite.partition("\r\n\r\n")[0]
    for text in (*_IDENTITY.findall(head), remote_uri):
        found = _USER.search(text)
        number = found[1].translate(_SEPARATORS) if found else ""
        if _DIGITS.fullmatch(number):
            return number.lstrip("+")
    return ""
