"""One OSDP node as the panel's controller sees it: its keys, sessions, commands, and what it tells.

No I/O but the key file: `frame` gives the next command to send, `answered` and `unanswered` take
how that went, and both return BusEvents in order.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import osdp_sys

from edge.adapters.osdp_commands import LASTING, Running, as_dict
from edge.adapters.osdp_keys import NodeKeys
from edge.adapters.osdp_reports import event_of, firmware_text
from edge.adapters.osdp_seal import Seal
from edge.adapters.osdp_session import Session
from edge.adapters.osdp_wire import Exchange, command_of
from edge.bus.bus_types import (
    BusEvent,
    CardRead,
    ClosePairing,
    CommandDone,
    KeysPressed,
    LossCause,
    NodeCommand,
    NodeId,
    NodeLost,
    NodeTrouble,
    NodeUp,
    Pair,
    Rekey,
    SendFirmware,
    SetCommunication,
    Trouble,
)
from edge.config_bus import OsdpNode
from protocols.osdp import codes
from protocols.osdp.frame import Frame

QUEUE: Final = 16
TRIES: Final = 3


@dataclass(frozen=True, slots=True)
class Credential:
    """A key to try. `pairing`: with it the default key may be replaced."""

    generation: int
    pairing: bool = False


class BusNode:
    """State of one address."""

    def __init__(self, bus: str, config: OsdpNode, keys: NodeKeys, window_s: float) -> None:
        self.id = NodeId(bus, config.address)
        self.config = config
        self.up = False
        self.told_lost = False
        self.cause = LossCause.NO_ANSWER
        self.firmware = ""
        self.handshakes = 0
        self.seal = Seal()
        self._file_open = False
        """libosdp has a file transfer under way, and would go on with it in any session."""
        self._aborting = False
        self._distrusted = 0
        self.fallen = False
        """At its last answer it refused, or the session broke."""
        self.pairing_until: float | None = None
        self._keys = keys
        self._window_s = window_s
        self._pair_token = 0
        self._keyset_sent = False
        self._credentials = [Credential(g) for g in keys.candidates(bus, config.address)]
        self._sessions: dict[Credential, Session] = {}
        self._queue: deque[Running] = deque()
        self._running: Running | None = None
        self._serial: int | None = None
        self._last_told: tuple[BusEvent, ...] = ()
        self._told_since_up = True
        self.session = self._open(self._credentials[0])

    # --- what to send ---

    @property
    def ready(self) -> bool:
        """It has something to send without waiting for the next poll."""
        return not self.up or self._running is not None or bool(self._queue)

    @property
    def progress(self) -> str:
        """Of an update."""
        running = self._running
        if running is None or not isinstance(running.command, SendFirmware):
            return ""
        return f"{self.session.file.offset}/{len(running.command.image)}"

    def frame(self) -> bytes:
        """The next command; b"" nothing yet."""
        if self.up and self._running is None and self._queue and not self._aborting:
            self._next_command()
        frame = self.session.command()
        if frame and not self.config.clear_text:
            self.seal.sending(frame, self.session.key)
        return frame

    def queue(self, command: NodeCommand, token: int) -> bool:
        """False: too much queued already."""
        if len(self._queue) >= QUEUE:
            return False
        self._queue.append(Running(command, token))
        return True

    # --- how it went ---

    def answered(self, frame: bytes, reply: Frame, now: float) -> list[BusEvent]:
        """The node's reply to `frame`."""
        session = self.session
        sent = command_of(frame)[2]
        was_secure = session.secure
        said = reply.data[0] if reply.data else 0
        if sent == codes.KEYSET:
            self._keyset_sent = True
        heard = session.answer(reply.raw)
        self.seal.heard(reply)
        if self.seal.closed and not session.secure and not session.default_key:
            self.seal.broken()
        self.fallen = False
        self._distrusted = 0
        events: list[BusEvent] = []
        if session.online and not self._may_be_up():
            # libosdp falls back to clear text while it is not told to enforce: never for us.
            events += self._fallen(sent, said, now, was_secure=False)
        elif session.fell:
            events += self._fallen(sent, said, now, was_secure=was_secure)
        elif session.online and not self.up:
            events += self._come_up()
        told = tuple(e for e in (event_of(self.id, one) for one in heard) if e is not None)
        events += self._once(told)
        if sent == codes.ABORT:
            self._aborting = self._file_open = False
        if self._running is not None and self.up:
            events += self._command_answered(sent)
        return events

    def lost(self) -> list[BusEvent]:
        """No good reply for too long."""
        self.up = False
        told, self.told_lost = self.told_lost, True
        self.session.reset()
        events: list[BusEvent] = []
        if self._running is not None:
            events += self._put_back()
        if not told:
            events.append(NodeLost(self.id, self.cause))
        return events

    def unanswered(self, exchange: Exchange) -> None:
        """Silence or garbage."""
        self.cause = LossCause.GARBLED if exchange.garbled else LossCause.NO_ANSWER
        if exchange.forged:
            self._distrusted += 1
            if self._distrusted >= TRIES:
                # Nothing but wrong MACs: perhaps the node and we are out of step.
                self._distrusted = 0
                self.anew()

    def anew(self) -> None:
        """Begin a new session: the clock jumped, or the port was away."""
        self.session.reset()
        self.up = False

    def bus_down(self) -> list[BusEvent]:
        """The port is gone."""
        self.anew()
        if self.told_lost:
            return []
        self.told_lost = True
        return [NodeLost(self.id, LossCause.BUS_DOWN)]

    # --- sessions ---

    def _may_be_up(self) -> bool:
        return self.session.secure or self.config.clear_text

    def _open(self, credential: Credential) -> Session:
        session = self._sessions.get(credential)
        if session is None:
            address = self.config.address
            key = None
            if not self.config.clear_text:
                key = self._keys.key(self.id.bus, address, credential.generation)
            session = Session(address, key, enforce=not credential.pairing)
            self._sessions[credential] = session
        return session

    def _fallen(self, sent: int, said: int, now: float, *, was_secure: bool) -> list[BusEvent]:
        """The session is over: libosdp gave it up, or we do."""
        self.fallen = True
        events: list[BusEvent] = []
        refused = _cause(sent, said)
        if refused is not None:
            self.cause = refused
        elif was_secure and said != codes.NAK and not self._ends_session(sent):
            events.append(NodeTrouble(self.id, Trouble.FORGED, detail="mac"))
        was_up = self.up
        self.up = False
        if self._running is not None:
            if was_up and said == codes.NAK and sent == self._running.code:
                events += self._finish(ok=False, detail="refused by the node")
                events.append(NodeTrouble(self.id, Trouble.REFUSED, detail=_name(sent)))
            else:
                events += self._put_back()
        self.session.reset()
        if refused is not None and len(self._credentials) > 1:
            self._credentials.append(self._credentials.pop(0))
            self.session = self._open(self._credentials[0])
            self.session.reset()
        return events

    def _ends_session(self, sent: int) -> bool:
        """The node was told to end it: an update that restarts it, a new address."""
        return sent in {codes.FILETRANSFER, codes.COMSET, codes.KEYSET}

    def _come_up(self) -> list[BusEvent]:
        events: list[BusEvent] = []
        self.up = True
        self.handshakes += 1
        self._told_since_up = False
        credential = self._credentials[0]
        if self.session.secure:
            self._settle(credential)
        running = self._running
        if running is not None and isinstance(running.command, Rekey):
            events += self._finish(ok=credential.generation == running.generation)
        if self.pairing_until is not None:
            paired = credential.pairing
            events += self._end_pairing(ok=True, detail="" if paired else "has its own key already")
        events += self._end_file()
        identity = self.session.identity()
        serial = identity["serial_number"] & 0xFFFFFFFF  # libosdp gives it a sign
        if self._serial not in {None, serial} and self._serial is not None:
            events.append(
                NodeTrouble(self.id, Trouble.DUPLICATE, detail=f"{self._serial}, {serial}")
            )
        self._serial = serial
        self.firmware = firmware_text(identity["firmware_version"])
        if self.told_lost or self.handshakes == 1:
            self.told_lost = False
            events.append(
                NodeUp(
                    self.id,
                    self.session.secure,
                    identity["vendor_code"],
                    identity["model"],
                    serial,
                    self.firmware,
                )
            )
        if self.config.ask_state:
            self.session.submit(
                {"command": osdp_sys.CMD_STATUS, "type": osdp_sys.STATUS_REPORT_LOCAL}
            )
            self.session.submit(
                {"command": osdp_sys.CMD_STATUS, "type": osdp_sys.STATUS_REPORT_INPUT}
            )
        return events

    def _settle(self, credential: Credential) -> None:
        """This key works: the others are over."""
        self.session.enforce()
        try:
            self._keys.commit(self.id.bus, self.config.address, credential.generation)
        except OSError:
            # Not kept: after a restart both keys are tried, and this one works then as now.
            return
        self._keyset_sent = False
        settled = Credential(credential.generation)
        self._sessions = {settled: self.session}
        self._credentials = [settled]

    # --- pairing ---

    def pair(self, token: int, now: float) -> list[BusEvent]:
        """Open the window."""
        if self.up and self.session.secure:
            return _done(self.id, token, ok=True, detail="has its own key already")
        if self.config.clear_text:
            return _done(self.id, token, ok=False, detail="configured for clear text")
        try:
            generation = self._keys.begin(self.id.bus, self.config.address)
        except OSError as error:
            return _done(self.id, token, ok=False, detail=f"key not kept: {error.strerror}")
        self._pair_token = token
        self.pairing_until = now + self._window_s
        first = Credential(generation, pairing=True)
        rest = [c for c in self._credentials if not c.pairing]
        self._credentials = [first, *rest]
        self.session = self._open(first)
        self.session.reset()
        return []

    def tick(self, now: float) -> list[BusEvent]:
        """The pairing window ends by itself."""
        if self.pairing_until is None or now < self.pairing_until:
            return []
        return self._end_pairing(ok=False, detail="window over")

    def close_pairing(self) -> list[BusEvent]:
        """The window ends now."""
        if self.pairing_until is None:
            return []
        return self._end_pairing(ok=False, detail="closed")

    def _end_pairing(self, *, ok: bool, detail: str) -> list[BusEvent]:
        self.pairing_until = None
        events: list[BusEvent] = []
        if not ok:
            # Enforced from here on; a key that may have reached the node is still tried.
            candidates = self._keys.candidates(self.id.bus, self.config.address)
            self._credentials = [Credential(g) for g in candidates]
            self.session = self._open(self._credentials[0])
            self.session.reset()
            self.cause = LossCause.NOT_SECURE
            events.append(NodeTrouble(self.id, Trouble.PAIRING_EXPIRED, detail=detail))
        events += _done(self.id, self._pair_token, ok=ok, detail=detail)
        self._pair_token = 0
        return events

    # --- commands ---

    def _next_command(self) -> None:
        running = self._queue.popleft()
        command = running.command
        if isinstance(command, Rekey):
            try:
                running.generation = self._keys.begin(self.id.bus, self.config.address)
            except OSError:
                running.generation = None
            if running.generation is not None:
                running.key = self._keys.key(self.id.bus, self.config.address, running.generation)
        if isinstance(command, SendFirmware):
            self.session.file.image = command.image
            self._file_open = True
        payload = as_dict(running)
        self._running = running
        running.refused = payload is None or not self.session.submit(payload)

    def _command_answered(self, sent: int) -> list[BusEvent]:
        running = self._running
        assert running is not None
        if running.refused:
            return self._finish(ok=False, detail="not possible")
        if isinstance(running.command, SendFirmware):
            return self._file_answered(sent)
        if sent != running.code:
            return []
        if isinstance(running.command, SetCommunication):
            # libosdp follows the node to its new address; here it has left its place.
            self.up = False
            self._sessions = {}
            self.session = self._open(self._credentials[0])
            return self._finish(ok=True)
        if isinstance(running.command, Rekey):
            # libosdp begins a handshake with the new key; done when that succeeded.
            self.up = False
            self.session.key = running.key
            self._both_keys(self.session)
            return []
        return self._finish(ok=True)

    def _both_keys(self, renewed: Session | None) -> None:
        """The node has the old key or the new one; `renewed`: the session that has the new one."""
        candidates = self._keys.candidates(self.id.bus, self.config.address)
        self._credentials = [Credential(g) for g in candidates]
        self._sessions = {} if renewed is None else {self._credentials[0]: renewed}
        self.session = self._open(self._credentials[0])

    def _file_answered(self, sent: int) -> list[BusEvent]:
        if sent == codes.ABORT:
            return self._finish(ok=False, detail="transfer given up")
        ended = sent == codes.FILETRANSFER and self.session.file.closed
        if ended and self.session.file_status() is not None:
            self._file_open = False
            return self._finish(ok=True)
        return []

    def _end_file(self) -> list[BusEvent]:
        """In the session after one that ended under a transfer."""
        if not self._file_open:
            return []
        self._aborting = self._file_open = self.session.abort_file()
        running = self._running
        if running is None or not isinstance(running.command, SendFirmware):
            return []
        # All had been sent. Still under way for libosdp: the node refused it; else it restarted.
        detail = "refused by the node" if self._aborting else "the node restarted"
        return self._finish(ok=not self._aborting, detail=detail)

    def _put_back(self) -> list[BusEvent]:
        """The session ended under a command: again in the next one, a few times."""
        running = self._running
        assert running is not None
        if isinstance(running.command, SendFirmware) and self.session.file.closed:
            return []  # the node restarts into it or has refused it: see _end_file
        if isinstance(running.command, Rekey):
            self._both_keys(None)  # it may have been taken; the next handshake tells
            self.session.reset()
            return []
        running.tries += 1
        if running.tries >= TRIES or not isinstance(running.command, LASTING):
            return self._finish(ok=False, detail="session lost")
        self._running = None
        self._queue.appendleft(running)
        return []

    def _finish(self, *, ok: bool, detail: str = "") -> list[BusEvent]:
        running = self._running
        assert running is not None
        self._running = None
        return _done(self.id, running.token, ok=ok, detail=detail)

    # --- once ---

    def _once(self, told: tuple[BusEvent, ...]) -> list[BusEvent]:
        """Without a key press or card the node tells again because its session ended too soon.

        A Tocsin node repeats the head of its queue in the new session; states may come twice.
        """
        if not told:
            return []
        again = not self._told_since_up and told == self._last_told
        self._told_since_up = True
        self._last_told = told
        if again and all(isinstance(e, KeysPressed | CardRead) for e in told):
            return []
        return list(told)

    def confirmed(self) -> None:
        """A later exchange of the same session succeeded: the node has let go of the last one."""
        self._last_told = ()


def _done(node: NodeId, token: int, *, ok: bool, detail: str) -> list[BusEvent]:
    return [CommandDone(node, token, ok, detail)] if token else []


def _cause(sent: int, said: int) -> LossCause | None:
    if sent == codes.CHLNG:
        return LossCause.KEY_REFUSED if said == codes.CCRYPT else LossCause.NOT_SECURE
    if sent == codes.SCRYPT:
        return LossCause.KEY_REFUSED
    if sent == codes.CAP and said == codes.PDCAP:
        return LossCause.NOT_SECURE
    return None


def _name(code: int) -> str:
    names = {
        codes.OUT: "output",
        codes.LED: "led",
        codes.BUZ: "buzzer",
        codes.KEYSET: "key",
        codes.FILETRANSFER: "firmware",
        codes.MFG: "report",
        codes.COMSET: "communication",
        codes.ISTAT: "inputs",
        codes.LSTAT: "local",
    }
    return names.get(code, f"{code:02x}")


def is_control(command: NodeCommand) -> bool:
    """Handled by us, not sent to the node."""
    return isinstance(command, Pair | ClosePairing)
