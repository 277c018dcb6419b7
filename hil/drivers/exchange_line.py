"""One subscriber's line at the simulated exchange: dial tone, digits, ringing, call, tones.

Stepped by 20 ms frames, no clock of its own. Two manners of line in one: an analogue one (all is
in the audio: tones one hears, DTMF one plays, the loop one breaks) and a signalled one, as a SIP
agent holds it (`do`s in, `is`es out, protocols/audiosocket.py CONTROL). Both are always there; a
modem listens to the one, the panel's socket line to the other.
"""

from __future__ import annotations

from collections import deque
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any, Final

from hil.drivers.exchange_far_ends import Connect, FarEnd, Route, Routes, Stage, sound_end
from hil.drivers.exchange_impairment import SimulatedLine
from hil.drivers.exchange_tones import SILENT_FRAME, Pcm, Plan, Played, Quiet, Sound
from protocols.tones.ear import Ear
from protocols.tones.elements import FRAME_MS, DigitHeard, Progress
from protocols.tones.listening import EXCHANGE

CALLS_KEPT: Final = 1000
PULSE_MS: Final = (20, 150)
"""A break of the loop so long is one pulse of a dialled digit; longer is hanging up."""
DIGIT_GAP_MS: Final = 300
"""A loop closed so long ends a pulse-dialled digit."""
BROKEN_MS: Final = 400
"""A loop open so long has hung up (a cut line too: the far end hears of it then)."""


class Phase(Enum):
    """Where the line is."""

    IDLE = "idle"
    DIAL_TONE = "dial_tone"
    DIALLING = "dialling"
    RINGING = "ringing"
    TALKING = "talking"
    TONE = "tone"
    """Busy, congestion, or the tone after the far end hung up; only hanging up helps."""


@dataclass(slots=True)
class Call:
    """One call as it was, for whoever asks afterwards. Times in ms of the line's audio."""

    number: str
    how: str
    """`signalled`, `dtmf`, `pulse`."""
    began_ms: int
    answered_ms: int | None = None
    ended_ms: int | None = None
    end: str = ""
    """`released`, `cut`, `dropped`, `far`, `busy`, `congestion`, `unknown`, `unreachable`."""
    digits: str = ""
    """DTMF keys that went from the line to the far end."""


@dataclass(frozen=True, slots=True)
class Faults:
    """What can be wrong with a line; all changed at run time."""

    cut: bool = False
    no_dial_tone: bool = False
    dial_tone_late_ms: int = 200
    answer_late_ms: int = 0
    """From the far end's going off hook to the audio path."""
    drop_after_ms: int = 0
    """The network drops a call so long after its answer."""
    drop_at_digit: int = 0
    """The network drops a call at its n-th DTMF digit."""
    number_wait_ms: int = 4000
    """Without a further digit for so long a number that leads nowhere is given up."""
    in_use: bool = False
    """A person is on the phone here: only a forced seizure gets the line."""


class SubscriberLine:
    """The exchange's end of one line. `told` gathers what a signalled line is told."""

    def __init__(
        self, name: str, routes: Routes, connect: Connect, plan: Plan, seed: int = 0
    ) -> None:
        self.name = name
        self.plan = plan
        self.faults = Faults()
        self.wire = SimulatedLine(seed=seed)
        """A is the subscriber; impairs calls and tones alike."""
        self.told: deque[dict[str, Any]] = deque(maxlen=1000)
        self.calls: deque[Call] = deque(maxlen=CALLS_KEPT)
        self.phase = Phase.IDLE
        self._routes = routes
        self._connect = connect
        self._sound: Sound = Quiet()
        self._since_ms = 0
        self._number = ""
        self._how = ""
        self._ear = Ear(EXCHANGE)
        self._call: Call | None = None
        self._route: Route | None = None
        self._far: FarEnd | None = None
        self._to_far: Pcm = SILENT_FRAME
        self._loop = _Loop()
        self._off_hook = False

    @property
    def now_ms(self) -> int:
        """Age of the line's audio."""
        return self.wire.frames * FRAME_MS

    @property
    def waits_for_far(self) -> bool:
        """The far end talks, but its next 20 ms are not here yet."""
        return self.phase is Phase.TALKING and self._far is not None and not self._far.ready

    @property
    def off_hook(self) -> bool:
        """Whether the subscriber has seized it."""
        return self._off_hook

    def state(self) -> dict[str, Any]:
        """For the control socket."""
        call = self._call
        return {
            "now_ms": self.now_ms,
            "phase": self.phase.value,
            "off_hook": self._off_hook,
            "call": asdict(call) if call else None,
            "calls": len(self.calls),
            "faults": asdict(self.faults),
            "out": asdict(self.wire.ab.dials),
            "in": asdict(self.wire.ba.dials),
            "lost_frames": [self.wire.ab.lost, self.wire.ba.lost],
        }

    def set_faults(self, faults: Faults) -> None:
        """Change what is wrong. Cutting and healing act at once."""
        was, self.faults = self.faults, faults
        if (was.cut, was.in_use) != (faults.cut, faults.in_use):
            self.tell_voltage()
        if was.cut != faults.cut:
            self.wire.cut = faults.cut
            if faults.cut:
                self._loop.opened(self.now_ms)
            elif self._off_hook:
                self._loop.closed(self.now_ms)
                if self._call is None:
                    self._dial_tone()

    def tell_voltage(self) -> None:
        """What can be felt of the line without lifting."""
        cut = self.faults.cut
        why = "no_voltage" if cut else ""
        self._tell("line", up=not cut, why=why, in_use=self.faults.in_use)

    def drop(self) -> None:
        """The network drops the call, if there is one."""
        if self._call is not None:
            self._end_call("dropped")
            self._tell("dropped")
            self._play_tone(busy=True)

    def order(self, do: dict[str, Any]) -> None:
        """A `do` of the subscriber's side. Whatever else it is is passed over."""
        match do.get("do"):
            case "seize":
                self._seize(force=bool(do.get("force")))
            case "dial":
                self._dialled(str(do.get("number", "")))
            case "release":
                self._release()
            case "loop":
                closed = bool(do.get("closed"))
                if self._off_hook and not self.faults.cut:
                    (self._loop.closed if closed else self._loop.opened)(self.now_ms)
            case _:
                pass

    def step(self, said: Pcm) -> Pcm:
        """20 ms: what the subscriber says -> what it hears."""
        if not self._off_hook:
            self.wire.frames += 1
            return SILENT_FRAME
        from_far = self._sound.frame()
        far = self._far
        if far is not None and self.phase is Phase.TALKING:
            from_far = far.step(self._to_far)
        heard, self._to_far = self.wire.step(said, from_far)
        self._loop_events()
        self._listen(self._to_far)
        self._progress()
        return heard

    # --- the subscriber ---

    def _seize(self, *, force: bool) -> None:
        if self._off_hook:
            return
        if self.faults.in_use and not force:
            self._tell("no_line", why="in_use")
            return
        self._off_hook = True
        self._loop = _Loop()
        if self.faults.cut:
            self._tell("no_line", why="no_voltage")
            self._loop.opened(self.now_ms)
            return
        self._tell("seized")
        self._dial_tone()

    def _dial_tone(self) -> None:
        self._number = ""
        self._ear = Ear(EXCHANGE)
        self._enter(Phase.DIAL_TONE, Quiet())

    def _release(self) -> None:
        if self._call is not None:
            self._end_call("released")
        self._off_hook = False
        self._enter(Phase.IDLE, Quiet())

    def _loop_events(self) -> None:
        event = self._loop.event(self.now_ms)
        if event is None:
            return
        if event < 0:
            if self._call is not None:
                self._end_call("cut" if self.faults.cut else "released")
                self._tell("dropped")
            self._enter(Phase.IDLE, Quiet())
        elif self.phase in {Phase.DIAL_TONE, Phase.DIALLING}:
            self._digit(str(event % 10), "pulse")

    def _listen(self, frame: Pcm) -> None:
        if self.phase not in {Phase.DIAL_TONE, Phase.DIALLING, Phase.TALKING}:
            return
        for heard in self._ear.feed(frame):
            if not isinstance(heard, DigitHeard):
                continue
            if self.phase is not Phase.TALKING:
                self._digit(heard.key, "dtmf")
            elif self._call is not None:
                self._call.digits += heard.key
                if len(self._call.digits) == self.faults.drop_at_digit:
                    self.drop()

    def _digit(self, key: str, how: str) -> None:
        self._number += key
        self._how = how
        self._enter(Phase.DIALLING, Quiet())
        if self._routes.find(self._number) and not self._routes.more_could_come(self._number):
            self._set_up(self._number, how)

    def _dialled(self, number: str) -> None:
        if self.phase in {Phase.DIAL_TONE, Phase.DIALLING} and not self.faults.cut:
            self._set_up("".join(c for c in number if c.isalnum() or c in "*#"), "signalled")

    # --- the call ---

    def _set_up(self, number: str, how: str) -> None:
        self._call = Call(number, how, self.now_ms)
        self.calls.append(self._call)
        route = self._routes.find(number)
        self._route = route
        match route.to if route else "unknown":
            case "busy":
                self._tell("busy")
                self._refuse("busy", busy=True)
            case "congestion":
                self._tell("failed", why="503")
                self._refuse("congestion", busy=False)
            case "unknown":
                self._tell("failed", why="404")
                self._refuse("unknown", busy=False)
            case _:
                self._tell("ringing")
                self._enter(Phase.RINGING, Played(self.plan[Progress.RINGING]))

    def _refuse(self, end: str, *, busy: bool) -> None:
        self._end_call(end)
        self._play_tone(busy=busy)

    def _progress(self) -> None:
        since_ms = self.now_ms - self._since_ms
        if self.phase is Phase.DIAL_TONE:
            waiting = isinstance(self._sound, Quiet) and not self.faults.no_dial_tone
            if waiting and since_ms >= self.faults.dial_tone_late_ms:
                self._sound = Played(self.plan[Progress.DIAL_TONE])
                self._tell("dial_tone")
        elif self.phase is Phase.DIALLING:
            if since_ms >= self.faults.number_wait_ms:
                self._set_up(self._number, self._how)
        elif self.phase is Phase.RINGING:
            self._ring(since_ms)
        elif self.phase is Phase.TALKING:
            self._talk(since_ms)

    def _ring(self, since_ms: int) -> None:
        route = self._route
        if route is None or route.to == "no_answer" or since_ms < route.ring_ms:
            return
        if self._far is None:
            self._far = (
                self._connect(route, self.name) if route.to == "receiver" else sound_end(route)
            )
        if self._far.stage is Stage.FAILED:
            self._tell("failed", why="503")
            self._refuse("unreachable", busy=False)
        elif self._far.stage is not Stage.OPENING:
            assert self._call is not None
            self._call.answered_ms = self.now_ms
            self._ear = Ear(EXCHANGE)
            self._tell("answered")
            self._enter(Phase.TALKING, Quiet())

    def _talk(self, since_ms: int) -> None:
        far, route = self._far, self._route
        assert far is not None
        assert route is not None
        if (route.lasts_ms and since_ms >= route.lasts_ms) or far.stage is Stage.ENDED:
            self._end_call("far")
            self._tell("dropped")
            self._play_tone(busy=True)
        elif self.faults.drop_after_ms and since_ms >= self.faults.drop_after_ms:
            self.drop()

    def _end_call(self, end: str) -> None:
        call, self._call = self._call, None
        if call is not None:
            call.ended_ms = self.now_ms
            call.end = end
        far, self._far = self._far, None
        self._route = None
        if far is not None:
            far.hang_up()

    def _play_tone(self, *, busy: bool) -> None:
        self._enter(Phase.TONE, Played(self.plan[Progress.BUSY if busy else Progress.CONGESTION]))

    def _enter(self, phase: Phase, sound: Sound) -> None:
        self.phase = phase
        self._sound = sound
        self._since_ms = self.now_ms

    def _tell(self, what: str, **more: object) -> None:
        self.told.append({"is": what, **more})


class _Loop:
    """The subscriber's loop: breaks counted into digits."""

    def __init__(self) -> None:
        self._open_ms: int | None = None
        self._closed_ms = 0
        self._pulses = 0
        self._hung_up = False

    def opened(self, now_ms: int) -> None:
        if self._open_ms is None:
            self._open_ms = now_ms

    def closed(self, now_ms: int) -> None:
        if self._open_ms is not None:
            low, high = PULSE_MS
            if low <= now_ms - self._open_ms <= high:
                self._pulses += 1
            self._open_ms = None
            self._closed_ms = now_ms
            self._hung_up = False

    def event(self, now_ms: int) -> int | None:
        """A digit's pulses, or -1 for hung up, once each."""
        if self._open_ms is not None:
            if now_ms - self._open_ms >= BROKEN_MS and not self._hung_up:
                self._hung_up = True
                self._pulses = 0
                return -1
        elif self._pulses and now_ms - self._closed_ms >= DIGIT_GAP_MS:
            pulses, self._pulses = self._pulses, 0
            return pulses
        return None
