"""Writes the settings of an empty node. Once: a node that has some is not touched without --force.

    python -m firmware.commission --address 5 --key-hex none --directory <node directory>
    python -m firmware.commission --address 5 --key-hex none --out settings0

The first writes them for a simulated board; the second makes the file to copy onto a Pico
(firmware/README.md). "none": the panel pairs the node in its pairing window, the usual way.
"""

import argparse
import hashlib
import sys
from pathlib import Path

from firmware.node.flash import Flash
from firmware.node.loops import DOUBLE_EOL, NC, NO, SINGLE_EOL, TRIPLE_EOL, UNUSED
from firmware.node.settings import INPUTS, Settings, SettingsStore
from firmware.node.slots import KEY_FILE

WIRINGS = {
    "unused": UNUSED,
    "nc": NC,
    "no": NO,
    "single": SINGLE_EOL,
    "double": DOUBLE_EOL,
    "triple": TRIPLE_EOL,
}


def parse(arguments: list[str]) -> argparse.Namespace:
    """The words of the command line."""
    parser = argparse.ArgumentParser(prog="python -m firmware.commission")
    parser.add_argument("--address", type=int, required=True, help="0 to 126")
    parser.add_argument("--key-hex", default="none", help='32 hexadecimal digits, "none", or "-"')
    parser.add_argument("--baud", type=int, default=38400)
    parser.add_argument(
        "--wiring",
        default="double",
        help="one for all inputs or eight with commas: " + ", ".join(WIRINGS),
    )
    parser.add_argument("--debounce-ms", type=int, default=50)
    parser.add_argument("--min-pulse-ms", type=int, default=300)
    parser.add_argument("--eol-ohm", type=int, default=4700)
    parser.add_argument("--pullup-ohm", type=int, default=4700)
    parser.add_argument("--silent-s", type=int, default=8)
    parser.add_argument("--low-mv", type=int, default=10500)
    parser.add_argument("--restore-mv", type=int, default=11000)
    parser.add_argument(
        "--update-key", type=Path, help="update.key of `tocsin-provision firmware-key`"
    )
    parser.add_argument("--force", action="store_true", help="replace settings that are there")
    target = parser.add_mutually_exclusive_group(required=True)
    target.add_argument("--directory", type=Path, help="of a simulated board")
    target.add_argument("--out", type=Path, help="file to copy onto a board")
    return parser.parse_args(arguments)


def settings_of(words: argparse.Namespace) -> Settings:
    """Raises ValueError for what a node would not take."""
    text = sys.stdin.readline().strip() if words.key_hex == "-" else words.key_hex
    settings = Settings(words.address, words.baud, None if text == "none" else bytes.fromhex(text))
    names = words.wiring.split(",")
    if len(names) == 1:
        names *= INPUTS
    if len(names) != INPUTS or not all(name in WIRINGS for name in names):
        raise ValueError(f"wiring is one or eight of {', '.join(WIRINGS)}")
    for loop, name in zip(settings.loops, names, strict=True):
        loop.wiring = WIRINGS[name]
        loop.debounce_ms = words.debounce_ms
        loop.min_pulse_ms = words.min_pulse_ms
    settings.eol_ohm = words.eol_ohm
    settings.pullup_ohm = words.pullup_ohm
    settings.silent_s = words.silent_s
    settings.low_mv = words.low_mv
    settings.restore_mv = words.restore_mv
    refusal = settings.refusal()
    if refusal:
        raise ValueError(refusal)
    return settings


def update_key(path: Path) -> bytes:
    """The maker's public key as a node keeps it. Raises OSError, ValueError."""
    data = path.read_bytes()
    if hashlib.sha256(data[:-4]).digest()[:4] != data[-4:]:
        raise ValueError(f"{path} is not an update.key of `tocsin-provision firmware-key`")
    return data


def main(arguments: list[str] | None = None) -> int:
    """0 done, 1 refused."""
    words = parse(sys.argv[1:] if arguments is None else arguments)
    try:
        settings = settings_of(words)
    except ValueError as error:
        print(f"refused: {error}", file=sys.stderr)
        return 1
    folder = words.out.parent if words.out else words.directory / "flash"
    folder.mkdir(parents=True, exist_ok=True)
    if words.update_key:
        try:
            key = update_key(words.update_key)
        except (OSError, ValueError) as error:
            print(f"refused: {error}", file=sys.stderr)
            return 1
        (folder / KEY_FILE).write_bytes(key)
    store = SettingsStore(Flash(str(folder)))
    if words.out:
        words.out.write_bytes(store.image(settings))
        print(f"{words.out}: copy it onto the board as settings0")
        return 0
    if (store.load() is not None or store.damaged) and not words.force:
        print("refused: this node is commissioned already (--force replaces)", file=sys.stderr)
        return 1
    if not store.save(settings):
        print("refused: the flash does not take it", file=sys.stderr)
        return 1
    print(
        f"address {settings.address}, {settings.baud} baud, {'with' if settings.key else 'no'} key"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
