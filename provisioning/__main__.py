"""`tocsin-provision`: the installer's tool: a panel's identity judged, node firmware signed."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from protocols.instants import UtcTime
from provisioning import firmware_signing
from provisioning.adapters.identity_files import IdentityError, read
from provisioning.pairing.identity import Grade, judge

app = typer.Typer(
    help="Installer's tool of Tocsin.", no_args_is_help=True, pretty_exceptions_enable=False
)
STYLE = {Grade.GOOD: "green", Grade.WARNING: "yellow", Grade.BAD: "red"}


@app.callback()
def tool() -> None:
    """Installer's tool of Tocsin."""


@app.command()
def identity(
    directory: Annotated[Path, typer.Argument(help="Directory with the panel's files.")],
    panel: Annotated[str | None, typer.Option(help="The panel id it must carry.")] = None,
    certificate: Annotated[str, typer.Option(help="Certificate file.")] = "panel.crt",
    key: Annotated[str, typer.Option(help="Key file.")] = "panel.key",
    ca: Annotated[str, typer.Option(help="The centre's CA file.")] = "ca.crt",
    as_json: Annotated[bool, typer.Option("--json")] = False,
) -> None:
    """Judge the identity files that 'tocsin-collector panel add' wrote, before they are mounted.

    Example:  tocsin-provision identity ./shop-1 --panel shop-1
    """
    console = Console()
    try:
        findings = judge(
            read(directory, certificate, key, ca), panel, UtcTime(time.time_ns() // 1000)
        )
    except IdentityError as error:
        Console(stderr=True, soft_wrap=True).print(
            str(error), style="red", highlight=False, markup=False
        )
        raise typer.Exit(2) from None
    if as_json:
        rows = [
            {"grade": f.grade.value, "what": f.what, "found": f.found, "mend": f.mend}
            for f in findings
        ]
        print(json.dumps({"ok": all(f.grade is not Grade.BAD for f in findings), "findings": rows}))
    else:
        table = Table("", "what", "found", "mend")
        for f in findings:
            table.add_row(f.grade.value, f.what, f.found, f.mend, style=STYLE[f.grade])
        console.print(table)
    if any(f.grade is Grade.BAD for f in findings):
        raise typer.Exit(1)


@app.command("firmware-key")
def firmware_key(
    out: Annotated[Path, typer.Option(help="Directory for the new keys.")],
    encrypt: Annotated[bool, typer.Option(help="Ask for a passphrase.")] = False,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="First line of this file, instead of asking.")
    ] = None,
) -> None:
    """Make the key that signs node firmware: once for all your nodes, kept off the panel.

    Example:  tocsin-provision firmware-key --out ./maker --encrypt
    """
    try:
        secret = _passphrase(passphrase_file, ask=encrypt, confirm=True)
        written = firmware_signing.make_key(out, secret)
    except firmware_signing.SigningError as error:
        _refuse(error)
    for path in written:
        print(path)
    print(f"Copy {firmware_signing.NODE_NAME} to the root of each node's flash at commissioning.")


@app.command("firmware-sign")
def firmware_sign(
    image: Annotated[Path, typer.Argument(help="Image of python -m firmware.build.")],
    key: Annotated[Path, typer.Option(help="Private key of firmware-key.")],
    ask: Annotated[bool, typer.Option("--encrypted", help="Ask for its passphrase.")] = False,
    passphrase_file: Annotated[
        Path | None, typer.Option(help="First line of this file, instead of asking.")
    ] = None,
) -> None:
    """Sign a node image in place.

    Example:  tocsin-provision firmware-sign node.img --key ./maker/firmware.key
    """
    try:
        secret = _passphrase(passphrase_file, ask=ask, confirm=False)
        signed = firmware_signing.sign(image, firmware_signing.read_key(key, secret))
    except firmware_signing.SigningError as error:
        _refuse(error)
    print(
        f"{image}: signed, board {signed.board}, version {signed.version}, "
        f"security {signed.security}, {signed.files} files, {signed.image_bytes} bytes"
    )


def _passphrase(file: Path | None, *, ask: bool, confirm: bool) -> bytes | None:
    if file is not None:
        try:
            words = file.read_text().splitlines()
        except OSError as error:
            raise firmware_signing.SigningError(f"{file}: {error.strerror}") from None
        if not words or not words[0]:
            raise firmware_signing.SigningError(f"{file}: its first line is empty")
        return words[0].encode()
    if not ask:
        return None
    text: str = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=confirm)
    return text.encode()


def _refuse(error: Exception) -> NoReturn:
    Console(stderr=True, soft_wrap=True).print(
        str(error), style="red", highlight=False, markup=False
    )
    raise typer.Exit(2)


def main() -> None:
    """Entry point of the console script."""
    app()


if __name__ == "__main__":
    main()
