"""The panel's own unix socket: status and code entry for the CLI on the same machine.

One JSON request a line, one JSON reply a line. Mode 0600: who runs the panel may talk to it; arming
and disarming still need a user's code.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

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


Request = StatusAsked | CodeEntered


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """`reason` tells why not; `zones` are those that hindered."""

    ok: bool
    reason: str = ""
    zones: tuple[int, ...] = ()
    status: msgspec.Raw | None = None


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
