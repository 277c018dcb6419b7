"""The played modem's insides: AT commands, ringing and dialling, voice streams; no I/O of its own.

Fed with the computer's bytes and the line's frames; says through a Shell what goes out.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

from hil.drivers.voice_modem_buffer import VoiceBuffer
from hil.drivers.voice_modem_dialling import Dialling, dtmf, tone_list
from hil.drivers.voice_modem_kinds import Kind
from protocols.tones.ear import Ear
from protocols.tones.elements import FRAME_SAMPLES, Progress, ProgressHeard
from protocols.tones.listening import Listen
from protocols.tones.synthesis import Player
from protocols.voice_modem.samples import Coding, Pcm, to_bytes
from protocols.voice_modem.stream import shield

LISTEN: Final = Listen(progress=True)
DIAL_TONE_MS: Final = 5000
_ACTIONS: Final = {"+VTX", "+VRX", "+VTR", "+VTS"}


class Shell(Protocol):
    """What the insides need of the outside (PlayedModem)."""

    @property
    def refuses(self) -> str:
        """How every dialling ends (NO CARRIER, BLACKLISTED), or nothing."""
        ...

    def say(self, text: str) -> None:
        """A line to the computer."""

    def to_dte(self, data: bytes) -> None:
        """Bytes to the computer."""

    def seize(self) -> None:
        """Off-hook."""

    def let_go(self) -> None:
        """On-hook."""

    def loop(self, *, closed: bool) -> None:
        """A break of the loop, or its end."""


class State(Enum):
    """What the computer's bytes mean now."""

    COMMAND = "command"
    BUSY = "busy"
    """Dialling or playing +VTS; any byte breaks it off."""
    HEARING = "+VRX"
    PLAYING = "+VTX"
    DUPLEX = "+VTR"


_HEARS: Final = {State.HEARING, State.DUPLEX}


class Dce:
    """One modem from plugging to unplugging."""

    def __init__(
        self, kind: Kind, shell: Shell, volts: float = 48.0, *, in_use: bool = False
    ) -> None:
        self.off_hook = False
        self.state = State.COMMAND
        self.volts = volts
        self.in_use = in_use
        """A telephone beside it is lifted."""
        self.lost_samples = 0
        self.echoes = True
        self.loudspeaker = True
        self.ringing = False
        self._kind = kind
        self._shell = shell
        self._wants_caller = False
        self._voice_mode = False
        self._line = bytearray()
        self._coding = Coding.UNSIGNED_8
        self._buffer = VoiceBuffer(self._coding)
        self._player = Player()
        self._ear = Ear(LISTEN)
        self._x = 4
        self._dial_tone = False
        self._dialling: Dialling | None = None

    # --- the line ---

    def voltage(self, *, up: bool, in_use: bool = False) -> None:
        """The wall's voltage came, went, or a telephone beside us was lifted."""
        was, self.volts = self.volts, 48.0 if up else 1.4
        self.in_use = in_use
        if was > self.volts and self.state in {*_HEARS, State.PLAYING}:
            self._shell.to_dte(b"\x10l")

    def ring(self, caller: str) -> None:
        """A ring; `caller` comes after it where it was asked for (empty: nothing comes)."""
        self.ringing = True
        if self.state is not State.COMMAND or self.off_hook:
            return
        events = self._kind.events and self._voice_mode
        if events:
            self._shell.to_dte(b"\x10R")
        else:
            self._shell.say("RING")
        if caller and self._wants_caller:
            if events:
                self._shell.to_dte(b"\x10X")
            for line in ("DATE = 1124", "TIME = 0812", f"NMBR = {caller}"):
                self._shell.say(line)
            if events:
                self._shell.to_dte(b"\x10.")

    def caller_gone(self, how: str) -> None:
        """The far end hung up: `busy`, `loop`, `no_carrier`; `words`: NO CARRIER amid the audio
        and no end of stream; else nothing is noticed.
        """
        self.ringing = False
        if self.state not in _HEARS:
            return
        if how in {"busy", "loop"}:
            self._shell.to_dte(b"\x10" + how[:1].encode())
        elif how in {"no_carrier", "words"}:
            self.hang_up()
            if how == "no_carrier":
                self._shell.to_dte(b"\x10\x03")
            self._shell.say("NO CARRIER")

    def hang_up(self) -> None:
        """On-hook, whatever was going on."""
        if self.off_hook:
            self.off_hook = False
            self._shell.let_go()
            if self._kind.forgetful:
                self._voice_mode, self._coding = False, Coding.ULAW
        self._to_command()

    def frame(self, heard: Pcm) -> Pcm:
        """20 ms of the line."""
        for what in self._ear.feed(heard):
            if isinstance(what, ProgressHeard):
                self._progress(what.progress)
        if self.state in _HEARS:
            self._shell.to_dte(shield(to_bytes(heard, self._coding)))
        if self._dialling is not None:
            self._dial_on(self._dialling)
        if self.state in {State.PLAYING, State.DUPLEX}:
            return self._from_buffer()
        said = self._player.read(FRAME_SAMPLES)
        if self.state is State.BUSY and self._dialling is None and self._player.idle:
            self._finish("OK")
        return said

    def _progress(self, progress: Progress) -> None:
        if progress is Progress.DIAL_TONE:
            self._dial_tone = True
            if self.state in _HEARS:
                self._shell.to_dte(b"\x10d")
        elif progress is Progress.BUSY:
            if self.state in _HEARS:
                self._shell.to_dte(b"\x10b")
            elif self._dialling is not None and self._dialling.waits_for_answer:
                self.hang_up()
                self._shell.say("BUSY")

    def _from_buffer(self) -> Pcm:
        said, ended, dry = self._buffer.frame()
        if ended:
            self._ended()
        elif dry:
            self._shell.to_dte(b"\x10u")
        return said

    def _ended(self) -> None:
        self._to_command()
        if self._kind.end == "etx":
            self._shell.to_dte(b"\x10\x03")
        self._shell.say("OK" if self._kind.end == "etx" else "VCON")

    def _to_command(self) -> None:
        self.state = State.COMMAND
        self._dialling = None
        self.lost_samples += self._buffer.lost_samples
        self._buffer = VoiceBuffer(self._coding)
        self._player.clear()

    # --- the computer's bytes ---

    def receive(self, data: bytes) -> None:
        """Bytes from the computer."""
        while data:
            if self.state is State.BUSY:
                taken = 1
                self._to_command()
                self._shell.say("OK")
            elif self.state is State.COMMAND:
                taken = 1
                self._typed(data[:1])
            else:
                taken = self._buffer.piece(data)
                self._stream(data[:taken])
            data = data[taken:]

    def _typed(self, byte: bytes) -> None:
        if self.echoes:
            self._shell.to_dte(byte)
        if byte != b"\r":
            self._line += byte
            return
        line = bytes(self._line)
        self._line.clear()
        text = re.sub(r"\s+", "", line.decode("ascii", "replace")).upper()
        at = text.rfind("AT")
        if at >= 0 and not self._commands(text[at + 2 :]):
            self._shell.say("ERROR")

    def _stream(self, piece: bytes) -> None:
        if self.state is State.HEARING and self._kind.any_character:
            self._leave()
            return
        for code in self._buffer.feed(piece, keep=self.state is not State.HEARING):
            self._order(code)

    def _order(self, code: int) -> None:
        """A shielded code of the computer."""
        if code == 0x18:
            self._buffer.forget()
        elif code == 0x03 and self.state is State.PLAYING:
            self._buffer.ending = True
        elif (code in b"!\x1b" and self.state is State.HEARING) or (
            code == ord("^") and self.state is State.DUPLEX
        ):
            self._leave()

    def _leave(self) -> None:
        self._to_command()
        self._shell.to_dte(b"\x10\x03")
        self._shell.say("OK" if self._kind.end == "etx" else "VCON")

    # --- commands ---

    def _commands(self, text: str) -> bool:
        while text and text[0] not in "+-#AD":
            match = re.match(r"&[DK]\d|[EVQMLZHX]\d?|S\d+=\d+", text)
            if match is None:
                return False
            word, text = match[0], text[match.end() :]
            if not self._word(word):
                return False
        if not text:
            return self._ok()
        if text == "A":
            return self._answer("A")
        return self._dial(text[1:]) if text[0] == "D" else self._plus(text)

    def _word(self, word: str) -> bool:
        if word == "H1":
            return self._lift(word)
        if word[0] in "ZH":
            self.hang_up()
        elif word[0] == "X":
            self._x = int(word[1:] or 0)
        elif word[0] == "E":
            self.echoes = word != "E0"
        elif word[0] == "M":
            self.loudspeaker = word != "M0"
        return True

    def _plus(self, text: str) -> bool:
        name, _, value = text.partition("=")
        if name in _ACTIONS and value == "?" and not self._kind.test_forms:
            return False
        if name.startswith("+V") and not self._voice_mode:
            return False
        acts: dict[str, Callable[[str], bool]] = {
            "+FCLASS": self._class,
            "+IFC": lambda _: self._ok(),
            "+VIT": lambda _: self._ok(),
            "+VSD": lambda value: value == self._kind.silence_off and self._ok(),
            "+VSM": self._choose,
            "+VLS": lambda value: self._answer(f"+VLS={value}"),
            "+VTS": self._tones,
            "+VTX": lambda value: self._begin(State.PLAYING, value, able=self._kind.plays),
            "+VRX": lambda value: self._begin(State.HEARING, value, able=self._kind.hears),
            "+VTR": lambda value: self._begin(State.DUPLEX, value, able=self._kind.duplex),
            "-TRV": lambda _: self._voltage(),
            self._kind.caller_id: self._caller_id,
        }
        act = acts.get(name)
        return act is not None and act(value)

    def _ok(self) -> bool:
        self._shell.say("OK")
        return True

    def _class(self, value: str) -> bool:
        self._voice_mode = value == "8"
        return value in {"0", "8"} and self._ok()

    def _choose(self, value: str) -> bool:
        if value == "?":
            for line in self._kind.formats:
                self._shell.say(line)
            return self._ok()
        label, *more = value.split(",")
        if label not in self._kind.codings or len(more) >= self._kind.vsm_values:
            return False
        self._coding = self._kind.codings[label]
        return self._ok()

    def _caller_id(self, value: str) -> bool:
        self._wants_caller = value == "1"
        return self._ok()

    def _answer(self, how: str) -> bool:
        if how == "+VLS=0":
            self.hang_up()
            return self._ok()
        if how == "A" and not self.ringing:
            self._shell.say("NO CARRIER")
            return True
        if not self._lift(how):
            return False
        self._shell.say(self._kind.lifted if self.off_hook else "NO LINE")
        return True

    def _lift(self, how: str) -> bool:
        if how not in self._kind.lifts:
            return False
        if self._kind.line_words and self.volts < 3:
            return True
        if not self.off_hook:
            self.off_hook = True
            self.ringing = False
            self._ear = Ear(LISTEN)
            self._dial_tone = False
            self._shell.seize()
        return True

    def _voltage(self) -> bool:
        if not self._kind.volts:
            return False
        volts = 7.0 if self.volts > 3 and (self.off_hook or self.in_use) else self.volts
        self._shell.say(f"{volts:.2f}")
        return self._ok()

    def _begin(self, state: State, value: str, *, able: bool) -> bool:
        if not able:
            return False
        if value == "?":
            return self._ok()
        if not self.off_hook:
            return False
        self._to_command()
        self.state = state
        self._shell.say("CONNECT")
        return True

    def _tones(self, value: str) -> bool:
        if not self._kind.vts:
            return False
        if value == "?":
            self._shell.say("(0,200-3000),(0,200-3000),(0-255)")
            return self._ok()
        sounds = tone_list(value, self._kind.vts)
        if sounds is None or not self.off_hook:
            return False
        self._player.play(sounds)
        self.state = State.BUSY
        return True

    # --- dialling ---

    def _dial(self, text: str) -> bool:
        match = re.fullmatch(r"([TP]?)([0-9*#ABCD,]+)(;?)", text)
        if match is None:
            return False
        if self._shell.refuses:
            self.hang_up()
            self._shell.say(self._shell.refuses)
            return True
        if self._kind.line_words and (self.volts < 3 or (self.in_use and not self.off_hook)):
            self._shell.say("NO LINE" if self.volts < 3 else "LINE IN USE")
            return True
        self._lift(self._kind.lifts[0])
        self.state = State.BUSY
        waits = self._x in {2, 4}
        self._dialling = Dialling(match[2], match[1] == "P", not match[3], waits)
        return True

    def _dial_on(self, dialling: Dialling) -> None:
        """One frame of dialling: dial tone, digits, then the rest."""
        dialling.frames += 1
        if dialling.waits_for_tone:
            if self._dial_tone:
                dialling.waits_for_tone = False
            elif dialling.frames * 20 > DIAL_TONE_MS:
                self.hang_up()
                self._shell.say(self._kind.no_dial_tone)
            return
        if not dialling.begun:
            dialling.begun = True
            self._ear.dialled()
            if not dialling.pulse:
                self._player.play(dtmf(dialling.number))
        if dialling.pulse:
            if dialling.closed != (closed := dialling.next_pulse_frame()):
                dialling.closed = closed
                self._shell.loop(closed=closed)
            if dialling.steps or dialling.number:
                return
        elif not self._player.idle:
            return
        if dialling.then_waits:
            dialling.waits_for_answer = True
        else:
            self._finish("OK")

    def _finish(self, result: str) -> None:
        self.state = State.COMMAND
        self._dialling = None
        self._shell.say(result)
