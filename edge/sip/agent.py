"""The panel's SIP lines: AudioSocket connections of panels in, SIP calls out."""

from __future__ import annotations

import contextlib
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import pjsua2 as pj

from edge.sip.signalling import (
    Effect,
    HangUp,
    Invite,
    Line,
    Malformed,
    Say,
    order_of,
    request_uri,
    trunk_state,
)
from protocols import audiosocket
from protocols.audiosocket import Kind
from protocols.instants import NS_PER_S, Instant, later
from protocols.sip.addresses import Network
from protocols.sip.availability import CALLS_AT_MOST
from protocols.sip.call import Call
from protocols.sip.phone import Phone, PhoneSettings
from protocols.sip.playout import SILENCE, Playout
from protocols.sip.registration import registration_state
from protocols.sip.sdp import without_telephone_event
from protocols.sip.sound import Sound
from protocols.sip.stream import Stream

STEP_MS: Final = 10
FRAME_NS: Final = NS_PER_S // 50
QUIET_NS: Final = 3 * FRAME_NS
"""Off-hook and no audio from a call for so long: silence is sent by our own clock."""
TOO_MANY: Final = 70010
"""PJ_ETOOMANY."""
ASKED_NS: Final = 40 * NS_PER_S
"""Longer than OPTIONS waits for its answer (64 T1, RFC 3261 17.1.2.2): one question at a time."""
AGAIN_S: Final = 5.0
"""A trunk that is silent is asked so soon again."""
RETRY_NS: Final = NS_PER_S // 4
Log = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class AgentSettings:
    """`line`: where panels connect. `trunk`: host[:port] that calls go to. `registrar`: empty for
    a trunk without registration. `password` is never printed.
    """

    line: tuple[str, int] | str
    trunk: str
    registrar: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    lines: int = 1
    answer_s: float = 60.0
    check_s: float = 60.0
    """How often an unregistered trunk is asked by OPTIONS whether it is there; 0: never."""
    phone: PhoneSettings = field(default_factory=PhoneSettings)
    audio_from: tuple[Network, ...] = ()
    """Whence audio may come, besides the address in the far end's session description."""


class _Account(pj.Account):  # type: ignore[misc]
    """The subscription. Callbacks only note."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[bool, str]] = []
        self.registered = False
        self.refused: list[Any] = []

    def onRegState(self, prm: Any) -> None:  # noqa: N802
        self.registered = bool(self.getInfo().regIsActive)
        self.told.append(registration_state(int(prm.code), self.registered))

    def onSendRequest(self, prm: Any) -> None:  # noqa: N802
        state = prm.e.body.tsxState.tsx
        self.told.append(trunk_state(int(state.statusCode)))

    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802
        """Nobody is to ring a panel."""
        call = pj.Call(self, prm.callId)
        answer = pj.CallOpParam()
        answer.statusCode = 486
        call.hangup(answer)
        self.refused.append(call)  # to be let go of, but not inside its own callback


class _Call(Call):
    def onCallSdpCreated(self, prm: Any) -> None:  # noqa: N802
        """Digits stay in the audio: RFC 4733 is not even offered."""
        prm.sdp.wholeSdp = without_telephone_event(prm.sdp.wholeSdp)


@dataclass(slots=True, eq=False)
class _Plug:
    """One panel's connection and its line."""

    number: int
    stream: Stream
    line: Line
    sound: Sound
    caller: str = ""
    call: _Call | None = None
    number_waiting: str = ""
    retry_at: int = 0
    quiet_at: int = 0
    frames_seen: int = -1
    malformed: int = 0


class Agent:
    """Runs in the thread that made it."""

    def __init__(self, settings: AgentSettings, log: Log) -> None:
        """Raises OSError or pjsua2.Error when an address cannot be had."""
        self.settings = settings
        self.stopping = False
        self._log = log
        self._server = _listen(settings.line)
        self.line_address = _name(self._server)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._server, selectors.EVENT_READ, None)
        self._phone = Phone(settings.phone)
        self.address = self._phone.address
        self._up, self._why = (False, "unregistered") if settings.registrar else (True, "")
        self._account = self._open_account()
        self._sounds = [Sound(f"line{n}") for n in range(settings.lines)]
        self._plugs: list[_Plug] = []
        self._dying: list[_Call] = []
        self._numbered = 0
        self._check_at = 0

    def _open_account(self) -> _Account:
        settings = self.settings
        own = settings.trunk if settings.registrar else self.address
        config = self._phone.account_config(f"sip:{settings.user or 'panel'}@{own}")
        if settings.registrar:
            self._phone.register(config, settings.registrar, settings.user, settings.password)
        account = _Account()
        account.create(config, True)
        return account

    def run(self) -> None:
        """Until `stopping`."""
        while not self.stopping:
            self._phone.handle(STEP_MS)
            self.step()
        for plug in list(self._plugs):
            self._unplug(plug, "stopping")
        with contextlib.suppress(pj.Error):
            if self.settings.registrar:
                self._account.setRegistration(False)
        self._phone.close(self._wound_up)
        if isinstance(self.settings.line, str):
            with contextlib.suppress(OSError):
                Path(self.settings.line).unlink()

    def _wound_up(self) -> bool:
        self._bury()
        return not self._dying and not self._account.registered

    # -- the loop ---------------------------------------------------------------------------------

    def step(self) -> None:
        """Look after everything once."""
        now = Instant(time.monotonic_ns())
        for key, _ in self._selector.select(0):
            if key.data is None:
                self._accept()
            else:
                key.data.stream.poll()
        self._trunk(now)
        for plug in list(self._plugs):
            self._look_panel(plug, now)
            if plug.number_waiting and now >= plug.retry_at:
                self._invite(plug, plug.number_waiting)
            self._look_call(plug)
            self._do(plug, plug.line.tick(now))
            self._fill(plug, now)
        self._bury()

    def _accept(self) -> None:
        try:
            connection, _ = self._server.accept()
        except OSError:
            return
        stream = Stream(connection, Playout())
        if not self._sounds:
            stream.say(Say("no_line", "all_lines_taken").fields())
            stream.close()
            self._log({"is": "refused", "why": "all lines are taken"})
            return
        self._numbered += 1
        line = Line(self.settings.answer_s, up=self._up, why=self._why)
        plug = _Plug(self._numbered, stream, line, self._sounds.pop())
        self._plugs.append(plug)
        self._selector.register(connection, selectors.EVENT_READ, plug)
        self._do(plug, line.plugged())
        self._tell(plug, "plugged")

    def _trunk(self, now: Instant) -> None:
        check_s = self.settings.check_s
        if not self.settings.registrar and check_s and now >= self._check_at:
            self._check_at = Instant(now + ASKED_NS)
            request = pj.SendRequestParam()
            request.method = "OPTIONS"
            request.txOption.targetUri = f"sip:{self.settings.trunk}"
            try:
                self._account.sendRequest(request)
            except pj.Error as error:
                self._account.told.append((False, "trunk_silent"))
                self._log({"is": "options_failed", "why": str(error.reason)})
        while self._account.told:
            up, why = self._account.told.pop(0)
            if (up, why) != (self._up, self._why):
                self._up, self._why = up, why
                self._log({"is": "line", "up": up, "why": why})
            wait_s = check_s if up else min(check_s, AGAIN_S)
            self._check_at = later(now, wait_s)
            for plug in self._plugs:
                self._do(plug, plug.line.trunk(up, why))

    def _look_panel(self, plug: _Plug, now: Instant) -> None:
        stream = plug.stream
        while stream.frames:
            frame = stream.frames.popleft()
            if frame.kind == Kind.ID and len(frame.payload) == 16:
                plug.caller = audiosocket.caller_of(UUID(bytes=frame.payload))
            elif frame.kind == Kind.CONTROL:
                order = order_of(frame.payload)
                if isinstance(order, Malformed):
                    plug.malformed += 1
                    self._tell(plug, "malformed", why=order.reason)
                elif order is not None:
                    self._do(plug, plug.line.order(order, now))
            elif frame.kind in (Kind.HANGUP, Kind.ERROR):
                self._do(plug, plug.line.unplugged())
        if stream.closed:
            self._unplug(plug, "the panel has gone")

    def _unplug(self, plug: _Plug, why: str) -> None:
        self._do(plug, plug.line.unplugged())
        self._selector.unregister(plug.stream)
        plug.stream.close()
        self._plugs.remove(plug)
        self._sounds.append(plug.sound)
        self._tell(plug, "unplugged", why=why)

    def _look_call(self, plug: _Plug) -> None:
        call = plug.call
        if call is None:
            return
        if call.rang and not call.confirmed:
            self._do(plug, plug.line.ringing())
        if call.confirmed:
            self._do(plug, plug.line.answered())
        if call.gone:
            self._part(plug, call)
            self._do(plug, plug.line.ended(call.code))

    def _fill(self, plug: _Plug, now: Instant) -> None:
        """Silence while the line is held and no call brings audio."""
        frames = plug.sound.frames_in
        if not plug.line.off_hook or frames != plug.frames_seen:
            plug.frames_seen = frames
            plug.quiet_at = now + QUIET_NS
        while now >= plug.quiet_at:
            plug.quiet_at += FRAME_NS
            plug.stream.audio(SILENCE)

    def _do(self, plug: _Plug, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Say():
                    plug.stream.say(effect.fields())
                    self._tell(plug, effect.what, **({"why": effect.why} if effect.why else {}))
                case Invite(number):
                    self._invite(plug, number)
                case HangUp():
                    self._hang_up(plug)

    def _invite(self, plug: _Plug, number: str) -> None:
        """Begin a call, as soon as an earlier one has left the library's last place."""
        open_calls = len(self._dying) + sum(1 for one in self._plugs if one.call is not None)
        if open_calls >= CALLS_AT_MOST:
            plug.number_waiting = number
            return
        plug.number_waiting = ""
        call = _Call(self._account, audio_from=self.settings.audio_from)
        plug.call, call.sound = call, plug.sound
        plug.stream.playout.clear()
        plug.sound.bind(plug.stream)
        parameters = pj.CallOpParam(True)
        parameters.opt.audioCount, parameters.opt.videoCount = 1, 0
        if plug.caller:
            identity = f"<sip:{plug.caller}@{self.settings.trunk}>"
            parameters.txOption.headers.append(_header("P-Asserted-Identity", identity))
        try:
            call.makeCall(request_uri(number, self.settings.trunk), parameters)
        except pj.Error as error:
            if error.status == TOO_MANY:
                # a call's place is freed some time after its end was told: the caller waits for it
                self._tell(plug, "waiting_for_a_place")
                plug.sound.bind(None)
                plug.call, plug.number_waiting = None, number
                plug.retry_at = time.monotonic_ns() + RETRY_NS
                return
            self._tell(plug, "sip_error", error=str(error.reason))
            call.gone, call.code = True, 503

    def _hang_up(self, plug: _Plug) -> None:
        plug.number_waiting = ""
        call = plug.call
        if call is None:
            return
        self._part(plug, call)
        with contextlib.suppress(pj.Error):  # over by itself meanwhile
            call.hangup(pj.CallOpParam())

    def _part(self, plug: _Plug, call: _Call) -> None:
        playout = plug.stream.playout
        self._tell(
            plug,
            "over",
            code=call.code,
            frames_in=plug.sound.frames_in,
            frames_out=playout.taken,
            starved=playout.starved,
            discarded=playout.discarded + plug.stream.unsent_frames,
        )
        plug.sound.bind(None)
        call.part()
        plug.call = None
        self._dying.append(call)

    def _bury(self) -> None:
        self._dying = [call for call in self._dying if not call.gone]
        self._account.refused.clear()

    def _tell(self, plug: _Plug, state: str, **more: Any) -> None:
        self._log({"line": plug.number, "caller": plug.caller, "is": state, **more})


def _header(name: str, value: str) -> Any:
    header = pj.SipHeader()
    header.hName, header.hValue = name, value
    return header


def _listen(where: tuple[str, int] | str) -> socket.socket:
    if isinstance(where, str):
        Path(where).unlink(missing_ok=True)
        server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        server.bind(where)
        Path(where).chmod(0o660)
        server.listen(16)
    else:
        server = socket.create_server(where, backlog=64)
    server.setblocking(False)
    return server


def _name(server: socket.socket) -> str:
    name = server.getsockname()
    return f"unix:{name}" if isinstance(name, str) else f"{name[0]}:{name[1]}"
