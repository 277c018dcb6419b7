"""Operators' tools on this machine talk to the collector here: a unix socket, one JSON a line.

Requests: `{"do": "status"}`, `{"do": "watch"}` (a line `Changed` for each commit that
changed something, `{}` now and then, until hung up),
`{"do": "take", "case", "operator", "note"}`,
`{"do": "close", "case", "operator", "outcome", "note"}`,
`{"do": "stand_down", "panel", "area", "operator", "case"}`,
`{"do": "test", "panel", "operator"}`.
Answers: `{"ok": true, ...}` or `{"ok": false, "why": "..."}`.
"""

from __future__ import annotations

import contextlib
import queue
import socket
import socketserver
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, Protocol

import msgspec

from collector.records.case import OperatorAct, Outcome
from collector.records.changed import Changed
from protocols.mqtt.payloads import PanelId, SendTest, ShortText, StandDown

MAX_LINE_BYTES: Final = 16_384
MAX_UNSENT: Final = 1000
"""Changes waiting for a slow watcher; one that is slower still is hung up."""
BEAT_S: Final = 5.0

Operator = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]


class AskStatus(msgspec.Struct, frozen=True, tag_field="do", tag="status"):
    """How is the collector?"""


class Watch(msgspec.Struct, frozen=True, tag_field="do", tag="watch"):
    """Tell of every change from now on."""


class Take(msgspec.Struct, frozen=True, tag_field="do", tag="take"):
    """The operator works on this case."""

    case: int
    operator: Operator
    note: ShortText = ""


class Close(msgspec.Struct, frozen=True, tag_field="do", tag="close"):
    """The operator closes this case."""

    case: int
    operator: Operator
    outcome: Outcome
    note: ShortText = ""


class OrderStandDown(msgspec.Struct, frozen=True, tag_field="do", tag="stand_down"):
    """The alarm memory of an area may be reset (R72); area 0: all."""

    panel: PanelId
    operator: Operator
    area: Annotated[int, msgspec.Meta(ge=0, le=999)] = 0
    case: Annotated[int, msgspec.Meta(ge=0)] = 0


class OrderTest(msgspec.Struct, frozen=True, tag_field="do", tag="test"):
    """The panel is to report a manual test."""

    panel: PanelId
    operator: Operator


Request = AskStatus | Watch | Take | Close | OrderStandDown | OrderTest


class Answer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`why` says why not, for the operator."""

    ok: bool
    why: str = ""
    status: Any = None


class Centre(Protocol):
    """What the socket needs of the collector."""

    def operate(self, act: OperatorAct) -> str | None:
        """Do this to a case; else why not."""
        ...

    def command(self, panel: str, command: StandDown | SendTest) -> str | None:
        """Order this; else why not."""
        ...

    def watch(self, watcher: Callable[[Changed], None]) -> Callable[[], None]:
        """Call for every change; to end it."""
        ...

    def status(self) -> msgspec.Struct:
        """How it goes."""
        ...


class ControlSocket:
    """Listens while the collector runs. Only the user who runs it may connect."""

    def __init__(self, path: Path, centre: Centre) -> None:
        self._path = path
        self._centre = centre
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin listening."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        self._server = _Server(self._path, self._centre)
        self._path.chmod(0o600)
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name="control", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Hang up on everybody."""
        server, self._server = self._server, None
        if server is None:
            return
        server.over.set()
        server.shutdown()
        server.server_close()
        if self._thread is not None:
            self._thread.join()
        with contextlib.suppress(OSError):
            self._path.unlink()


class _Server(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, centre: Centre) -> None:
        self.centre = centre
        self.over = threading.Event()
        super().__init__(str(path), _Conversation)


class _Conversation(socketserver.StreamRequestHandler):
    server: _Server
    connection: socket.socket

    def handle(self) -> None:
        with contextlib.suppress(OSError):
            while line := self.rfile.readline(MAX_LINE_BYTES):
                try:
                    request = msgspec.json.decode(line, type=Request)
                except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
                    self._say(Answer(ok=False, why=f"not understood: {error}"))
                    if not line.endswith(b"\n"):
                        return
                    continue
                if isinstance(request, Watch):
                    self._stream()
                    return
                self._say(self._answer(request))

    def _answer(self, request: AskStatus | Take | Close | OrderStandDown | OrderTest) -> Answer:
        centre = self.server.centre
        match request:
            case AskStatus():
                return Answer(ok=True, status=centre.status())
            case Take(case=case, operator=operator, note=note):
                why = centre.operate(OperatorAct(case, "take", operator, note=note))
            case Close(case=case, operator=operator, outcome=outcome, note=note):
                why = centre.operate(OperatorAct(case, "close", operator, outcome, note))
            case OrderStandDown(panel=panel, operator=operator, area=area, case=case):
                why = centre.command(panel, StandDown(area, operator, case))
            case OrderTest(panel=panel, operator=operator):
                why = centre.command(panel, SendTest(operator))
        return Answer(ok=why is None, why=why or "")

    def _stream(self) -> None:
        unsent: queue.Queue[Changed] = queue.Queue(MAX_UNSENT)
        slow = threading.Event()

        def tell(changed: Changed) -> None:
            try:
                unsent.put_nowait(changed)
            except queue.Full:
                slow.set()

        end = self.server.centre.watch(tell)
        try:
            self._say(Answer(ok=True))
            quiet_s = 0.0
            while not (self.server.over.is_set() or slow.is_set()):
                try:
                    self._say(unsent.get(timeout=0.25))
                    quiet_s = 0.0
                except queue.Empty:
                    quiet_s += 0.25
                    if quiet_s >= BEAT_S:
                        self._say(Changed())
                        quiet_s = 0.0
        finally:
            end()

    def _say(self, answer: Answer | Changed) -> None:
        self.connection.sendall(msgspec.json.encode(answer) + b"\n")
