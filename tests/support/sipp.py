"""sipp (Debian's sip-tester) as the other side of a SIP call: another implementation, scripted."""

from __future__ import annotations

import socket
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Self

from hil.drivers.process import RigError, wait_for

_BACK = (
    "[last_Via:]\n[last_From:]\n[last_To:];tag=far[call_number]\n[last_Call-ID:]\n[last_CSeq:]\n"
)
_CONTACT = "Contact: <sip:far@[local_ip]:[local_port]>\n"
_SDP = """Content-Type: application/sdp
Content-Length: [len]

v=0
o=far 1 1 IN IP4 [local_ip]
s=-
c=IN IP4 [media_ip]
t=0 0
m=audio [media_port] RTP/AVP 8 0
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
"""


def answer(status: str, more: str = "Content-Length: 0\n") -> str:
    """One response to what was received last."""
    return f"<send><![CDATA[\nSIP/2.0 {status}\n{_BACK}{_CONTACT}{more}\n]]></send>"


def receive(method: str, inner: str = "", auth: str = "") -> str:
    """One request awaited."""
    return f'<recv request="{method}"{auth}>{inner}</recv>'


def refuses(status: str) -> str:
    """A far end that answers an INVITE with this."""
    return receive("INVITE") + answer(status) + receive("ACK")


RINGS_FOR_EVER = (
    receive("INVITE") + answer("180 Ringing") + receive("CANCEL") + answer("200 OK") + "<nop/>"
)
_REMEMBER = """<action>
<ereg regexp=".*" search_in="hdr" header="From:" assign_to="caller"/>
<ereg regexp="sip:[^>]*" search_in="hdr" header="Contact:" assign_to="contact"/>
</action>"""
HANGS_UP = (
    receive("INVITE", _REMEMBER)
    + answer("180 Ringing")
    + answer("200 OK", _SDP)
    + receive("ACK")
    + '<pause milliseconds="300"/>'
    + """<send retrans="500"><![CDATA[
BYE [$contact] SIP/2.0
Via: SIP/2.0/UDP [local_ip]:[local_port];branch=[branch]
From: <sip:5551000@127.0.0.1>;tag=far[call_number]
To:[$caller]
[last_Call-ID:]
CSeq: 2 BYE
Max-Forwards: 70
Content-Length: 0

]]></send><recv response="200"/>"""
)
CHALLENGE = (
    'WWW-Authenticate: Digest realm="tocsin.test", nonce="47ebe028cda119c35d4877b383027d28"\n'
)


def registrar(user: str, password: str) -> str:
    """Wants a password, checks it, and is content."""
    check = (
        f'<action><verifyauth assign_to="good" username="{user}" password="{password}"/></action>'
    )
    return (
        receive("REGISTER")
        + answer("401 Unauthorized", CHALLENGE + "Content-Length: 0\n")
        + receive("REGISTER", check)
        + '<nop hide="true" test="good" next="right"/>'
        + answer("403 Forbidden")
        + '<nop hide="true" next="end"/><label id="right"/>'
        + answer("200 OK", "Expires: 300\nContent-Length: 0\n")
        + '<label id="end"/>'
    )


class Sipp:
    """A sipp that answers by a scenario; `port` is where."""

    def __init__(self, folder: Path, scenario: str) -> None:
        self.port = free_port()
        self._log = folder / f"sipp-{self.port}.log"
        script = folder / f"sipp-{self.port}.xml"
        script.write_text(
            '<?xml version="1.0" encoding="ISO-8859-1"?>\n<!DOCTYPE scenario SYSTEM "sipp.dtd">\n'
            f'<scenario name="far">{scenario}</scenario>\n'
        )
        self._words = ["sipp", "-sf", str(script), "-i", "127.0.0.1", "-p", str(self.port)]
        self._words += ["-nostdin", "-mi", "127.0.0.1", "-mp", str(free_port())]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._words, stdout=log, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
        wait_for(f"sipp on port {self.port}: {self._log}", self._listening, 10)
        return self

    def _listening(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RigError(f"sipp ended:\n{self._log.read_text(errors='replace')[-2000:]}")
        bound = f":{self.port:04X} "
        return any(bound in line for line in Path("/proc/net/udp").read_text().splitlines())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


def free_port() -> int:
    """A UDP port nobody uses just now."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def dial(port: int, folder: Path, calls: int = 1, seconds: float = 1.0) -> bool:
    """sipp's own caller: INVITE, ACK, some seconds, BYE. Whether every call went through."""
    words = ["sipp", "-sn", "uac", f"127.0.0.1:{port}", "-i", "127.0.0.1", "-nostdin"]
    words += ["-p", str(free_port()), "-mp", str(free_port()), "-m", str(calls), "-l", "1"]
    words += ["-d", str(round(seconds * 1000)), "-s", "5551000", "-timeout", "60", "-r", "2"]
    done = subprocess.run(words, check=False, capture_output=True, cwd=folder, timeout=90)
    return done.returncode == 0
