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
    """One dialog at a time, as caller (`invite`) or as called party (`request`, `answer`)."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((host, 0))
        self.host = host
        self.port = int(self._socket.getsockname()[1])
        self.rtp = Rtp(host)
        self.to = ""
        """The other side's tag, with `;tag=`."""
        self.target = ""
        """Contact of the other side."""
        self.there = 0
        """Where the other side wants audio."""
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

    def ask(
        self,
        method: str,
        port: int,
        body: str = "",
        *,
        call: str = "raw",
        number: int = 0,
        more: str = "",
        caller: str = "5550001",
    ) -> None:
        """A request; `number`: its CSeq, the next one when 0."""
        self._number = number or self._number + 1
        kind = "Content-Type: application/sdp\r\n" if body else ""
        head = (
            f"{method} {self.target or f'sip:5551000@127.0.0.1:{port}'} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {self.host}:{self.port};branch=z9hG4bK{call}{self._number}"
            f"{method if method in ('ACK', 'BYE') else ''};rport\r\n"
            f"From: <sip:{caller}@{self.host}>;tag=raw{call}\r\n"
            f"To: <sip:5551000@127.0.0.1>{self.to}\r\nCall-ID: {call}\r\n"
            f"CSeq: {self._number} {method}\r\nMax-Forwards: 70\r\n"
            f"Contact: <sip:{caller}@{self.host}:{self.port}>\r\n{more}{kind}"
        )
        self.send(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode(), port)

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
        if found := re.search(r"^Contact:\s*<([^>]*)>", text, re.MULTILINE | re.IGNORECASE):
            self.target = found[1]
        if found := re.search(r"^m=audio (\d+)", text, re.MULTILINE):
            self.there = int(found[1])
        side = "To" if text.startswith("SIP/2.0") else "From"
        if found := re.search(rf"^{side}:.*(;tag=[^;\r\n]+)", text, re.MULTILINE | re.IGNORECASE):
            self.to = found[1]

    def answer(self, request: str, status: str, body: str = "", more: str = "") -> None:
        """A response to a request that came, to where it came from."""
        kept = [
            line + (";tag=far" if line.lower().startswith("to:") and ";tag=" not in line else "")
            for line in request.split("\r\n")
            if re.match(r"(via|from|to|call-id|cseq|record-route):", line, re.IGNORECASE)
        ]
        kind = ["Content-Type: application/sdp"] if body else []
        contact = f"Contact: <sip:far@{self.host}:{self.port}>"
        lines = [f"SIP/2.0 {status}", *kept, contact, *more.split("\r\n")[:-1], *kind]
        text = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])
        via = re.search(r"^Via: SIP/2.0/UDP ([^:;\s]+):(\d+)", text, re.MULTILINE | re.IGNORECASE)
        assert via is not None
        self.send(text.encode(), int(via[2]))
