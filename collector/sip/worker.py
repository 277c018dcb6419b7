"""`python -m collector.sip.worker`: one library with its few calls, begun by `collector.sip`.

Its settings are the first line of standard input (JSON). Standard input's end is its end: who began
it is gone. One JSON line on standard output for each step.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import sys
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any, Final

import msgspec

from collector.sip.bridging import Patience

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """`switch`: host:port where it sends. `public`: host:port of the Contact. `media`: own address
    for audio. `registrar`: empty when this worker registers nothing.
    """

    number: int
    receiver: tuple[str, int] | str
    switch: str = ""
    public: str = ""
    media: str = LOOPBACK
    allow: tuple[str, ...] = ()
    calls: int = 4
    buffer_ms: int = 60
    conceal: bool = True
    telephone_event: bool = True
    rtp_port: int = 0
    sip_log: int = 1
    patience: Patience = field(default_factory=Patience)
    registrar: str = ""
    user: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"WorkerSettings({self.number})"


def main() -> None:
    """The program."""
    line = sys.stdin.buffer.readline()
    if not line:
        return
    settings = msgspec.json.decode(line, type=WorkerSettings)
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")

    import pjsua2 as pj

    from collector.sip.front_end import FrontEnd, FrontEndSettings, Registration, print_line
    from protocols.sip.phone import PhoneSettings

    try:
        front = FrontEnd(
            FrontEndSettings(
                settings.receiver,
                f"<sip:line{settings.number}@{settings.public}>",
                PhoneSettings(
                    LOOPBACK,
                    0,
                    settings.calls,
                    settings.buffer_ms,
                    settings.conceal,
                    settings.telephone_event,
                    settings.rtp_port,
                    settings.sip_log,
                    settings.media,
                ),
                settings.patience,
                tuple(ip_network(network) for network in settings.allow),
                Registration(settings.registrar, settings.user, settings.password, settings.switch),
            ),
            print_line,
        )
    except pj.Error as error:
        print_line({"failed": str(error.reason)})
        os._exit(2)

    def stop(*_: Any) -> None:
        front.stopping = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is the switch's to tell
    print_line({"ready": True, "sip": front.address})
    front.run(lambda: bool(select.select([sys.stdin], [], [], 0)[0]))
    print_line({"stopped": True})
    os._exit(0)  # the library's threads do not survive the interpreter's own end


if __name__ == "__main__":
    main()
