"""A SIP and RTP peer of nothing but datagrams: says what no library would let it say."""

from __future__ import annotations

import re
import socket
import struct
import time
from types import TracebackType
from typing import Self

from hil.drivers.process import RigError

SILENCE, LOUD = b"\xff" * 160, b"\x20" * 160
"""20 ms in mu-law."""
OFFER = ("0 8", "a=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n")
EVENTS = ("0 101", "a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n")


class Rtp:
    """One RTP source at `host`."""

    def __init__(self, host: str = "127.0.0.1", ssrc: int = 1, first: int = 0) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self._socket.setblocking(False)
        self.port = int(self._socket.getsockname()[1])
        self.ssrc = ssrc
        self.sequence = first
        self.stamp = 160 * first

    def send(self, to: int, payload: bytes, kind: int = 0, step: int = 160) -> None:
        """One packet to this port of the loopback; the time stamp goes on by `step` after it."""
        head = struct.pack(
            "!BBHII", 0x80, kind, self.sequence & 0xFFFF, self.stamp & 0xFFFFFFFF, self.ssrc
        )
        self._socket.sendto(head + payload, ("127.0.0.1", to))
        self.sequence += 1
        self.stamp += step

    def raw(self, to: int, data: bytes) -> None:
        """Any datagram to this port."""
        self._socket.sendto(data, ("127.0.0.1", to))

    def event(self, to: int, key: int, *, end: bool, lasted: int) -> None:
        """One packet of an RFC 4733 event; its time stamp is the event's beginning."""
        body = struct.pack("!BBH", key, (0x80 if end else 0) | 10, lasted)
        self.send(to, body, 101, 0)

    def drain(self) -> list[bytes]:
        """Payloads that came since."""
        came: list[bytes] = []
        while True:
            try:
                came.append(self._socket.recv(4096)[12:])
            except BlockingIOError:
                return came

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class SipPeer:
    """One dialog at a time, as caller (`ask`) or as called party (`hear`, `answer`)."""

    def __init__(self, host: str = "127.0.0.1", call: str = "raw", caller: str = "5550001") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self.host = host
        self.port = int(self._socket.getsockname()[1])
        self.rtp = Rtp(host)
        self.call = call
        self.target = ""
        """Contact of the other side."""
        self.there = 0
        """Where the other side wants audio."""
        self._us = f"<sip:{caller}@{host}>;tag={call}"
        self._them = "<sip:5551000@127.0.0.1>"
        self._number = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()
        self.rtp.close()

    def sdp(self, offer: tuple[str, str] = OFFER, more: str = "") -> str:
        """A session description with our RTP port."""
        return (
            f"v=0\r\no=x 1 {self._number + 1} IN IP4 {self.host}\r\ns=-\r\n"
            f"c=IN IP4 {self.host}\r\nt=0 0\r\n"
            f"m=audio {self.rtp.port} RTP/AVP {offer[0]}\r\n{offer[1]}{more}"
        )

    def send(self, data: bytes, port: int) -> None:
        """Any datagram."""
        self._socket.sendto(data, ("127.0.0.1", port))

    def ask(self, method: str, port: int = 0, body: str = "", more: str = "") -> None:
        """A request, to `port` or (0) to the other side's Contact. ACK and CANCEL go with the last
        request's number.
        """
        self._number += method not in ("ACK", "CANCEL")
        uri = self.target or f"sip:5551000@127.0.0.1:{port}"
        own_branch = method if method in ("ACK", "BYE") else ""
        kind = "Content-Type: application/sdp\r\n" if body else ""
        text = (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.host}:{self.port};"
            f"branch=z9hG4bK{self.call}{self._number}{own_branch};rport\r\n"
            f"From: {self._us}\r\nTo: {self._them}\r\nCall-ID: {self.call}\r\n"
            f"CSeq: {self._number} {method}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:peer@{self.host}:{self.port}>\r\n{more}{kind}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        self.send(text.encode(), port or int(uri.rpartition(":")[2].partition(";")[0]))

    def final(self, method: str, port: int = 0, body: str = "", more: str = "") -> str:
        """Ask, and the final answer (all of it); an INVITE is acknowledged."""
        self.ask(method, port, body, more)
        answer = self.hear("SIP/2.0 [2-6]")
        if method == "INVITE":
            self.ask("ACK", port if not self.target else 0)
        return answer

    def hear(self, wanted: str, timeout_s: float = 10) -> str:
        """The next datagram whose first line matches; others meanwhile are passed over."""
        end = time.monotonic() + timeout_s
        passed: list[str] = []
        while time.monotonic() < end:
            self._socket.settimeout(max(0.01, end - time.monotonic()))
            try:
                text = self._socket.recv(65_535).decode("latin-1")
            except TimeoutError:
                break
            first = text.partition("\r\n")[0]
            if re.search(wanted, first):
                self._learn(text)
                return text
            passed.append(first)
        raise RigError(f"no {wanted!r} within {timeout_s:g} s; came {passed}")

    def _learn(self, text: str) -> None:
        """Who and where the other side is."""
        asked = not text.startswith("SIP/2.0")
        if found := re.search(r"^Contact:\s*<([^>]*)>", text, re.MULTILINE | re.IGNORECASE):
            self.target = found[1]
        if found := re.search(r"^m=audio (\d+)", text, re.MULTILINE):
            self.there = int(found[1])
        self._them = _value(text, "From" if asked else "To")
        if asked:
            self.call = _value(text, "Call-ID")
            self._us = _tagged(_value(text, "To"))

    def answer(self, request: str, status: str, body: str = "", more: str = "") -> None:
        """A response to a request that came, to where it came from."""
        kept = [
            f"To: {_tagged(line[3:].strip())}" if line.lower().startswith("to:") else line
            for line in request.split("\r\n")
            if re.match(r"(via|from|to|call-id|cseq|record-route):", line, re.IGNORECASE)
        ]
        contact = f"Contact: <sip:peer@{self.host}:{self.port}>\r\n{more}"
        kind = "Content-Type: application/sdp\r\n" if body else ""
        head = "\r\n".join([f"SIP/2.0 {status}", *kept, contact])
        via = re.search(r"^Via: SIP/2.0/UDP [^:;\s]+:(\d+)", request, re.MULTILINE | re.IGNORECASE)
        assert via is not None
        text = f"{head}{kind}Content-Length: {len(body)}\r\n\r\n{body}"
        self.send(text.encode(), int(via[1]))


def _value(text: str, name: str) -> str:
    found = re.search(rf"^{name}:\s*([^\r]*)", text, re.MULTILINE | re.IGNORECASE)
    assert found is not None, text
    return found[1]


def _tagged(value: str) -> str:
    return value if ";tag=" in value else f"{value};tag=far"
