"""A whole installation on this machine: real programs, real broker, TLS and databases; the pins,
the line and the reference clock are simulated. Nothing is faked between them.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from hil.drivers.bus_side import BUS, KEYPAD, NODE, BusSide
from hil.drivers.line import LineProcess
from hil.drivers.phone_side import ACCOUNT, RECEIVER, PhoneSide
from hil.drivers.process import Program, RigError, wait_for
from hil.site import CODE, PANEL, Address, panel_toml

POLL_S = 0.1
OCCURRENCES = "SELECT body FROM occurrences WHERE panel = ? ORDER BY id"


def occurrences(path: Path, panel: str) -> list[dict[str, Any]]:
    """What the ledger at `path` holds of a panel, but for what the centre noticed itself and what
    turned out to be told already.
    """
    ledger = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
    try:
        bodies = [json.loads(row[0]) for row in ledger.execute(OCCURRENCES, (panel,))]
    finally:
        ledger.close()
    return [
        {
            "epoch": body.get("epoch", 0),
            "seq": body.get("seq", 0),
            "code": body["event"]["code"],
            "q": body["event"].get("q", 1),
            "zone": body["event"].get("zone", 0),
            "paths": body["paths"],
        }
        for body in bodies
        if body["paths"] != ["centre"] and not body.get("same_as")
    ]


def _tool(module: str, *words: str) -> list[str]:
    return [sys.executable, "-m", module, *words]


class SimRig:
    """One collector, one line, one panel under `root`. Use as a context manager."""

    def __init__(
        self,
        root: Path,
        lang: str = "en",
        panel_environment: Mapping[str, str] | None = None,
        chronyc: Sequence[str] | None = None,
        *,
        phone: bool = False,
        bus: bool = False,
    ) -> None:
        """`panel_environment` is added to the panel's; `chronyc` is asked for the clock; `phone`:
        with a phone line, an exchange and a receiver; `bus`: with an RS-485 bus and its node.
        """
        self.root = root
        self.lang = lang
        self.centre_dir = root / "centre"
        self.panel_dir = root / "panel"
        self.identity_dir = root / "identity"
        self.panel_file = root / "panel.toml"
        self.moved: list[tuple[float, int, str]] = []
        """Ground truth: (UTC seconds, zone, state) of every detector moved."""
        self.done: list[tuple[float, str]] = []
        """Ground truth: what else was done, and when."""
        self._collector = Program(
            "collector",
            _tool("collector", "run", "--data", str(self.centre_dir), "--port", "0", "--json"),
            root / "collector.log",
        )
        self._panel = Program(
            "panel",
            _tool(
                "edge",
                "run",
                "--config",
                str(self.panel_file),
                "--data",
                str(self.panel_dir),
                "--json",
            ),
            root / "panel.log",
            panel_environment,
        )
        self._chronyc = chronyc
        self._line: LineProcess | None = None
        self._receiver_identity = root / "receiver-identity"
        self._phone = PhoneSide(root, self._receiver_identity) if phone else None
        self._bus = BusSide(root) if bus else None

    # -- power -----------------------------------------------------------------------------------

    def build(self) -> None:
        """Start the centre, enrol the panel, lay the line, start the panel."""
        for directory in (self.root, self.centre_dir, self.panel_dir):
            directory.mkdir(parents=True, exist_ok=True)
        self._collector.start()
        ready = self._collector.ready()
        self._line = LineProcess("127.0.0.1", int(ready["mqtt_port"]))
        self._call("collector", "panel", "add", PANEL, "--data", str(self.centre_dir),
                   "--out", str(self.identity_dir), "--json")  # fmt: skip
        phone_toml = self._build_phone()
        hashed = json.loads(
            self._call("edge", "hash-code", "--json", environment={"TOCSIN_CODE": CODE})
        )
        text = panel_toml(
            Address("127.0.0.1", self._line.port, "localhost"),
            self.identity_dir,
            hashed["code_salt"],
            hashed["code_hash"],
            data=self.panel_dir,
            chronyc=self._chronyc or self._clock_command(),
            bus=self._bus.build() if self._bus is not None else "",
        )
        self.panel_file.touch(0o600)
        self.panel_file.write_text(text + phone_toml)
        self.start("panel")
        if self._bus is not None:
            self._pair()

    def _pair(self) -> None:
        """As the installer does: each node takes its own key inside the pairing window."""
        for address in (NODE, KEYPAD):
            self._call("edge", "bus", "pair", f"{BUS}.{address}", "--data", str(self.panel_dir))
        wait_for("the bus node to tell its zones", self._node_told, 10, POLL_S)

    def _node_told(self) -> bool:
        status = self.panel_status()
        rows = status["zones"] if status else []
        return all(row["state"] == "normal" for row in rows)

    def _build_phone(self) -> str:
        """Enrol and start the phone side; the panel's part of it."""
        if self._phone is None:
            return ""
        data = ("--data", str(self.centre_dir), "--json")
        out = str(self._receiver_identity)
        self._call("collector", "receiver", "add", RECEIVER, "--out", out, *data)
        self._call("collector", "account", "set", ACCOUNT, PANEL, *data)
        return self._phone.build()

    def _clock_command(self) -> list[str]:
        """Real chrony when this machine has it running, else a tracking line in a file."""
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            asked = subprocess.run(
                ["chronyc", "-c", "tracking"], capture_output=True, timeout=2, check=False
            )
            if asked.returncode == 0:
                return ["chronyc", "-c", "tracking"]
        tracking = self.root / "tracking.csv"
        # Field order of `chronyc -c tracking`: this machine's clock, taken as right within 1 ms.
        tracking.write_text(
            f"53494D55,simulated,2,{time.time():.9f},0.000010,0.000010,0.000020,0.0,0.0,0.1,"
            "0.0010,0.0005,64.0,Normal\n"
        )
        return ["cat", str(tracking)]

    def start(self, what: str) -> None:
        """Start `panel`, `collector` or `receiver` and wait until it serves."""
        program = self._program(what)
        program.start()
        program.ready()
        if what == "panel":
            wait_for("the panel to answer", self.panel_status, 10, POLL_S)
        self._note(f"{what} started")

    def kill(self, what: str) -> None:
        """SIGKILL of the panel, or of the collector and its broker."""
        if what == "collector":
            broker = self.broker_pid()
            self._program(what).kill()
            if broker is not None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(broker, signal.SIGKILL)
        else:
            self._program(what).kill()
        self._note(f"{what} killed")

    def broker_pid(self) -> int | None:
        """The embedded broker's process, a child of our own collector."""
        children = Path(f"/proc/{self._collector.pid}/task/{self._collector.pid}/children")
        pids = [int(pid) for pid in children.read_text().split()]
        # Grandchildren too, and threads other than the main one may have forked it.
        for task in Path(f"/proc/{self._collector.pid}/task").iterdir():
            with contextlib.suppress(OSError):
                pids += [int(pid) for pid in (task / "children").read_text().split()]
        for pid in pids:
            with contextlib.suppress(OSError):
                if "nats-server" in Path(f"/proc/{pid}/cmdline").read_text():
                    return pid
        return None

    def _program(self, what: str) -> Program:
        match what:
            case "panel":
                return self._panel
            case "collector":
                return self._collector
            case "receiver" if self._phone is not None:
                return self._phone.receiver
            case _:
                raise RigError(f"no such machine: {what}; there are panel, collector, receiver")

    # -- detectors, line, user -------------------------------------------------------------------

    def set_zone(self, zone: int, state: str) -> None:
        """Move a zone's loop; returns when the simulated hardware keeps it."""
        from edge.adapters.config_file import load
        from edge.adapters.pins_client import Pins
        from edge.field.reading import ReadingState

        config = load(self.panel_file)
        wired = next(each.loop.input for each in config.zones if each.number == zone)
        if wired.startswith("bus:"):
            self._move_on_bus(wired.rpartition(".")[2], state)
        else:
            Pins.of(config, self.panel_dir).set_zone(config, zone, ReadingState(state))
        self.moved.append((time.time(), zone, state))

    def _move_on_bus(self, which: str, state: str) -> None:
        node = self._the_bus().node
        if which == "tamper":
            node.tamper(state != "normal")
        else:
            node.set(int(which), state)

    def cut(self, what: str = "adsl") -> None:
        """Black-hole the ADSL line, take the voltage off the phone line, or cut the bus cable."""
        if what == "phone":
            self._the_phone().exchange.set_cut(cut=True)
        elif what == "bus":
            self._the_bus().set_cut(cut=True)
        else:
            self._the_line().set("blackhole")
        self._note(f"{what} cut")

    def heal(self, what: str = "adsl") -> None:
        """Let the line work."""
        if what == "phone":
            self._the_phone().exchange.set_cut(cut=False)
        elif what == "bus":
            self._the_bus().set_cut(cut=False)
        else:
            self._the_line().set("open")
        self._note(f"{what} mended")

    def enter(self, action: str) -> dict[str, Any]:
        """Arm or disarm with the owner's code through the panel's own command."""
        self._note(action)
        answer = self._call(
            "edge", action, "--data", str(self.panel_dir), "--json",
            environment={"TOCSIN_CODE": CODE}, fails=True,
        )  # fmt: skip
        reply: dict[str, Any] = json.loads(answer)
        if not reply["ok"]:
            raise RigError(f"the panel refused to {action}: {reply}")
        return reply

    def press(self, keys: str) -> None:
        """Type the owner's code and `keys` at the keypad on the bus."""
        self._note(f"code and {keys} at the keypad")
        self._the_bus().press(CODE + keys)

    # -- looking ---------------------------------------------------------------------------------

    def panel_status(self) -> dict[str, Any] | None:
        """`tocsin-edge status --json`, or None while no panel answers."""
        text = self._call("edge", "status", "--data", str(self.panel_dir), "--json", fails=True)
        with contextlib.suppress(ValueError):
            status: dict[str, Any] = json.loads(text)
            return status
        return None

    def journal(self) -> Sequence[dict[str, Any]]:
        """Every Record in the panel's journal, oldest first."""
        text = self._call("edge", "journal", "show", "--data", str(self.panel_dir),
                          "--last", "1000000", "--json")  # fmt: skip
        return [row["record"] for row in _json_rows(text)]

    def cases(self) -> Sequence[dict[str, Any]]:
        """All cases, oldest first, each with its `sentence`."""
        text = self._call("collector", "cases", "--data", str(self.centre_dir), "--all",
                          "--lang", self.lang, "--json")  # fmt: skip
        return [{**row["case"], "sentence": row["sentence"]} for row in _json_rows(text)]

    def occurrences(self) -> Sequence[dict[str, Any]]:
        """Every Occurrence that the panel told of, by either path, read from the ledger."""
        return occurrences(self.centre_dir / "ledger.db", PANEL)

    def show_case(self) -> str:
        """The burglary as the operator's command shows it."""
        burglary = next((case for case in self.cases() if case["kind"] == "burglary"), None)
        if burglary is None:
            return "(no burglary case)"
        return self._call("collector", "case", str(burglary["id"]), "--data",
                          str(self.centre_dir), "--lang", self.lang)  # fmt: skip

    def verify(self) -> dict[str, bool]:
        """Both hash chains, by the commands an inspector would type."""
        return {
            "journal": self._passes("edge", "journal", "verify", "--data", str(self.panel_dir)),
            "ledger": self._passes("collector", "ledger", "verify", "--data", str(self.centre_dir)),
        }

    # -- inside ----------------------------------------------------------------------------------

    def _note(self, what: str) -> None:
        self.done.append((time.time(), what))

    def _the_line(self) -> LineProcess:
        if self._line is None:
            raise RigError("the rig is not built yet")
        return self._line

    def _the_phone(self) -> PhoneSide:
        if self._phone is None:
            raise RigError("there is no phone line: the scenario must say `phone = true`")
        return self._phone

    @property
    def bus(self) -> BusSide:
        """The bus side."""
        return self._the_bus()

    def _the_bus(self) -> BusSide:
        if self._bus is None:
            raise RigError("there is no bus: the scenario must say `bus = true`")
        return self._bus

    def calls(self) -> Sequence[dict[str, Any]]:
        """Every phone call, as the exchange saw it."""
        return [] if self._phone is None else self._phone.exchange.calls()

    def _passes(self, module: str, *words: str) -> bool:
        return (
            subprocess.run(_tool(module, *words), capture_output=True, check=False).returncode == 0
        )

    def _call(
        self,
        module: str,
        *words: str,
        environment: dict[str, str] | None = None,
        fails: bool = False,
    ) -> str:
        done = subprocess.run(
            _tool(module, *words),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**os.environ, **(environment or {})},
            check=False,
            timeout=60,
        )
        if done.returncode != 0 and not fails:
            raise RigError(
                f"{module} {' '.join(words)} ended with {done.returncode}:\n{done.stderr}"
            )
        return done.stdout

    def close(self) -> None:
        """Stop everything, the panel first."""
        self._panel.stop()
        for side in (self._phone, self._bus):
            if side is not None:
                side.close()
        self._collector.stop()
        if self._line is not None:
            self._line.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _json_rows(text: str) -> list[dict[str, Any]]:
    """A JSON array, or JSON lines."""
    text = text.strip()
    if not text:
        return []
    if text.startswith("["):
        rows: list[dict[str, Any]] = json.loads(text)
        return rows
    return [json.loads(line) for line in text.splitlines()]
