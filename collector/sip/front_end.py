"""SIP calls in, AudioSocket connections out: each incoming call becomes a line of the receiver."""

from __future__ import annotations

import contextlib
import errno
import json
import secrets
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import pjsua2 as pj

from collector.sip.bridging import (
    BUSY_HERE,
    UNAVAILABLE,
    Answer,
    Bridging,
    Effect,
    HangUp,
    Part,
    Patience,
    Refuse,
    Stage,
    caller_of,
)
from protocols import audiosocket
from protocols.audiosocket import Kind
from protocols.sip.addresses import Network
from protocols.sip.call import Call
from protocols.sip.phone import Phone, PhoneSettings
from protocols.sip.playout import PRIME, Playout
from protocols.sip.registration import registration_state
from protocols.sip.sdp import without_telephone_event
from protocols.sip.sound import Sound
from protocols.sip.stream import Stream

STEP_MS: Final = 10
INFO_MEND: Final = "digits came by SIP INFO and are not read: set the sender to in-band or RFC 4733"
Say = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Registration:
    """Where the centre's number is registered, if anywhere. `proxy`: what leads there."""

    registrar: str = ""
    user: str = ""
    password: str = field(default="", repr=False)
    proxy: str = ""


@dataclass(frozen=True, slots=True)
class FrontEndSettings:
    """`receiver`: host and port of its AudioSocket server, or a path of a unix socket. `contact`:
    whom callers are to speak to within a call. `allow`: networks audio may come from.
    """

    receiver: tuple[str, int] | str
    contact: str
    phone: PhoneSettings = field(default_factory=PhoneSettings)
    patience: Patience = field(default_factory=Patience)
    allow: tuple[Network, ...] = ()
    registration: Registration = field(default_factory=Registration)


class _Account(pj.Account):  # type: ignore[misc]
    def __init__(self, front: FrontEnd) -> None:
        super().__init__()
        self.front = front
        self.registered = False

    def onRegState(self, prm: Any) -> None:  # noqa: N802
        self.registered = bool(self.getInfo().regIsActive)
        self.front.registration(*registration_state(int(prm.code), self.registered))

    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802
        self.front.incoming(prm)


class _Call(Call):
    """One incoming call."""

    def __init__(self, account: Any, call_id: int, number: int, rules: FrontEndSettings) -> None:
        super().__init__(account, call_id, rules.allow)
        self.number = number
        self.caller = self.sip_id = ""
        self.digits_by_info = 0
        """SIP INFO digits: not taken, for such senders mostly leave the tones in the audio too."""
        self.telephone_event = rules.phone.telephone_event
        self.machine = Bridging(rules.patience, time.monotonic())
        self.began_s = time.monotonic()
        self.socket: socket.socket | None = None
        self.stream: Stream | None = None

    def onDtmfDigit(self, prm: Any) -> None:  # noqa: N802
        if prm.method != pj.PJSUA_DTMF_METHOD_RFC2833:
            self.digits_by_info += 1
        elif self.sound is not None:
            self.sound.event(prm.digit)

    def onCallSdpCreated(self, prm: Any) -> None:  # noqa: N802
        if not self.telephone_event:
            prm.sdp.wholeSdp = without_telephone_event(prm.sdp.wholeSdp)


class FrontEnd:
    """Runs in the thread that made it. `say` takes a JSON-able line for the log."""

    def __init__(self, settings: FrontEndSettings, say: Say) -> None:
        """Raises pjsua2.Error when the SIP address cannot be had."""
        self.settings = settings
        self.stopping = False
        self._say = say
        self._phone = Phone(settings.phone)
        self.address = self._phone.address
        self._account = _Account(self)
        self._account.create(self._account_config(), True)
        self._calls: list[_Call] = []
        phone = settings.phone
        self._sounds = [Sound(f"call{n}", phone.buffer_ms) for n in range(phone.calls)]
        self._numbered = 0
        self._prime = PRIME

    def _account_config(self) -> Any:
        settings = self.settings
        wanted = settings.registration
        own = wanted.registrar or self.address
        config = self._phone.account_config(f"sip:{wanted.user or 'receiver'}@{own}")
        config.sipConfig.contactForced = settings.contact
        if wanted.registrar:
            config.sipConfig.proxies.append(f"sip:{wanted.proxy};lr")
            self._phone.register(config, wanted.registrar, wanted.user, wanted.password)
        return config

    def run(self, alone: Callable[[], bool]) -> None:
        """Until `stopping`, or `alone` says that nobody is left to work for; then every call is
        ended.
        """
        while not self.stopping and not alone():
            self._phone.handle(STEP_MS)
            self.step()
        self.stopping = True
        if self._account.registered:
            with contextlib.suppress(pj.Error):
                self._account.setRegistration(False)
        self._phone.close(self._wound_up)

    def _wound_up(self) -> bool:
        self.step()
        return not self._calls and not self._account.registered

    # -- callbacks --------------------------------------------------------------------------------

    def registration(self, up: bool, why: str) -> None:
        """The registrar answered, or did not."""
        self._say({"is": "registration", "up": up, **({"why": why} if why else {})})

    def incoming(self, prm: Any) -> None:
        """An INVITE."""
        self._numbered += 1
        call = _Call(self._account, prm.callId, self._numbered, self.settings)
        call.sip_id = str(call.getInfo().callIdString)
        call.caller = caller_of(str(prm.rdata.wholeMsg), str(call.getInfo().remoteUri))
        self._calls.append(call)
        self._tell(call, "calling")
        if self.stopping or not self._sounds:
            code = UNAVAILABLE if self.stopping else BUSY_HERE
            self._act(call, call.machine.refuse(code, "no line free"))
            return
        call.sound = self._sounds.pop()
        call.sound.reset()
        try:
            call.socket = self._connect()
        except OSError as error:
            self._tell(call, "receiver_unreachable", error=str(error))
            self._act(call, call.machine.receiver_gone())

    def _connect(self) -> socket.socket:
        """A connection under way."""
        receiver = self.settings.receiver
        family = socket.AF_UNIX
        if not isinstance(receiver, str):
            family = socket.AF_INET6 if ":" in receiver[0] else socket.AF_INET
        connection = socket.socket(family, socket.SOCK_STREAM)
        connection.setblocking(False)
        code = connection.connect_ex(receiver)
        if code not in (0, errno.EINPROGRESS):
            connection.close()
            raise OSError(code, f"receiver at {receiver}: {errno.errorcode.get(code, code)}")
        return connection

    # -- the loop ---------------------------------------------------------------------------------

    def step(self) -> None:
        """Look after every call once."""
        now_s = time.monotonic()
        for call in list(self._calls):
            machine = call.machine
            if call.gone:
                self._act(call, machine.caller_gone())
                self._bury(call)
                continue
            if machine.stage is Stage.CONNECTING:
                self._look_connected(call, now_s)
            if call.stream is not None:
                self._look_stream(call, now_s)
            if call.confirmed:
                self._act(call, machine.confirmed(now_s))
            self._act(call, machine.tick(now_s))

    def _look_connected(self, call: _Call, now_s: float) -> None:
        connection = call.socket
        if connection is None or not select.select([], [connection], [], 0)[1]:
            return
        code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            self._tell(call, "receiver_unreachable", error=errno.errorcode.get(code, str(code)))
            self._act(call, call.machine.receiver_gone())
            return
        call.stream = Stream(connection, Playout(self._prime))
        call_id = audiosocket.call_id(call.caller, secrets.token_bytes(8))
        call.stream.send(Kind.ID, call_id.bytes)
        self._act(call, call.machine.connected(now_s))

    def _look_stream(self, call: _Call, now_s: float) -> None:
        stream = call.stream
        assert stream is not None
        if call.machine.stage is Stage.SETTLING:
            stream.poll()
        while stream.frames:
            frame = stream.frames.popleft()
            if frame.kind in (Kind.HANGUP, Kind.ERROR):
                self._act(call, call.machine.receiver_hung_up())
                return
        if stream.closed:
            self._act(call, call.machine.receiver_gone())
        elif stream.heard:
            self._act(call, call.machine.heard(now_s))

    def _act(self, call: _Call, effects: list[Effect]) -> None:
        for effect in effects:
            try:
                self._do(call, effect)
            except pj.Error as error:  # the call died meanwhile: its end is told by onCallState
                self._tell(call, "sip_error", error=str(error.reason))

    def _do(self, call: _Call, effect: Effect) -> None:
        parameters = pj.CallOpParam()
        match effect:
            case Answer():
                if call.sound is not None:
                    call.sound.bind(call.stream)
                parameters.statusCode = 200
                call.answer(parameters)
                self._tell(call, "answered")
            case Refuse(code):
                parameters.statusCode = code
                call.hangup(parameters)
                self._tell(call, "refused", code=code)
            case HangUp():
                call.hangup(parameters)
            case Part():
                self._part(call)

    def _part(self, call: _Call) -> None:
        if call.sound is not None:
            call.sound.bind(None)
        if call.stream is not None:
            call.stream.send(Kind.HANGUP)
            call.stream.close()
        elif call.socket is not None:
            call.socket.close()
        call.socket = None

    def _bury(self, call: _Call) -> None:
        self._calls.remove(call)
        sound, stream = call.sound, call.stream
        told: dict[str, Any] = {"end": call.machine.end, "code": call.code}
        told["lasted_s"] = round(time.monotonic() - call.began_s, 2)
        if sound is not None:
            told |= {"frames_in": sound.frames_in, "telephone_events": sound.rendered}
            self._sounds.append(sound)
        if call.digits_by_info:
            told |= {"digits_by_info": call.digits_by_info, "mend": INFO_MEND}
        if stream is not None:
            self._prime = stream.playout.next_prime()
            told |= {
                "frames_out": stream.playout.taken,
                "starved": stream.playout.starved,
                "discarded": stream.playout.discarded + stream.unsent_frames,
            }
        self._tell(call, "over", **told)

    def _tell(self, call: _Call, state: str, **more: Any) -> None:
        named = {"call": call.number, "id": call.sip_id, "caller": call.caller}
        self._say({**named, "is": state, **more})


def print_line(line: dict[str, Any]) -> None:
    """One JSON line on standard output, if anybody still reads it."""
    with contextlib.suppress(BrokenPipeError):
        print(json.dumps(line, ensure_ascii=False), flush=True)  # noqa: T201
