"""`python -m collector.sip`: the SIP front-end of the receiver."""

from __future__ import annotations

import json
import logging
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from collector.sip.bridging import Patience
from collector.sip.trunk import PORTS_EACH, Trunk
from collector.sip.worker import WorkerSettings
from protocols.sip.addresses import (
    AddressError,
    listen_address,
    networks,
    password_of,
    sip_host,
    stream_address,
)
from protocols.sip.availability import CALLS_AT_MOST, MISSING, available

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _fail(text: str) -> typer.Exit:
    print(text, file=sys.stderr, flush=True)
    return typer.Exit(2)


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line, ensure_ascii=False), flush=True)


def _room(rtp_port: int, calls: int) -> None:
    """Whether all workers' audio ports lie below 65,536."""
    needed = -(-calls // CALLS_AT_MOST) * PORTS_EACH
    most = 65_536 - needed
    if rtp_port > most:
        raise AddressError(
            f"--rtp-port {rtp_port}: {calls} calls take {needed} ports from there on; expected at"
            f" most {most}.\n"
            f"--rtp-port {rtp_port}：{calls} 路呼叫需要 {needed} 个端口，最大可填 {most}。"
        )


@app.command()
def run(
    audiosocket: Annotated[
        str, typer.Option(help="The receiver's AudioSocket server: HOST:PORT or unix:PATH.")
    ],
    listen: Annotated[
        str, typer.Option(help="Where SIP (UDP) is listened for: IP:PORT; port 0 is any.")
    ] = "127.0.0.1:5060",
    allow: Annotated[
        list[str], typer.Option(help="Networks calls may come from; repeatable. Others: 403.")
    ] = ["127.0.0.0/8", "::1/128"],  # noqa: B006  never changed
    calls: Annotated[
        int, typer.Option(min=1, max=240, help="Calls at once; one more is told 486 (busy).")
    ] = 4,
    registrar: Annotated[
        str, typer.Option(help="Register the number here (sip:HOST[:PORT]). Default: nowhere.")
    ] = "",
    user: Annotated[str, typer.Option(help="Name of the SIP account, often the number.")] = "",
    password_file: Annotated[
        Path | None, typer.Option(help="File with the account's password.")
    ] = None,
    rtp_port: Annotated[
        int, typer.Option(min=0, max=65_000, help="First UDP port for audio; 0: any free ones.")
    ] = 0,
    buffer_ms: Annotated[
        int, typer.Option(min=20, max=400, help="Jitter buffer: how late a packet may be.")
    ] = 60,
    conceal: Annotated[
        bool, typer.Option(help="Fill in for lost packets instead of being silent for them.")
    ] = True,
    telephone_event: Annotated[
        bool,
        typer.Option(help="Agree to RFC 4733 digits when offered, and turn them into tones."),
    ] = True,
    longest_s: Annotated[
        float, typer.Option(min=30, max=7200, help="No call lasts longer (seconds).")
    ] = 900,
    sip_log: Annotated[
        int, typer.Option(min=0, max=5, help="How much PJSUA logs to standard error.")
    ] = 1,
) -> None:
    """Answer SIP calls and hand their audio to the receiver, 20 ms by 20 ms.

    把 SIP 来电的声音逐帧交给接收机(AudioSocket)。

    Prints {"ready": true, "sip": "HOST:PORT"} and then one JSON line for each step of a call.

    Example:  python -m collector.sip --listen 192.0.2.10:5060 --allow 192.0.2.20/32
              --audiosocket 127.0.0.1:9092
    """
    try:
        host, port = listen_address(listen, "--listen")
        receiver = stream_address(audiosocket, "--audiosocket")
        allowed = networks(allow, "--allow")
        asked = sip_host(registrar, "--registrar") if registrar else ""
        secret = password_of(password_file, "--password-file")
        _room(rtp_port, calls)
    except AddressError as error:
        raise _fail(str(error)) from None
    if not available():
        raise _fail(MISSING)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")

    common = WorkerSettings(
        0,
        receiver,
        media=host,
        allow=tuple(map(str, allowed)),
        buffer_ms=buffer_ms,
        conceal=conceal,
        telephone_event=telephone_event,
        rtp_port=rtp_port,
        sip_log=sip_log,
        patience=Patience(longest_s=longest_s),
        registrar=asked,
        user=user,
        password=secret,
    )
    try:
        trunk = Trunk((host, port), calls, allowed, common, _say)
    except OSError as error:
        raise _fail(
            f"Cannot listen for SIP at {listen}: {error.strerror}. Is another SIP program on this"
            f" port, and is the address one of this machine's?\n"
            f"无法在 {listen} 上监听 SIP：端口是否被占用？地址是否属于本机？"
        ) from None

    def stop(*_: Any) -> None:
        trunk.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    trunk.run()
    _say({"stopped": True})


if __name__ == "__main__":
    app()
