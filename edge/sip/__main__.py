"""`python -m edge.sip`: the panel's SIP agent."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from protocols.sip.addresses import (
    AddressError,
    host_and_port,
    networks,
    password_of,
    sip_host,
    stream_address,
)
from protocols.sip.availability import MISSING, available

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def _fail(text: str) -> typer.Exit:
    print(text, file=sys.stderr, flush=True)
    return typer.Exit(2)


def _say(line: dict[str, Any]) -> None:
    print(json.dumps(line, ensure_ascii=False), flush=True)


@app.command()
def run(
    line: Annotated[
        str, typer.Option(help="Where the panel connects: unix:PATH or HOST:PORT (loopback).")
    ],
    trunk: Annotated[
        str, typer.Option(help="Whom calls go to: sip:HOST[:PORT]. Default: the registrar.")
    ] = "",
    registrar: Annotated[
        str, typer.Option(help="Register here (sip:HOST[:PORT]); the line is there while it holds.")
    ] = "",
    user: Annotated[str, typer.Option(help="Name of the SIP account, often the number.")] = "",
    password_file: Annotated[
        Path | None, typer.Option(help="File with the account's password.")
    ] = None,
    listen: Annotated[
        str, typer.Option(help="Own SIP address (UDP): IP:PORT; port 0 is any.")
    ] = "127.0.0.1:0",
    lines: Annotated[
        int, typer.Option(min=1, max=4, help="Panels' lines (connections) held at once.")
    ] = 1,
    rtp_port: Annotated[
        int, typer.Option(min=0, max=65_000, help="First UDP port for audio; 0: any free ones.")
    ] = 0,
    buffer_ms: Annotated[
        int, typer.Option(min=20, max=400, help="Jitter buffer: how late a packet may be.")
    ] = 60,
    conceal: Annotated[
        bool, typer.Option(help="Fill in for lost packets instead of being silent for them.")
    ] = True,
    audio_from: Annotated[
        list[str],
        typer.Option(
            help="Network audio may come from besides the address that the trunk names; repeatable."
        ),
    ] = [],  # noqa: B006  never changed
    answer_s: Annotated[
        float, typer.Option(min=5, max=180, help="Give up a call that nobody takes (seconds).")
    ] = 60,
    check_s: Annotated[
        float,
        typer.Option(min=0, max=3600, help="Without registrar: ask the trunk (OPTIONS) so often."),
    ] = 60,
    sip_log: Annotated[
        int, typer.Option(min=0, max=3, help="How much PJSUA logs to standard error.")
    ] = 1,
) -> None:
    """Hold SIP lines for panels: seize, dial and release by AudioSocket, calls by SIP.

    为报警主机提供 SIP 电话线路。

    Prints {"ready": true, "line": ..., "sip": ...}, then one JSON line for each step of a call.

    Example:  python -m edge.sip --line unix:phone.sock --registrar sip:ims.example.net
              --user 55501234 --password-file sip.password --listen 192.0.2.7:0
    """
    try:
        where = stream_address(line, "--line")
        host, port = host_and_port(listen, "--listen")
        asked = sip_host(registrar, "--registrar") if registrar else ""
        far = sip_host(trunk, "--trunk") if trunk else asked
        further = networks(audio_from, "--audio-from")
        secret = password_of(password_file, "--password-file")
    except AddressError as error:
        raise _fail(str(error)) from None
    if not far:
        raise _fail(
            "Neither --trunk nor --registrar is given: whom shall calls go to?"
            " For example --trunk sip:192.0.2.10:5060.\n"
            "--trunk 与 --registrar 均未给出：呼叫发往何处？例如 --trunk sip:192.0.2.10:5060。"
        )
    if not available():
        raise _fail(MISSING)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")

    import pjsua2 as pj

    from edge.sip.agent import Agent, AgentSettings
    from protocols.sip.phone import PhoneSettings

    phone = PhoneSettings(host, port, lines, buffer_ms, conceal, False, rtp_port, sip_log)
    settings = AgentSettings(
        where, far, asked, user, secret, lines, answer_s, check_s, phone, further
    )
    try:
        agent = Agent(settings, _say)
    except (OSError, pj.Error) as error:
        why = error.reason if isinstance(error, pj.Error) else str(error)
        print(
            f"Cannot open --line {line} or --listen {listen}: {why}. Is another program there, and"
            f" is the address one of this machine's?\n"
            f"无法打开 --line {line} 或 --listen {listen}：端口是否被占用？地址是否属于本机？",
            file=sys.stderr,
            flush=True,
        )
        os._exit(2)

    def stop(*_: Any) -> None:
        agent.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    _say({"ready": True, "line": agent.line_address, "sip": agent.address, "lines": lines})
    agent.run()
    _say({"stopped": True})
    os._exit(0)  # the library's threads do not survive the interpreter's own end


if __name__ == "__main__":
    app()
