"""One OSDP node as the panel's controller sees it: its keys, sessions, commands, and what it tells.

No I/O but the key file: `frame` gives the next command to send, `answered` and `unanswered` take
how that went, and both return BusEvents in order.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import osdp_sys

from edge.adapters.osdp_commands import (
    LASTING,
    Running,
    as_dict,
    done,
    name_of,
    place_of,
    refusal,
)
from edge.adapters.osdp_credentials import Credentials
from edge.adapters.osdp_keys import NodeKeys
from edge.adapters.osdp_reports import Repeats, event_of, firmware_text
from edge.adapters.osdp_seal import Seal
from edge.adapters.osdp_session import Session
from edge.adapters.osdp_wire import Exchange, command_of
from edge.bus.bus_types import (
    BusEvent,
    LossCause,
    NodeCommand,
    NodeId,
    NodeLost,
    NodeTrouble,
    NodeUp,
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
SHORT_EXCHANGES: Final = 10
SHORT_SESSIONS: Final = 6
BARRED_SHORTEST_S: Final = 5.0
"""A node whose sessions all end at once counts as away for so long, then twice as long ..."""
BARRED_LONGEST_S: Final = 320.0


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
        self._proved = False
        """It answered a challenge with some key since the last session or refusal."""
        self._distrusted = 0
        self.fallen = False
        """At its last answer it refused, or the session broke."""
        self.pairing_until: float | None = None
        self._window_s = window_s
        self._pair_token = 0
        self._credentials = Credentials(self.id, keys, clear_text=config.clear_text)
        self._queue: deque[Running] = deque()
        self._running: Running | None = None
        self._identity: NodeUp | None = None
        self._repeats = Repeats()
        self._wanted: dict[int, NodeCommand] = {}
        """Outputs (from 1) and LED (0) as they are to stand, also after a restart of the node."""
        self._unasked: set[int] = set()
        """Status commands this node refuses."""
        self._exchanges = 0
        self._cut_short = 0
        """Sessions on end that lasted only a moment."""
        self._barred_until = 0.0
        self._barred_s = BARRED_SHORTEST_S

    @property
    def session(self) -> Session:
        """The one in use."""
        return self._credentials.session

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
        place = place_of(command)
        if place >= 0:
            self._wanted[place] = command
        self._queue.append(Running(command, token))
        return True

    # --- how it went ---

    def answered(self, frame: bytes, reply: Frame, now: float) -> list[BusEvent]:
        """The node's reply to `frame`."""
        session = self.session
        sent = command_of(frame)[2]
        said = reply.data[0] if reply.data else 0
        was_up = self.up
        self._proved = self._proved or (sent == codes.CHLNG and said == codes.CCRYPT)
        heard = session.answer(reply.raw)
        self.seal.heard(reply)
        if self.seal.closed and not session.secure and not session.default_key:
            self.seal.broken()
        self.fallen = False
        self._distrusted = 0
        events: list[BusEvent] = []
        if session.online and not was_up and now < self._barred_until:
            self.fallen = True
            self.cause = LossCause.GARBLED
            session.reset()
        elif session.online and not self._may_be_up():
            # libosdp falls back to clear text while it is not told to enforce: never for us.
            events += self._fallen(sent, said)
        elif session.fell:
            self._short(now, was_up=was_up)
            events += self._fallen(sent, said)
        elif session.online and not self.up:
            events += self._come_up()
        self._exchanges += 1
        told = tuple(e for e in (event_of(self.id, one) for one in heard) if e is not None)
        events += self._repeats.sift(told, now, confirms=was_up and self.up)
        if sent == codes.ABORT:
            self._aborting = self._file_open = False
        if self._running is not None and self.up:
            events += self._command_answered(sent)
        return events

    def _short(self, now: float, *, was_up: bool) -> None:
        """Count sessions that end at once; such a node is not up, whatever its handshakes say."""
        if not was_up:
            return
        if self._exchanges >= SHORT_EXCHANGES:
            self._cut_short = 0
            self._barred_s = BARRED_SHORTEST_S
            return
        self._cut_short += 1
        if self._cut_short >= SHORT_SESSIONS:
            self._cut_short = 0
            self._barred_until = now + self._barred_s
            self._barred_s = min(2 * self._barred_s, BARRED_LONGEST_S)

    def lost(self) -> list[BusEvent]:
        """No good reply for too long."""
        self.up = False
        told, self.told_lost = self.told_lost, True
        self.session.reset()
        events: list[BusEvent] = []
        if self._running is not None:
            events += self._put_back()
        events += self.drop_waiting()
        if not told:
            events.append(NodeLost(self.id, self.cause))
        return events

    def drop_waiting(self) -> list[BusEvent]:
        """What waits for a node that is away would happen at some other time; but see `_wanted`."""
        events: list[BusEvent] = []
        while self._queue and self.told_lost:
            events += done(self.id, self._queue.popleft().token, ok=False, detail="node lost")
        return events

    def unanswered(self, exchange: Exchange) -> list[BusEvent]:
        """Silence or garbage."""
        self.cause = LossCause.GARBLED if exchange.garbled else LossCause.NO_ANSWER
        if exchange.forged:
            self._distrusted += 1
            if self._distrusted >= TRIES:
                # Nothing but wrong MACs: perhaps the node and we are out of step.
                self._distrusted = 0
                return self.anew()
        return []

    def anew(self) -> list[BusEvent]:
        """Begin a new session: the clock jumped, the port was away, or nothing fits any more."""
        self.up = False
        events = self._put_back() if self._running is not None else []
        self.session.reset()
        return events

    def bus_down(self) -> list[BusEvent]:
        """The port is gone."""
        events = self.anew()
        told, self.told_lost = self.told_lost, True
        events += self.drop_waiting()
        return events if told else [*events, NodeLost(self.id, LossCause.BUS_DOWN)]

    # --- sessions ---

    def _may_be_up(self) -> bool:
        return self.session.secure or self.config.clear_text

    def _fallen(self, sent: int, said: int) -> list[BusEvent]:
        """The session is over: libosdp gave it up, or we do."""
        self.fallen = True
        events: list[BusEvent] = []
        refused = refusal(sent, said)
        if refused is not None:
            # In the pairing window a node with a stranger's key refuses the default key last.
            self.cause = LossCause.KEY_REFUSED if self._proved else refused
        self._proved = False
        was_up, self.up = self.up, False
        if said == codes.NAK and was_up and sent in {codes.ISTAT, codes.LSTAT}:
            self._unasked.add(sent)
        if self._running is not None:
            if was_up and said == codes.NAK and sent == self._running.code:
                self._wanted.pop(place_of(self._running.command), None)
                events += self._finish(ok=False, detail="refused by the node")
                events.append(NodeTrouble(self.id, Trouble.REFUSED, detail=name_of(sent)))
            else:
                events += self._put_back()
        self.session.reset()
        if refused is not None:
            self._credentials.rotate()
        return events

    def _come_up(self) -> list[BusEvent]:
        events: list[BusEvent] = []
        self.up = True
        self.handshakes += 1
        self._repeats.session_began()
        self._exchanges = 0
        self._proved = False
        credential = self._credentials.current
        if self.session.secure:
            self._credentials.settle()
        running = self._running
        if running is not None and isinstance(running.command, Rekey):
            events += self._finish(ok=credential.generation == running.generation)
        if self.pairing_until is not None:
            paired = credential.pairing
            events += self._end_pairing(ok=True, detail="" if paired else "has its own key already")
        events += self._end_file()
        events += self._identify()
        for place, command in list(self._wanted.items()):
            if not any(place_of(waiting.command) == place for waiting in tuple(self._queue)):
                self._queue.append(Running(command, 0))
        if self.config.ask_state:
            self._ask_state()
        return events

    def _identify(self) -> list[BusEvent]:
        """Who it is; NodeUp at first, after a loss, and with another serial or firmware."""
        events: list[BusEvent] = []
        identity = self.session.identity()
        serial = identity["serial_number"] & 0xFFFFFFFF  # libosdp gives it a sign
        self.firmware = firmware_text(identity["firmware_version"])
        told = NodeUp(
            self.id,
            self.session.secure,
            identity["vendor_code"],
            identity["model"],
            serial,
            self.firmware,
        )
        known, self._identity = self._identity, told
        if known is not None and known.serial != serial:
            both = f"{known.serial}, {serial}"
            events.append(NodeTrouble(self.id, Trouble.DUPLICATE, detail=both))
        if self.told_lost or known != told:
            self.told_lost = False
            events.append(told)
        return events

    def _ask_state(self) -> None:
        for code, kind in (
            (codes.LSTAT, osdp_sys.STATUS_REPORT_LOCAL),
            (codes.ISTAT, osdp_sys.STATUS_REPORT_INPUT),
        ):
            if code not in self._unasked:
                self.session.submit({"command": osdp_sys.CMD_STATUS, "type": kind})

    # --- pairing ---

    def pair(self, token: int, now: float) -> list[BusEvent]:
        """Open the window."""
        if self.up and self.session.secure:
            return done(self.id, token, ok=True, detail="has its own key already")
        if self.config.clear_text:
            return done(self.id, token, ok=False, detail="configured for clear text")
        try:
            self._credentials.pair()
        except OSError as error:
            return done(self.id, token, ok=False, detail=f"key not kept: {error.strerror}")
        self._pair_token = token
        self.pairing_until = now + self._window_s
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
            self._credentials.uncertain()
            self.cause = LossCause.NOT_SECURE
            events.append(NodeTrouble(self.id, Trouble.PAIRING_EXPIRED, detail=detail))
        events += done(self.id, self._pair_token, ok=ok, detail=detail)
        self._pair_token = 0
        return events

    # --- commands ---

    def _next_command(self) -> None:
        running = self._queue.popleft()
        command = running.command
        if isinstance(command, Rekey):
            try:
                running.generation, running.key = self._credentials.begin()
            except OSError:
                running.generation = None
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
            self._credentials.replace()
            return self._finish(ok=True)
        if isinstance(running.command, Rekey):
            # libosdp begins a handshake with the new key; done when that succeeded.
            self.up = False
            self._credentials.renewed(running.key)
            return []
        return self._finish(ok=True)

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
            self._credentials.uncertain()  # the next handshake tells
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
        return done(self.id, running.token, ok=ok, detail=detail)
