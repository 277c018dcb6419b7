"""`tocsin-edge arm|disarm|bypass|…`: what a user does, with his code, on the panel itself."""

from __future__ import annotations

import json
import os
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from edge.adapters.code_hash import CARD_FORM, card_of, code_problem, hash_code
from edge.adapters.local_socket import CodeEntered, Reply, ask

out = Console()
err = Console(stderr=True)

DataOption = Annotated[
    Path,
    typer.Option("--data", help="The panel's data directory.", envvar="TOCSIN_DATA"),
]
AreaOption = Annotated[
    list[int] | None, typer.Option("--area", help="Area number; may be given again. Default: all.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object for programs.")]

REASONS = {
    "wrong_code": "that code is not known here",
    "locked_out": "too many wrong codes; entry is locked for a while",
    "open_zones": "these zones are not ready; close them, or --force bypasses those that may be",
    "not_bypassable": "this zone may not be bypassed",
    "not_allowed": "this user may not do that",
    "unknown_area": "there is no such area",
    "unknown_zone": "there is no such zone",
    "armed": "that is possible only while disarmed",
    "in_alarm": "entry delay or alarm in progress; disarm first",
}


def _code() -> str:
    """The code from TOCSIN_CODE, a pipe, or a hidden prompt; never from the command line (`ps`)."""
    given = os.environ.get("TOCSIN_CODE")
    if given:
        return given
    if not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    return str(typer.prompt("Code", hide_input=True))


def _enter(data: Path, as_json: bool, request: CodeEntered, done: str) -> None:
    try:
        reply: Reply = ask(data / "panel.sock", request)
    except (OSError, TimeoutError) as error:
        err.print(f"[red]No panel answers in {data}[/red] ({error}).")
        err.print("Mend: start it with 'tocsin-edge run', or name its directory with --data.")
        raise typer.Exit(3) from None
    if as_json:
        print(json.dumps({"ok": reply.ok, "reason": reply.reason, "zones": list(reply.zones)}))
    elif reply.ok:
        out.print(f"[green]{done}[/green]")
    else:
        err.print(f"[red]Refused:[/red] {REASONS.get(reply.reason, reply.reason)}")
        if reply.zones:
            err.print("Zones: " + ", ".join(str(zone) for zone in reply.zones))
    if not reply.ok:
        raise typer.Exit(1)


def arm(
    data: DataOption = Path("data"),
    area: AreaOption = None,
    mode: Annotated[str, typer.Option(help="full, stay or night.")] = "full",
    force: Annotated[
        bool, typer.Option("--force", help="Bypass open zones that may be bypassed.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Arm. Refused while zones are open, with their list (R137, R139).

    The code is asked for, or read from a pipe or TOCSIN_CODE:  echo 246810 | tocsin-edge arm
    """
    entered = CodeEntered(
        code=_code(), action="arm", areas=tuple(area or ()), mode=mode, force=force
    )
    _enter(data, as_json, entered, "Arming: leave now.")


def disarm(
    data: DataOption = Path("data"), area: AreaOption = None, as_json: JsonOption = False
) -> None:
    """Disarm and silence. The alarm memory stays until the centre's stand-down (R72)."""
    entered = CodeEntered(code=_code(), action="disarm", areas=tuple(area or ()))
    _enter(data, as_json, entered, "Disarmed.")


def bypass(
    zone: Annotated[int, typer.Argument(help="Zone number.")],
    data: DataOption = Path("data"),
    off: Annotated[bool, typer.Option("--off", help="Watch the zone again.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Leave a zone out until the next disarming, under your name."""
    entered = CodeEntered(code=_code(), action="bypass", zone=zone, on=not off)
    _enter(data, as_json, entered, f"Zone {zone} {'watched again' if off else 'bypassed'}.")


def walk_test(
    data: DataOption = Path("data"),
    off: Annotated[bool, typer.Option("--off", help="End it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Walk the detectors: their events are marked as test. Ends by itself within the hour."""
    _enter(data, as_json, CodeEntered(code=_code(), action="walk_test", on=not off), "Done.")


def panel_test(
    data: DataOption = Path("data"),
    off: Annotated[bool, typer.Option("--off", help="End it.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put the whole panel on test; fire and hold-up stay real. Ends by itself within the hour."""
    _enter(data, as_json, CodeEntered(code=_code(), action="panel_test", on=not off), "Done.")


def manual_test(data: DataOption = Path("data"), as_json: JsonOption = False) -> None:
    """Send a manual test to the centre."""
    _enter(data, as_json, CodeEntered(code=_code(), action="manual_test"), "Test sent.")


def hash_code_command(
    salt: Annotated[
        str, typer.Option(help="The file's code_salt; without it a new one is made.")
    ] = "",
    digits: Annotated[int, typer.Option(help="Digits of a code (grade 3: 6).")] = 6,
    card: Annotated[
        bool, typer.Option("--card", help="Hash a card as the reader told it: <bits>:<hex>.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Turn a code into the hash that the panel file holds.

    Example:  echo 246810 | tocsin-edge hash-code    then put code_hash under [[users]].
    A card:   echo 26:01a2b3c0 | tocsin-edge hash-code --card --salt ...    then card_hash.
    """
    code = _code()
    if card:
        found = card_of(code)
        if found is None:
            err.print(f"[red]This is no card:[/red] write {CARD_FORM}.")
            raise typer.Exit(1)
        code = found
    else:
        problem = code_problem(code, digits)
        if problem:
            err.print(f"[red]This code will not do:[/red] {problem}.")
            raise typer.Exit(1)
    if salt and (len(salt) != 32 or any(c not in "0123456789abcdef" for c in salt)):
        err.print("[red]--salt[/red] is the 32 hex digits of code_salt in the panel file.")
        raise typer.Exit(2)
    salt = salt or secrets.token_hex(16)
    hashed = hash_code(code, salt)
    name = "card_hash" if card else "code_hash"
    if as_json:
        print(json.dumps({"code_salt": salt, name: hashed}))
    else:
        print(f'code_salt = "{salt}"\n{name} = "{hashed}"')
