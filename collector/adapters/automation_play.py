r"""A hardware receiver played by hand towards a running `tocsin-receiver` (or any automation).

    python -m collector.adapters.automation_play --dialect sur-gard-5 --listen 127.0.0.1:1025
    python -m collector.adapters.automation_play --dialect ademco-685 --connect 127.0.0.1:10050
    python -m collector.adapters.automation_play --dialect sur-gard-3 --link /tmp/mlr2 --seven-bits

`--listen` where receiver.toml has `connect`, `--connect` where it has `listen`, `--link` where it
has `device`. Commands, one a line, on stdin or by `--do`:

    cid ACCOUNT Q CODE AREA NUMBER     Contact ID, such as: cid 1234 1 130 01 005
    sia ACCOUNT TEXT                   such as: sia 1234 Nri1/BA5
    pulse ACCOUNT DIGITS               one or two event digits: pulse 1234 31
    channels ACCOUNT STATUS X          High Speed: channels 1234 15355555 7
    raw TEXT                           bytes as they are, \x14 for DC4: raw 0011[#0000|NLT01]\x14
    burst COUNT ACCOUNT                alarms of zones 1 to COUNT, queued as after a long silence
    lose COUNT · garble COUNT · cut COUNT    the next answers lost, frames with a wrong byte, halved
    mute · speak                       nothing leaves, heartbeats neither; again
    status · quit

Each command is answered by a line of JSON. With `--do` it ends when all is
acknowledged: 0; or `--within` seconds are over: 1.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final

from collector.adapters.automation_port import Transport
from collector.adapters.automation_sim import PtyTransport, ReceiverSim
from collector.adapters.automation_tcp import TcpClient, TcpServer
from collector.adapters.receiver_config import address
from protocols.automation.encoding import (
    Ademco685Encoder,
    BoschEncoder,
    Encoder,
    RadionicsEncoder,
    SurGardEncoder,
)
from protocols.automation.sending import MAX_QUEUE, Frame, Habits
from protocols.contact_id.message import Message

ENCODERS: Final[dict[str, Callable[[], Encoder]]] = {
    "sur-gard-3": SurGardEncoder,
    "sur-gard-5": lambda: SurGardEncoder("01001"),
    "ademco-685": Ademco685Encoder,
    "radionics-6500": RadionicsEncoder,
    "bosch-sia": BoschEncoder,
}
HABITS: Final = {
    "ademco-685": Habits(ack_s=2.0, repeats=1),
    "bosch-sia": Habits(skip_naks=3),
    "radionics-6500": Habits(skip_naks=3),
}
"""Where a make differs from Sur-Gard's (protocols.md 3)."""
LOOK_S: Final = 0.05
_CID: Final = re.compile(
    "(?P<account>[0-9B-F]{4}|[0-9B-F]{10}) (?P<q>[136]) (?P<code>[0-9B-F]{3}) (?P<area>[0-9B-F]{2})"
    " (?P<number>[0-9B-F]{3})"
)
_SIA: Final = re.compile(r"(?P<account>[0-9A-F]{1,16}) (?P<text>[NO][^\]]+)")
_PULSE: Final = re.compile("(?P<account>[0-9B-F]{4}) (?P<event>[0-9B-F]{1,2})")
_CHANNELS: Final = re.compile("(?P<account>[0-9B-F]{4}) (?P<status>[0-6]{8}) (?P<x>[0-9])")
_BURST: Final = re.compile("(?P<count>[0-9]{1,3}) (?P<account>[0-9B-F]{4})")


class CommandError(ValueError):
    """The command cannot be obeyed; the text says what is expected."""


def obey(sim: ReceiverSim[Transport], line: str) -> None:
    """Do what a line says. Raises CommandError."""
    word, _, rest = line.strip().partition(" ")
    if word in {"lose", "garble", "cut"}:
        if not rest.isdecimal():
            raise CommandError(f"{word} {rest!r}: expected a number, such as {word} 1")
        setattr(sim, "lose_answers" if word == "lose" else word, int(rest))
    elif word in {"mute", "speak"}:
        sim.mute = word == "mute"
    elif word != "status":
        for frame in frames(sim.encoder, word, rest):
            sim.put(frame)


def frames(encoder: Encoder, word: str, rest: str) -> list[Frame]:
    """What a reporting command sends. Raises CommandError."""
    if word == "raw" and rest:
        return [partial(_as_it_is, _bytes_of(rest))]
    if word == "burst" and (found := _BURST.fullmatch(rest)):
        count, account = int(found["count"]), found["account"]
        alarms = [Message(account, "1", "130", "01", f"{zone:03d}") for zone in range(1, count + 1)]
        return [partial(encoder.contact_id, message) for message in alarms]
    if word == "cid" and (found := _CID.fullmatch(rest)):
        return [partial(encoder.contact_id, Message(**found.groupdict()))]
    if word == "sia" and (found := _SIA.fullmatch(rest)):
        try:
            encoder.sia(found["account"], found["text"], 1)
        except ValueError as error:
            raise CommandError(str(error)) from error
        return [partial(encoder.sia, found["account"], found["text"])]
    if word == "pulse" and (found := _PULSE.fullmatch(rest)):
        return [partial(encoder.digits, found["account"], found["event"])]
    if word == "channels" and (found := _CHANNELS.fullmatch(rest)):
        return [partial(encoder.channels, found["account"], found["status"], found["x"])]
    raise CommandError(f"{word} {rest!r}: no such command; see --help for their forms")


def _as_it_is(data: bytes, _sequence: int) -> bytes:
    return data


def _bytes_of(text: str) -> bytes:
    try:
        return text.encode("latin-1").decode("unicode_escape").encode("latin-1")
    except ValueError as error:
        raise CommandError(f"raw {text!r}: {error}; write bytes as \\xNN") from error


def state_of(sim: ReceiverSim[Transport]) -> dict[str, int | bool]:
    """What a person wants to see."""
    return {
        "waiting": sim.waiting,
        "acknowledged": sim.done,
        "answers": sim.acks,
        "naks": sim.naks,
        "skipped": sim.skipped,
        "given up until a heartbeat is answered": sim.parked,
    }


def transport_of(options: argparse.Namespace) -> Transport:
    """Raises CommandError."""
    if options.link is not None:
        pty = PtyTransport()
        with contextlib.suppress(FileNotFoundError):
            options.link.unlink()
        options.link.symlink_to(pty.device)
        return pty
    given = options.listen or options.connect or ""
    place = address(given)
    if place is None:
        raise CommandError("give one of --listen, --connect (host:port) and --link (a path)")
    try:
        return TcpServer(*place) if options.listen else TcpClient(*place)
    except OSError as error:
        raise CommandError(f"cannot listen on {given}: {error.strerror}") from error


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(
        prog="python -m collector.adapters.automation_play",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--dialect", choices=list(ENCODERS), default="sur-gard-3")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--listen", metavar="HOST:PORT")
    where.add_argument("--connect", metavar="HOST:PORT")
    where.add_argument(
        "--link", type=Path, metavar="PATH", help="a serial port, as a link to a pty"
    )
    parser.add_argument("--ack-s", type=float, help="how long it waits for an ACK")
    parser.add_argument("--beat-s", type=float, default=30.0, help="between heartbeats")
    parser.add_argument("--repeats", type=int, help="without an ACK, before it gives up")
    parser.add_argument("--buffer", type=int, default=MAX_QUEUE, help="frames it keeps")
    parser.add_argument("--seven-bits", action="store_true", help="7E1: with parity bits")
    parser.add_argument("--do", action="append", default=[], metavar="COMMAND")
    parser.add_argument("--within", type=float, default=60.0, metavar="S", help="with --do")
    options = parser.parse_args()
    habits = replace(
        HABITS.get(options.dialect, Habits()), beat_s=options.beat_s, max_queue=options.buffer
    )
    given = {"ack_s": options.ack_s, "repeats": options.repeats}
    habits = replace(habits, **{name: one for name, one in given.items() if one is not None})
    try:
        transport = transport_of(options)
    except CommandError as error:
        parser.error(str(error))
    sim = ReceiverSim(ENCODERS[options.dialect](), transport, habits)
    sim.seven_bits = options.seven_bits
    sim.start()
    port = transport.port if isinstance(transport, TcpServer) else None
    _say({"ready": True, "pid": os.getpid(), "port": port})
    try:
        return _done(sim, options.do, options.within) if options.do else _by_hand(sim)
    except KeyboardInterrupt:
        return 130
    finally:
        sim.stop()
        if isinstance(transport, PtyTransport | TcpServer):
            transport.shut()


def _by_hand(sim: ReceiverSim[Transport]) -> int:
    for line in sys.stdin:
        if line.strip() == "quit":
            break
        _obey(sim, line)
    return 0


def _done(sim: ReceiverSim[Transport], commands: list[str], within_s: float) -> int:
    if not all(_obey(sim, line) for line in commands):
        return 2
    end = time.monotonic() + within_s
    while sim.waiting and time.monotonic() < end:
        time.sleep(LOOK_S)
    _say(state_of(sim))
    return 1 if sim.waiting else 0


def _obey(sim: ReceiverSim[Transport], line: str) -> bool:
    if not line.strip():
        return True
    try:
        obey(sim, line)
    except CommandError as error:
        _say({"error": str(error)})
        return False
    _say({"did": line.strip(), **state_of(sim)})
    return True


def _say(what: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(what, ensure_ascii=False) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
