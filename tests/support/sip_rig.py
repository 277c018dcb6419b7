"""Panels, SIP agents, SIP front-ends and the receiver, in two namespaces with a wire between.

Every part is the program that users run. Namespaces and loss need root; without it the rig fails.
"""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from collector.adapters.spool_reading import peek_entries
from hil.drivers.process import Program, RigError
from protocols.mqtt.reception import Report

CALLS_EACH = 4
"""Lines of one agent: the library's own limit."""
LINES_A_PROCESS: Final = 12
"""Panels are processes of their own; so many in one already wait for each other's interpreter."""
PACE: Final = ("--stagger-s", "0.2", "--pause-s", "1")
_counter = itertools.count()
ROOT = Path(__file__).parents[2]


class Namespaces:
    """Premises and centre, joined by a wire whose UDP loss is a dial."""

    def __init__(self) -> None:
        mark = f"{os.getpid() % 100_000}{next(_counter)}"
        self.premises, self.centre = f"tp{mark}", f"tc{mark}"
        octet = int(mark) % 200 + 20
        self.premises_ip, self.centre_ip = f"10.211.{octet}.1", f"10.211.{octet}.2"

    def __enter__(self) -> Self:
        ends = (self.premises, self.centre)
        for name in ends:
            _ip("netns", "add", name)
        _ip(
            "link",
            "add",
            "wire",
            "netns",
            ends[0],
            "type",
            "veth",
            "peer",
            "wire",
            "netns",
            ends[1],
        )
        for name, address in zip(ends, (self.premises_ip, self.centre_ip), strict=True):
            _ip("-n", name, "address", "add", f"{address}/24", "dev", "wire")
            _ip("-n", name, "link", "set", "wire", "up")
            _ip("-n", name, "link", "set", "lo", "up")
        return self

    def __exit__(self, *_: object) -> None:
        for name in (self.premises, self.centre):
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)

    def loss(self, share: float) -> None:
        """Every datagram is lost with this chance, each way."""
        for name in (self.premises, self.centre):
            inside = ["ip", "netns", "exec", name, "iptables", "-w"]
            _run([*inside, "-F", "INPUT"])
            if share:
                rule = ["-A", "INPUT", "-i", "wire", "-p", "udp", "-m", "statistic"]
                chance = ["--mode", "random", "--probability", f"{share:.6f}", "-j", "DROP"]
                _run([*inside, *rule, *chance])

    def dropped(self) -> int:
        """Datagrams lost since `loss`."""
        total = 0
        for name in (self.premises, self.centre):
            listed = _run(
                ["ip", "netns", "exec", name, "iptables", "-w", "-L", "INPUT", "-v", "-n", "-x"]
            )
            total += sum(
                int(line.split()[0]) for line in listed.splitlines() if "statistic" in line
            )
        return total


class Metronome:
    """Whether this machine keeps real time: `late`, share of 20 ms ticks over 20 ms late."""

    def __init__(self) -> None:
        self.late = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._tick)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _tick(self) -> None:
        ticks = late = 0
        due = time.monotonic()
        while not self._over.wait(max(0.0, due - time.monotonic())):
            ticks += 1
            late += time.monotonic() - due > 0.02
            due = max(due + 0.02, time.monotonic())
            self.late = late / ticks


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one run. `stored`: its messages (digits) in the receiver's spool; `invented`:
    messages there that no panel ever sent; `late`: see Metronome.
    """

    wall_s: float
    events: list[dict[str, Any]]
    dialled: list[dict[str, Any]]
    stored: set[str]
    invented: set[str]
    dropped: int
    late: float

    @property
    def kissed(self) -> set[str]:
        """Digits of events that panels hold as delivered."""
        return {event["digits"] for event in self.events if event["kissed"]}

    def within(self, tries: int) -> float:
        """Share of events kissed off in so many sends."""
        good = sum(1 for each in self.events if each["kissed"] and each["tries"] <= tries)
        return good / len(self.events)


class SipRig:
    """`trunks` agents of four lines, one receiver, and one front-end that takes them all and four
    more: a line dialled again at once comes before the centre has noticed its hanging up.
    """

    def __init__(self, folder: Path, trunks: int, *options: str, apart: bool = True) -> None:
        self.folder = folder
        self.programs: dict[str, Program] = {}
        self.net: Namespaces | None = None
        self._trunks = trunks
        self._options = options
        self._apart = apart
        self._stack = ExitStack()
        self._lines: list[str] = []
        self._sent: set[str] = set()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self._apart:
                self.net = stack.enter_context(Namespaces())
            stack.callback(self._stop)
            self._start()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _start(self) -> None:
        config = self.folder / "receiver.toml"
        lines = max(64, CALLS_EACH * (self._trunks + 1))
        config.write_text(
            f'id = "rx-sip"\n[[line]]\nname = "sip"\nlisten = "127.0.0.1:0"\nlines = {lines}\n'
        )
        module = ["collector.receiver_main", "run", "--json", "--config", str(config)]
        receiver = self._program("receiver", "centre", *module, "--data", str(self.spool))
        port = receiver.ready()["audiosocket_port"]
        centre_ip = self.net.centre_ip if self.net else "127.0.0.1"
        premises_ip = self.net.premises_ip if self.net else "127.0.0.1"
        front = self._program(
            "front",
            "centre",
            "collector.sip",
            *(
                "--listen",
                f"{centre_ip}:{5060 if self.net else 0}",
                "--audiosocket",
                f"127.0.0.1:{port}",
            ),
            *("--allow", f"{premises_ip}/32", "--calls", str(CALLS_EACH * (self._trunks + 1))),
            *self._options,
        )
        agents = [
            self._program(
                f"agent{n}",
                "premises",
                "edge.sip",
                *("--line", f"127.0.0.1:{7000 + n if self.net else 0}", "--lines", str(CALLS_EACH)),
                *("--trunk", f"sip:{front.ready()['sip']}", "--listen", f"{premises_ip}:0"),
                *self._options,
            )
            for n in range(self._trunks)
        ]
        self._lines = [agent.ready()["line"] for agent in agents]

    @property
    def spool(self) -> Path:
        """The receiver's folder."""
        return self.folder / "spool"

    def _program(self, name: str, side: str, *module: str) -> Program:
        program = Program(
            name, self.inside(side, "-m", *module), self.folder / f"{name}.log", _environment()
        )
        self.programs[name] = program
        program.start()
        return program

    def inside(self, side: str, *words: str) -> list[str]:
        """This Python with `words`, on the named side of the wire."""
        prefix: list[str] = []
        if self.net is not None:
            prefix = ["ip", "netns", "exec", getattr(self.net, side)]
        return [*prefix, sys.executable, *words]

    def _stop(self) -> None:
        for program in reversed(self.programs.values()):
            program.stop()

    def call(
        self,
        calls: int,
        events: int,
        *,
        lines: int = 0,
        first: int = 1000,
        loss: float = 0.0,
        dials: int = 4,
    ) -> Outcome:
        """So many calls of so many events over all lines; every account from `first` on. Each is
        dialled `dials` times at most, a second apart.
        """
        if self.net is not None:
            self.net.loss(loss)
        count = lines or CALLS_EACH * self._trunks
        callers: list[subprocess.Popen[str]] = []
        for at in range(0, count, LINES_A_PROCESS):
            share = min(LINES_A_PROCESS, count - at)
            begin, end = (calls * line // count for line in (at, at + share))
            turn = at % len(self._lines)
            words = ["--address", *self._lines[turn:], *self._lines[:turn], "--lines", str(share)]
            words += ["--calls", str(end - begin), "--first", str(first + begin)]
            words += ["--events", str(events), "--dials", str(dials)]
            callers.append(self._callers(words))
        with Metronome() as clock:
            told = [self._told(one, 60 + 120 * (calls // count + 1)) for one in callers]
        events_told = [event for each in told for event in each["events"]]
        mine = {event["digits"] for event in events_told}
        stored = self.stored()
        dropped = self.net.dropped() if self.net is not None and loss else 0
        self._sent |= mine
        return Outcome(
            max(each["wall_s"] for each in told),
            events_told,
            [dialled for each in told for dialled in each["dialled"]],
            stored & mine,
            stored - self._sent,
            dropped,
            clock.late,
        )

    def _callers(self, words: list[str]) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.inside("premises", "-m", "tests.support.phone_callers", *words, *PACE),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(),
        )

    @staticmethod
    def _told(callers: subprocess.Popen[str], timeout_s: float) -> dict[str, Any]:
        try:
            out, errors = callers.communicate(timeout=timeout_s)
        finally:
            callers.kill()
        if callers.returncode:
            raise RigError(f"the callers failed:\n{errors[-4000:]}")
        told: dict[str, Any] = json.loads(out)
        return told

    def times_stored(self) -> Counter[str]:
        """How often the receiver's spool holds each message."""
        taken = (one.what for one in peek_entries(self.spool, 0, 1_000_000))
        return Counter(what.raw for what in taken if isinstance(what, Report))

    def stored(self, first: int = 0) -> set[str]:
        """Messages in the receiver's spool, of accounts from `first` on."""
        return {raw for raw in self.times_stored() if int(raw[:4]) >= first}

    def log(self, name: str) -> str:
        """A program's output."""
        return self.programs[name].log.read_text(errors="replace")

    def front_end_pids(self) -> list[int]:
        """The front-end and its workers, as they run now."""
        return [self.programs["front"].pid, *self.worker_pids().values()]

    def worker_pids(self) -> dict[int, int]:
        """The front-end's workers as they run now: number and process id."""
        return {
            line["worker"]: line["pid"]
            for line in self.log_lines("front")
            if line.get("is") == "up"
        }

    def log_lines(self, name: str) -> list[dict[str, Any]]:
        """What a program printed as JSON."""
        text = self.programs[name].log.read_text(errors="replace")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def _environment() -> dict[str, str]:
    paths = [str(ROOT), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }


def _run(words: Sequence[str]) -> str:
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise RigError(
            f"`{' '.join(words)}` failed: {done.stderr.strip()}; network namespaces and loss need"
            " root, iproute2 and iptables"
        )
    return done.stdout


def _ip(*words: str) -> None:
    _run(["ip", *words])
