"""An asyncio server with a thread of its own, so that blocking tests can steer it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

T = TypeVar("T")


class ProxyThread:
    """Listens on loopback; `port` is known after `start`. Subclasses serve one connection each."""

    def __init__(self, listen: tuple[str, int]) -> None:
        self._listen = listen
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name=type(self).__name__, daemon=True)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = listen[1]

    def start(self) -> int:
        """Begin to listen. Returns the port."""
        self._thread.start()
        self._call(self._open())
        return self.port

    def stop(self) -> None:
        """Close everything."""
        if self._thread.is_alive():
            self._call(self._shut())
            self._call(self._loop.shutdown_asyncgens())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first byte to its end."""
        raise NotImplementedError

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    def _call(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    def _soon(self, function: Callable[..., object], *arguments: object) -> None:
        """Run in the proxy's thread and wait for it."""

        async def work() -> None:
            function(*arguments)

        self._call(work())

    async def _open(self) -> None:
        self._server = await asyncio.start_server(self._accepted, self._listen[0], self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def _close_listener(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None

    async def _shut(self) -> None:
        self._close_listener()
        # not only the connections: what they started must not outlive the loop either
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            # a peer that is gone, or we who end it: both are this program's daily work
            with contextlib.suppress(OSError, EOFError, asyncio.CancelledError):
                await self.serve(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()


def reset(writer: asyncio.StreamWriter) -> None:
    """End the connection with RST."""
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
