"""`python -m collector.sip`: the SIP front-end of the receiver."""

from __future__ import annotations

import logging
import os
import signal
import sys
from typing import Annotated, Any

import typer

from protocols.sip.addresses import AddressError, host_and_port, networks, stream_address
from protocols.sip.availability import MISSING, available

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _fail(text: str) -> typer.Exit:
    print(text, file=sys.stderr, flush=True)
    return typer.Exit(2)


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
        int, typer.Option(min=1, max=4, help="Calls at once; one more is told 486 (busy).")
    ] = 4,
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
        host, port = host_and_port(listen, "--listen")
        receiver = stream_address(audiosocket, "--audiosocket")
        allowed = networks(allow, "--allow")
    except AddressError as error:
        raise _fail(str(error)) from None
    if not available():
        raise _fail(MISSING)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")

    import pjsua2 as pj

    from collector.sip.bridging import Patience
    from collector.sip.front_end import FrontEnd, FrontEndSettings, print_line
    from protocols.sip.phone import PhoneSettings

    settings = FrontEndSettings(
        receiver,
        PhoneSettings(host, port, calls, buffer_ms, conceal, telephone_event, rtp_port, sip_log),
        Patience(longest_s=longest_s),
        allowed,
    )
    try:
        front = FrontEnd(settings, print_line)
    except pj.Error as error:
        print(
            f"Cannot listen for SIP at {listen}: {error.reason}. Is another SIP program on this"
            f" port, and is the address one of this machine's?\n"
            f"无法在 {listen} 上监听 SIP：端口是否被占用？地址是否属于本机？",
            file=sys.stderr,
            flush=True,
        )
        os._exit(2)

    def stop(*_: Any) -> None:
        front.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    print_line({"ready": True, "sip": front.address, "calls": calls})
    front.run()
    print_line({"stopped": True})
    os._exit(0)  # the library's threads do not survive the interpreter's own end


if __name__ == "__main__":
    app()
