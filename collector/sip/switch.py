"""One SIP address for many workers: which process gets which datagram. Pure.

A worker (one library, four calls) listens on loopback alone. What comes from outside is checked
first, then given to a worker with our Via on top and a Record-Route, so that all that the worker
says comes back here; outside none of that is seen: there is one user agent, whose calls have
Contact `lineN`. Transactions are not kept (RFC 3261 16.11): the branch is drawn from the caller's.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from ipaddress import AddressValueError, IPv4Address
from typing import Final

from collector.sip.bridging import caller_of
from collector.sip.lines import Address, Lines
from collector.sip.message import (
    BYTES_AT_MOST,
    METHODS,
    Malformed,
    Message,
    answer_address,
    parse,
    response,
    uri_parts,
    via_parameter,
    via_received,
    via_sender,
)
from protocols.sip.addresses import Network, within

ANSWERS_A_SECOND: Final = 50
"""Refusals beyond are not sent: whoever floods gets no mirror."""
OUR_BRANCH: Final = "z9hG4bKtocsin"
LIBRARY_REFUSES: Final = {
    415: "no session description",
    420: "an extension is required that is not here",
    486: "no place in the library yet",
    488: "no G.711 in the clear is offered",
}
_ALLOW: Final = ("allow", ", ".join(METHODS))
_SUPPORTED: Final = ("supported", "100rel, timer")


@dataclass(frozen=True, slots=True)
class Send:
    """A datagram to `to`: from the public socket (`outside`), or to a worker."""

    outside: bool
    data: bytes
    to: Address


@dataclass(frozen=True, slots=True)
class Refused:
    """What came from `source` was answered `code`, or (0) dropped."""

    code: int
    why: str
    source: Address
    caller: str = ""


@dataclass(frozen=True, slots=True)
class Alive:
    """Worker `number` answered a question of ours."""

    number: int


Effect = Send | Refused | Alive


@dataclass(slots=True)
class _Bucket:
    """Answers left in this second."""

    second: int = -1
    left: int = 0

    def take(self, now_s: float) -> bool:
        if int(now_s) != self.second:
            self.second, self.left = int(now_s), ANSWERS_A_SECOND
        self.left -= 1
        return self.left >= 0


@dataclass(frozen=True, slots=True)
class Ends:
    """`public`: what callers see. `inner`: where workers send. `registrar`: resolved, or none."""

    public: Address
    inner: Address
    allow: tuple[Network, ...]
    tag: str
    """Of our own answers; drawn at start."""


class Switch:
    """The machine. `lines`: to be told what becomes of the workers and their calls."""

    def __init__(self, ends: Ends, lines: Lines) -> None:
        self.ends = ends
        self.lines = lines
        self.registrar: Address | None = None
        self.counted: dict[str, int] = {}
        """Refusals by reason."""
        self._answers = _Bucket()
        self._strangers = _Bucket()

    def ask(self, number: int) -> list[Effect]:
        """A question (OPTIONS) to a worker; an answer to it is `Alive`."""
        address = self.lines.addresses[number]
        if address is None:
            return []
        here = "{}:{}".format(*self.ends.inner)
        return [
            Send(
                False,
                (
                    f"OPTIONS sip:line{number}@{address[0]}:{address[1]} SIP/2.0\r\n"
                    f"Via: SIP/2.0/UDP {here};branch={OUR_BRANCH}ask{number}\r\n"
                    f"From: <sip:switch@{here}>;tag=ask\r\nTo: <sip:line{number}@{here}>\r\n"
                    f"Call-ID: ask{number}@{here}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n"
                    "Content-Length: 0\r\n\r\n"
                ).encode(),
                address,
            )
        ]

    # -- from outside -----------------------------------------------------------------------------

    def from_outside(self, data: bytes, source: Address, now_s: float) -> list[Effect]:
        """A datagram to the public address."""
        message = parse(data)
        if message is None:
            return []
        if not within(f"{source[0]}:{source[1]}", self.ends.allow):
            if isinstance(message, Malformed):
                return self._drop("source not allowed", source)
            return self._refuse(message, "403 Forbidden", "source not allowed", source, now_s)
        if isinstance(message, Malformed):
            return self._drop(message.reason, source)
        if message.code:
            return self._answered(message, source)
        if message.method not in METHODS:
            status = "405 Method Not Allowed"
            return self._refuse(message, status, "method", source, now_s, _ALLOW)
        message = message.kept()
        if len(message.encode()) > BYTES_AT_MOST:
            return self._refuse(message, "513 Message Too Large", "too large", source, now_s)
        return self._request(message, source, now_s)

    def _request(self, message: Message, source: Address, now_s: float) -> list[Effect]:
        call_id = message.first("call-id")
        fresh = ";tag=" not in message.first("to").lower()
        call = self.lines.find(call_id)
        if message.method == "OPTIONS" and fresh:
            return self._options(message, source, now_s)
        if message.method == "INVITE" and fresh and call is None:
            call = self.lines.give(call_id, source, now_s)
            if call is None:
                return self._full(message, source, now_s)
        number = call.worker if call is not None else self._number(message.uri)
        address = None if number is None else self.lines.addresses[number]
        if address is None:
            status = "481 Call/Transaction Does Not Exist"
            return self._refuse(message, status, "no such call", source, now_s)
        return [Send(False, self._inward(message, source).encode(), address)]

    def _inward(self, message: Message, source: Address) -> Message:
        via = message.first("via")
        inner = "{}:{}".format(*self.ends.inner)
        branch = _branch(via, message)
        message = message.with_first("via", via_received(via, source))
        while message.first("route"):
            message = message.without_first("route")
        if message.method == "INVITE":
            message = message.above("record-route", f"<sip:{inner};lr>")
        return message.above("via", f"SIP/2.0/UDP {inner};branch={branch}")

    def _number(self, uri: str) -> int | None:
        """N of a Contact `lineN` of ours."""
        user, _ = uri_parts(uri)
        digits = user.removeprefix("line")
        if digits == user or not (digits.isascii() and digits.isdigit()) or len(digits) > 4:
            return None
        return int(digits) if int(digits) < len(self.lines.each) else None

    def _options(self, message: Message, source: Address, now_s: float) -> list[Effect]:
        if not any(self.lines.addresses):
            return self._full(message, source, now_s)
        if not self._answers.take(now_s):
            return self._drop("too many questions", source)
        return self._answer(response(message, "200 OK", self.ends.tag, _ALLOW))

    def _full(self, message: Message, source: Address, now_s: float) -> list[Effect]:
        if any(self.lines.addresses):
            return self._refuse(message, "486 Busy Here", "no line free", source, now_s)
        later = ("retry-after", "5")
        status = "503 Service Unavailable"
        return self._refuse(message, status, "no worker", source, now_s, later)

    def _refuse(
        self,
        message: Message,
        status: str,
        why: str,
        source: Address,
        now_s: float,
        *more: tuple[str, str],
    ) -> list[Effect]:
        if message.method == "ACK":  # of a refusal
            return []
        if message.code:
            return self._drop(why, source)
        self.counted[why] = self.counted.get(why, 0) + 1
        caller = caller_of(message.encode().decode("latin-1"), message.first("from"))
        told = Refused(int(status[:3]), why, source, caller)
        bucket = self._strangers if status.startswith("403") else self._answers
        if not bucket.take(now_s):
            return [told]
        message = message.with_first("via", via_received(message.first("via"), source))
        return [*self._answer(response(message, status, self.ends.tag, *more)), told]

    def _answer(self, answer: Message) -> list[Effect]:
        to = answer_address(answer.first("via"))
        return [] if to is None else [Send(True, answer.encode(), to)]

    def _drop(self, why: str, source: Address) -> list[Effect]:
        self.counted[why] = self.counted.get(why, 0) + 1
        return [Refused(0, why, source)]

    def _answered(self, message: Message, source: Address) -> list[Effect]:
        """A response to what a worker asked (BYE, REGISTER)."""
        via = message.first("via")
        ours = (via_parameter(via, "branch") or "").startswith(OUR_BRANCH)
        if not ours or via_sender(via) != self.ends.public:
            return self._drop("answer to nothing of ours", source)
        message = message.without_first("via").kept()
        to = via_sender(message.first("via"))
        if to is None or to not in self.lines.addresses:
            return self._drop("answer to no worker", source)
        if len(message.encode()) > BYTES_AT_MOST:
            return self._drop("too large", source)
        return [Send(False, message.encode(), to)]

    # -- from workers -----------------------------------------------------------------------------

    def from_worker(self, data: bytes, source: Address, now_s: float) -> list[Effect]:
        """A datagram to the inner address. Who is no worker of ours is not heard."""
        message = parse(data)
        known = source in self.lines.addresses
        if not known or message is None or isinstance(message, Malformed):
            return self._drop("inside", source)
        if message.code:
            return self._outward(message, source, now_s)
        to = self._next_hop(message)
        if to is None:
            return self._drop("nowhere to send to", source)
        via = "SIP/2.0/UDP {}:{}".format(*self.ends.public)
        branch = OUR_BRANCH + _digest(message.first("via"), message.first("call-id"))
        message = _as_we_are(self._unrouted(message)).above("via", f"{via};branch={branch};rport")
        return [Send(True, message.encode(), to)]

    def _outward(self, message: Message, source: Address, now_s: float) -> list[Effect]:
        inner = "{}:{}".format(*self.ends.inner)
        if via_sender(message.first("via")) != self.ends.inner:
            return self._drop("inside", source)
        message = message.without_first("via").without("record-route", f"<sip:{inner};lr>")
        if not message.first("via"):
            return [Alive(self.lines.addresses.index(source))]
        told = self._library_refused(message, now_s)
        return [*self._answer(_as_we_are(message)), *told]

    def _library_refused(self, message: Message, now_s: float) -> list[Effect]:
        """An INVITE that never became a call: no G.711 offered, an extension required, no place."""
        call = self.lines.find(message.first("call-id"))
        method = message.first("cseq").partition(" ")[2].strip()
        if message.code < 300 or method != "INVITE" or call is None or call.told or call.over_s:
            return []
        call.over_s = now_s
        why = LIBRARY_REFUSES.get(message.code, "the library refused it")
        self.counted[why] = self.counted.get(why, 0) + 1
        return [Refused(message.code, why, call.source, caller_of("", message.first("from")))]

    def _unrouted(self, message: Message) -> Message:
        """Without the Route that led the worker's request here."""
        _, host = uri_parts(message.first("route"))
        return message.without_first("route") if host == self.ends.inner else message

    def _next_hop(self, message: Message) -> Address | None:
        """16.6 without DNS: a name that is no address stands for where the call came from, or for
        the registrar.
        """
        left = self._unrouted(message)
        _, host = uri_parts(left.first("route") or left.uri)
        try:
            if host is not None:
                return str(IPv4Address(host[0])), host[1]
        except AddressValueError:
            pass
        if message.method == "REGISTER":
            return self.registrar
        call = self.lines.find(message.first("call-id"))
        return None if call is None else call.source


def _as_we_are(message: Message) -> Message:
    """The library offers transfers and more, none of which is let in."""
    for name, value in (_ALLOW, _SUPPORTED):
        if message.first(name):
            message = message.with_first(name, value)
    return message


def _branch(via: str, message: Message) -> str:
    """The same for a request, its repetition, its CANCEL and its ACK after a refusal (16.11)."""
    sequence = message.first("cseq").partition(" ")[0]
    sent = f"{via_sender(via)} {via_parameter(via, 'branch')}"
    return OUR_BRANCH + _digest(sent, message.first("call-id"), sequence)


def _digest(*parts: str) -> str:
    return sha256("\0".join(parts).encode("latin-1")).hexdigest()[:24]
