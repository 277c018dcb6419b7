"""The panel's own unix socket: status and code entry for the CLI on the same machine.

One JSON request a line, one JSON reply a line. Mode 0600: who runs the panel may talk to it; arming
and disarming still need a user's code.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.bus.bus_types import BusStatistics, NodeReport
from edge.config import PanelConfig
from edge.panel.inputs import (
    Action,
    Arm,
    ArmMode,
    Bypass,
    Disarm,
    ManualTest,
    PanelTest,
    Silence,
    WalkTest,
)
from edge.panel.view import PanelView, ZoneView

LINE_BYTES = 16_384
IDLE_S = 60.0


class StatusAsked(msgspec.Struct, frozen=True, tag="status", tag_field="do"):
    """What is the panel doing now."""


class CodeEntered(msgspec.Struct, frozen=True, tag="code", tag_field="do", kw_only=True):
    """A user's code with what he wants: arm, disarm, bypass, unbypass, walk_test, panel_test."""

    code: Annotated[str, Meta(max_length=16)]
    action: str
    areas: tuple[int, ...] = ()
    mode: str = "full"
    force: bool = False
    zone: int = 0
    on: bool = True


class PhoneAsked(msgspec.Struct, frozen=True, tag="phone", tag_field="do"):
    """The phone path, with its steps numbered above `after`."""

    after: int = 0


class PhoneTestAsked(msgspec.Struct, frozen=True, tag="phone_test", tag_field="do"):
    """Make a test call; the steps tell how it goes."""

    by: Annotated[str, Meta(max_length=32, pattern="^[A-Za-z0-9_.-]*$")] = ""


class PhoneReleaseAsked(msgspec.Struct, frozen=True, tag="phone_release", tag_field="do"):
    """End listening-in; refused with `not_listening` when nobody listens."""

    by: Annotated[str, Meta(max_length=32, pattern="^[A-Za-z0-9_.-]*$")] = ""


class BusAsked(msgspec.Struct, frozen=True, tag="bus", tag_field="do"):
    """The detector buses: statistics of every node."""


class BusCommandAsked(msgspec.Struct, frozen=True, tag="bus_command", tag_field="do", kw_only=True):
    """Have node "<bus>.<address>" do something; the reply comes when it is over.

    `what`: report, pair, close_pairing, rekey, output (`number`, `on`) or update (`image`, a file
    the panel can read).
    """

    node: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9]{0,11}\.\d{1,3}$")]
    what: str
    image: Annotated[str, Meta(max_length=4096)] = ""
    number: Annotated[int, Meta(ge=1, le=16)] = 1
    on: bool = False


Request = (
    StatusAsked
    | CodeEntered
    | PhoneAsked
    | PhoneTestAsked
    | PhoneReleaseAsked
    | BusAsked
    | BusCommandAsked
)


class AreaStatus(msgspec.Struct, frozen=True):
    """One area as people ask for it."""

    number: int
    name: str
    mode: str
    memory: bool


class ZoneStatus(msgspec.Struct, frozen=True):
    """One zone; `note` tells bypass, shutdown and what is not restored."""

    number: int
    name: str
    state: str
    note: str


class PathStatus(msgspec.Struct, frozen=True):
    """One path: `state` up, down or untried, why, and how much it still has to tell."""

    state: str
    cause: str
    owed: int


class PhoneStep(msgspec.Struct, frozen=True):
    """What a phone call did; `at_s` is monotonic."""

    number: int
    at_s: float
    what: str
    detail: str = ""


class PhoneStatus(msgspec.Struct, frozen=True):
    """The phone path in full. `up` None: not tried yet; times in seconds from now."""

    up: bool | None
    cause: str
    line: bool | None
    policy: str
    numbers: tuple[str, ...]
    owed: int
    step: str
    last: str
    last_detail: str
    failed_in_a_row: int
    next_call_s: float | None
    next_test_s: float | None
    counted: int
    steps: list[PhoneStep]
    listening: bool = False
    """The line is held: the centre listens in."""
    microphone: str = ""
    """What records for listen-in; empty: nothing."""


class PanelStatus(msgspec.Struct, frozen=True):
    """The running panel as `tocsin-edge status` shows it. `owed` and `path` are those of the first
    path; `paths` tells all.
    """

    panel: str
    name: str
    epoch: int
    seq: int
    owed: int
    clock: str
    path: str
    faults: list[str]
    areas: list[AreaStatus]
    zones: list[ZoneStatus]
    outputs: dict[str, bool]
    paths: dict[str, PathStatus] = {}


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """`reason` tells why not; `zones` are those that hindered."""

    ok: bool
    reason: str = ""
    zones: tuple[int, ...] = ()
    status: PanelStatus | None = None
    phone: PhoneStatus | None = None
    buses: list[BusStatistics] | None = None
    report: NodeReport | None = None
    """What a node says of itself, after `report`."""


def action_of(entered: CodeEntered) -> Action | None:
    """What the user wants, in the panel's words; None when there is no such thing."""
    match entered.action:
        case "arm" if entered.mode in {mode.value for mode in ArmMode}:
            return Arm(entered.areas, ArmMode(entered.mode), entered.force)
        case "disarm":
            return Disarm(entered.areas)
        case "bypass":
            return Bypass(entered.zone, entered.on)
        case "walk_test":
            return WalkTest(entered.on)
        case "panel_test":
            return PanelTest(entered.on)
        case "manual_test":
            return ManualTest()
        case "silence":
            return Silence()
        case _:
            return None


def status_of(
    config: PanelConfig,
    view: PanelView,
    *,
    epoch: int,
    seq: int,
    clock: str,
    paths: Mapping[str, PathStatus],
    shell_faults: Sequence[str],
) -> PanelStatus:
    """The status of this view. `paths`: the first one first."""
    first = next(iter(paths.values()), PathStatus("down", "", 0))
    return PanelStatus(
        panel=config.id,
        name=config.name,
        epoch=epoch,
        seq=seq,
        owed=first.owed,
        clock=clock,
        path=first.state,
        faults=[*view.faults, *shell_faults],
        areas=[AreaStatus(a.number, a.name, a.mode, a.memory_latched) for a in view.areas],
        zones=[ZoneStatus(z.number, z.name, z.state, _note(z)) for z in view.zones],
        outputs=dict(view.outputs),
        paths=dict(paths),
    )


def _note(zone: ZoneView) -> str:
    notes = []
    if zone.bypassed_by is not None:
        notes.append(f"bypassed by user {zone.bypassed_by} ({zone.bypass_reason})")
    if zone.shut:
        notes.append("swinger shutdown")
    if zone.open:
        notes.append("not restored: " + ", ".join(str(code) for code in zone.open))
    return "; ".join(notes)


class LocalSocket:
    """Serves `handle` on a unix socket until closed."""

    def __init__(self, path: Path, handle: Callable[[Request], Awaitable[Reply]]) -> None:
        self._path = path
        self._handle = handle
        self._server: asyncio.Server | None = None
        self._decoder = msgspec.json.Decoder(Request)

    async def start(self) -> None:
        """Listen. Raises OSError when the path cannot be bound (108 bytes at most)."""
        self._path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(
            self._serve, path=str(self._path), limit=LINE_BYTES
        )
        self._path.chmod(0o600)

    async def stop(self) -> None:
        """Stop listening; conversations under way are dropped."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                line = await asyncio.wait_for(reader.readline(), IDLE_S)
                if not line:
                    break
                try:
                    reply = await self._handle(self._decoder.decode(line))
                except msgspec.MsgspecError as error:
                    reply = Reply(ok=False, reason=f"bad request: {error}")
                writer.write(msgspec.json.encode(reply) + b"\n")
                await writer.drain()
        except (TimeoutError, ValueError, OSError, asyncio.IncompleteReadError):
            pass  # idle, over-long line or gone: the peer must begin anew
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _ask(path: Path, request: Request) -> Reply:
    reader, writer = await asyncio.open_unix_connection(str(path), limit=1 << 20)
    try:
        writer.write(msgspec.json.encode(request) + b"\n")
        await writer.drain()
        return msgspec.json.decode(await reader.readline(), type=Reply)
    finally:
        writer.close()


def ask(path: Path, request: Request, timeout_s: float = 10) -> Reply:
    """One question to the running panel. Raises OSError or TimeoutError when none answers."""

    async def run() -> Reply:
        return await asyncio.wait_for(_ask(path, request), timeout_s)

    return asyncio.run(run())
