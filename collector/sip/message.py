"""SIP datagrams (RFC 3261) as far as the switch must read them. Pure.

    start line CRLF, header lines CRLF (folded lines begin with a blank), CRLF, body

Only what the library needs is kept of a request from outside: it never sees a header that is not in
`KEPT`, nor a method that is not in `METHODS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

SHORT: Final = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact"} | {
    "c": "content-type",
    "l": "content-length",
    "k": "supported",
    "x": "session-expires",
}
"""Compact forms (RFC 3261 7.3.3, RFC 4028)."""
_NAMES: Final = (
    *("Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Contact", "Record-Route", "Route"),
    *("Content-Type", "Content-Length", "Supported", "Require", "Proxy-Require", "Allow", "Accept"),
    *("Session-Expires", "Min-SE", "P-Asserted-Identity", "Expires", "Min-Expires", "RAck"),
    *("WWW-Authenticate", "Proxy-Authenticate", "Retry-After"),
)
KEPT: Final = {name.lower(): name for name in _NAMES}
METHODS: Final = ("INVITE", "ACK", "CANCEL", "BYE", "OPTIONS", "UPDATE", "PRACK", "INFO")
BYTES_AT_MOST: Final = 3_600
"""The library's datagram holds 4,000; the rest is for what is put in front."""
LINES_AT_MOST: Final = 128
_REQUEST: Final = re.compile(r"([A-Z]{1,16}) (\S{1,512}) SIP/2\.0")
_RESPONSE: Final = re.compile(r"SIP/2\.0 ([1-6]\d\d)(?: .*)?")
_NAME: Final = re.compile(r"([A-Za-z0-9.!%*_+`'~-]{1,64})[ \t]*:[ \t]*(.*)", re.DOTALL)
_VIA: Final = re.compile(r"SIP ?/ ?2\.0 ?/ ?UDP +([^;, ]+)((?: ?;[^,]*)?)", re.IGNORECASE)
_HOST: Final = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]{1,255})(?::(\d{1,5}))?")
_URI: Final = re.compile(r"sips?:(?:([^@;>\s]*)@)?([^;>?,\s]+)", re.IGNORECASE)
_FOLD: Final = re.compile(r"\r?\n[ \t]+")
SIP_PORT: Final = 5060


@dataclass(frozen=True, slots=True)
class Malformed:
    """Bytes that are no SIP message we can answer or pass on."""

    reason: str


@dataclass(frozen=True, slots=True)
class Message:
    """A request (`method`, `uri`) or a response (`code`); names of headers in small letters."""

    start: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    method: str = ""
    uri: str = ""
    code: int = 0

    def first(self, name: str) -> str:
        """Value of the first header of this name, or nothing."""
        return next((value for key, value in self.headers if key == name), "")

    def encode(self) -> bytes:
        """As sent."""
        lines = [
            self.start,
            *(f"{KEPT.get(name, name.title())}: {value}" for name, value in self.headers),
        ]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body

    def kept(self) -> Message:
        """Without the headers nobody here needs."""
        return replace(self, headers=tuple(one for one in self.headers if one[0] in KEPT))

    def above(self, name: str, value: str) -> Message:
        """With one header more, on top."""
        return replace(self, headers=((name, value), *self.headers))

    def without_first(self, name: str) -> Message:
        """Without the first header of this name."""
        names = [key for key, _ in self.headers]
        at = names.index(name)
        return replace(self, headers=self.headers[:at] + self.headers[at + 1 :])

    def with_first(self, name: str, value: str) -> Message:
        """With another value in the first header of this name."""
        names = [key for key, _ in self.headers]
        at = names.index(name)
        return replace(self, headers=(*self.headers[:at], (name, value), *self.headers[at + 1 :]))

    def without(self, name: str, value: str) -> Message:
        """Without headers of exactly this name and value."""
        return replace(self, headers=tuple(one for one in self.headers if one != (name, value)))


def parse(data: bytes) -> Message | Malformed | None:
    """One datagram. None: a keep-alive (blanks and line ends alone, RFC 5626 3.5.1)."""
    if not data.strip(b"\r\n\0 "):
        return None
    head, gap, body = data.partition(b"\r\n\r\n")
    if not gap:
        return Malformed("no end of headers")
    lines = _FOLD.sub(" ", head.decode("latin-1").lstrip("\r\n")).split("\r\n")
    if len(lines) > LINES_AT_MOST:
        return Malformed("too many headers")
    headers: list[tuple[str, str]] = []
    for line in lines[1:]:
        found = _NAME.fullmatch(line)
        if found is None or "\n" in line or "\r" in line or "\0" in line:
            return Malformed("no header line")
        name = found[1].lower()
        headers.append((SHORT.get(name, name), found[2].strip()))
    headers = _each_via(headers)
    asks, answers = _REQUEST.fullmatch(lines[0]), _RESPONSE.fullmatch(lines[0])
    if asks:
        message = Message(lines[0], tuple(headers), body, asks[1], asks[2])
    elif answers:
        message = Message(lines[0], tuple(headers), body, code=int(answers[1]))
    else:
        return Malformed("neither request nor response")
    return _complete(message)


def _each_via(headers: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """One Via a line (7.3.1 allows several, divided by commas)."""
    return [
        (name, part.strip())
        for name, value in headers
        for part in (value.split(",") if name == "via" else (value,))
    ]


def _complete(message: Message) -> Message | Malformed:
    """Refuse what lacks a header of 8.1.1 or has two of them; cut the body as 18.3 says."""
    names = [name for name, _ in message.headers]
    for name in ("from", "to", "call-id", "cseq"):
        if names.count(name) != 1:
            return Malformed(f"{names.count(name)} headers {name}")
    if "via" not in names or via_sender(message.first("via")) is None:
        return Malformed("no Via for UDP")
    sequence, _, method = message.first("cseq").partition(" ")
    if not (sequence.isascii() and sequence.isdigit() and len(sequence) <= 10):
        return Malformed("CSeq")
    if message.method and method.strip() != message.method:
        return Malformed("CSeq of another method")
    if not 1 <= len(message.first("call-id")) <= 256:
        return Malformed("Call-ID")
    length = message.first("content-length")
    if not length:
        return message
    if not (length.isascii() and length.isdigit()) or int(length) > len(message.body):
        return Malformed("Content-Length")
    return replace(message, body=message.body[: int(length)])


def via_sender(via: str) -> tuple[str, int] | None:
    """Host and port in a Via of UDP (`sent-by`), or nothing."""
    found = _VIA.fullmatch(via)
    return None if found is None else host_of(found[1])


def via_parameter(via: str, name: str) -> str | None:
    """A parameter of a Via; empty when it has no value, None when it is not there."""
    for part in via.split(";")[1:]:
        key, _, value = part.partition("=")
        if key.strip().lower() == name:
            return value.strip()
    return None


def via_received(via: str, source: tuple[str, int]) -> str:
    """The Via with `received`, and `rport` where asked for (18.2.1, RFC 3581 4)."""
    parts = via.split(";")
    names = [part.partition("=")[0].strip().lower() for part in parts]
    kept = [p for p, name in zip(parts, names, strict=True) if name not in ("received", "rport")]
    answered = [f"rport={source[1]}"] if "rport" in names else []
    return ";".join([*kept, *answered, f"received={source[0]}"])


def answer_address(via: str) -> tuple[str, int] | None:
    """Whither a response with this Via on top goes (18.2.2, RFC 3581 4)."""
    sender = via_sender(via)
    if sender is None:
        return None
    port = via_parameter(via, "rport") or sender[1]
    return host_of(f"{via_parameter(via, 'received') or sender[0]}:{port}")


def host_of(text: str) -> tuple[str, int] | None:
    """`HOST[:PORT]`."""
    found = _HOST.fullmatch(text)
    if found is None or not 0 < int(found[2] or SIP_PORT) <= 65_535:
        return None
    return found[1].strip("[]"), int(found[2] or SIP_PORT)


def uri_parts(text: str) -> tuple[str, tuple[str, int] | None]:
    """User, and host with port, of the first sip URI in a text."""
    found = _URI.search(text)
    return ("", None) if found is None else (found[1] or "", host_of(found[2]))


def response(request: Message, status: str, tag: str, *more: tuple[str, str]) -> Message:
    """A final answer without state (8.2.7): the request's own Via, From, To, Call-ID, CSeq."""
    headers = [one for one in request.headers if one[0] in ("via", "from", "call-id", "cseq")]
    to = request.first("to")
    headers.append(("to", to if ";tag=" in to.lower() else f"{to};tag={tag}"))
    headers += [*more, ("server", "Tocsin"), ("content-length", "0")]
    return Message(f"SIP/2.0 {status}", tuple(headers), b"", code=int(status[:3]))
