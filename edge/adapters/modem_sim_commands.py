"""The simulated modem's insides: AT commands, dialling, voice streams; no I/O of its own."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from edge.adapters.modem_sim_dialling import Dialling, dtmf, tone_list
from edge.adapters.modem_sim_kinds import LABELS, Kind
from protocols.tones.ear import Ear
from protocols.tones.elements import (
    FRAME_SAMPLES,
    Progress,
    ProgressHeard,
)
from protocols.tones.listening import Listen
from protocols.tones.synthesis import Player
from protocols.voice_modem import Coding, Unshield, from_bytes, shield, to_bytes

Pcm = npt.NDArray[np.int16]
LISTEN: Final = Listen(progress=True)
PLAY_BUFFER: Final = 8000
"""Samples of its transmit buffer; more is not taken in (here: lost, and counted)."""
DIAL_TONE_MS: Final = 5000


class Shell(Protocol):
    """What the insides need of the outside (ModemSim)."""

    troubles: Any

    def say(self, text: str) -> None:
        """A line to the panel."""

    def to_dte(self, data: bytes) -> None:
        """Bytes to the panel."""

    def wall(self, do: str, **more: object) -> None:
        """An act on the line."""


class State(Enum):
    """What the bytes of the panel mean now."""

    COMMAND = "command"
    BUSY = "busy"
    """Dialling or playing +VTS; any byte breaks it off."""
    HEARING = "+VRX"
    PLAYING = "+VTX"
    DUPLEX = "+VTR"


class Dte:
    """One modem from plugging to unplugging. Fed with the panel's bytes and the line's frames."""

    def __init__(
        self, kind: Kind, shell: Shell, volts: float = 0.0, *, in_use: bool = False
    ) -> None:
        self.off_hook = False
        self.state = State.COMMAND
        self._kind = kind
        self._shell = shell
        self._line = bytearray()
        self._coding = Coding.UNSIGNED_8
        self._unshield = Unshield()
        self._buffer: deque[Pcm] = deque()
        self._buffered = 0
        self._begun = False
        self._ending = False
        self._player = Player()
        self._ear = Ear(LISTEN)
        self.volts = volts
        self.in_use = in_use
        self._x = 4
        self._dial_tone = False
        self._dialling: Dialling | None = None
        self._odd = b""

    # --- the line ---

    def voltage(self, up: bool, *, in_use: bool = False) -> None:
        """The wall's voltage came, went, or a telephone beside us was lifted."""
        was, self.volts = self.volts, 48.0 if up else 0.4
        self.in_use = in_use
        if was > 1 and not up and self.state in {State.HEARING, State.DUPLEX, State.PLAYING}:
            self._shell.to_dte(b"\x10l")

    def hang_up(self) -> None:
        """On-hook, whatever was going on."""
        if self.off_hook:
            self._shell.wall("release")
        self.off_hook = False
        self.state = State.COMMAND
        self._dialling = None
        self._clear()

    def frame(self, heard: Pcm) -> Pcm:
        """20 ms of the line."""
        for what in self._ear.feed(heard):
            if isinstance(what, ProgressHeard):
                self._progress(what.progress)
        if self.state in {State.HEARING, State.DUPLEX}:
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
            if self.state in {State.HEARING, State.DUPLEX}:
                self._shell.to_dte(b"\x10d")
        elif progress is Progress.BUSY:
            if self.state in {State.HEARING, State.DUPLEX}:
                self._shell.to_dte(b"\x10b")
            elif self._dialling is not None and self._dialling.waits_for_answer:
                self.hang_up()
                self._shell.say("BUSY")

    def _from_buffer(self) -> Pcm:
        out = np.zeros(FRAME_SAMPLES, np.int16)
        at = 0
        while at < FRAME_SAMPLES and self._buffer:
            part = self._buffer.popleft()
            take = min(len(part), FRAME_SAMPLES - at)
            out[at : at + take] = part[:take]
            if take < len(part):
                self._buffer.appendleft(part[take:])
            at += take
        self._buffered -= at
        if at < FRAME_SAMPLES:
            if self._ending:
                self._ended()
            elif self._begun:
                self._begun = False
                self._shell.to_dte(b"\x10u")
        return out

    def _ended(self) -> None:
        self._clear()
        self.state = State.COMMAND
        if self._kind.ends_with_etx:
            self._shell.to_dte(b"\x10\x03")
            self._shell.say("OK")
        else:
            self._shell.say("VCON")

    def _clear(self) -> None:
        self._buffer.clear()
        self._buffered = 0
        self._begun = self._ending = False
        self._odd = b""
        self._player.clear()

    # --- the panel's bytes ---

    def receive(self, data: bytes) -> None:
        """Bytes from the panel."""
        while data:
            if self.state in {State.PLAYING, State.DUPLEX, State.HEARING}:
                data = self._stream(data)
            elif self.state is State.BUSY:
                # a character of any kind breaks off
                self.state = State.COMMAND
                self._dialling = None
                self._player.clear()
                self._shell.say("OK")
                data = data[1:]
            else:
                end = data.find(b"\r")
                if end < 0:
                    self._line += data
                    return
                self._line += data[:end]
                data = data[end + 1 :]
                line = bytes(self._line)
                self._line.clear()
                self._command_line(line)

    def _stream(self, data: bytes) -> bytes:
        """Voice bytes; what stands behind the end of the stream is given back."""
        for at in range(len(data)):
            audio, codes, rest = self._unshield.feed(data[at : at + 1])
            if audio and self.state is not State.HEARING:
                self._take(audio)
            for code in codes:
                self._order(code)
            if rest is not None or self.state is State.COMMAND:
                return data[at + 1 :]
        return b""

    def _take(self, audio: bytes) -> None:
        data = self._odd + audio
        whole = len(data) // self._coding.sample_bytes * self._coding.sample_bytes
        self._odd = data[whole:]
        if whole and self._buffered < PLAY_BUFFER:
            pcm = from_bytes(data[:whole], self._coding)
            self._buffer.append(pcm)
            self._buffered += len(pcm)
            self._begun = True

    def _order(self, code: int) -> None:
        """A shielded code of the panel."""
        if code == 0x18:
            self._buffer.clear()
            self._buffered = 0
        elif code == 0x03 and self.state is State.PLAYING:
            self._ending = True
        elif (code == ord("!") and self.state is State.HEARING) or (
            code == ord("^") and self.state is State.DUPLEX
        ):
            self._clear()
            self.state = State.COMMAND
            self._shell.to_dte(b"\x10\x03")
            self._shell.say("OK")

    # --- commands ---

    def _command_line(self, line: bytes) -> None:
        text = re.sub(r"\s+", "", line.decode("ascii", "replace")).upper()
        at = text.rfind("AT")
        if at < 0:
            return
        if not self._commands(text[at + 2 :]):
            self._shell.say("ERROR")

    def _commands(self, text: str) -> bool:
        while text and text[0] not in "+-D":
            match = re.match(r"[EVQMLZHX&]\d?|S\d+=\d+", text)
            if match is None:
                return False
            word, text = match[0], text[match.end() :]
            if word[0] in "ZH":
                self.hang_up()
            elif word[0] == "X":
                self._x = int(word[1:] or 0)
        if not text:
            self._shell.say("OK")
            return True
        return self._dial(text[1:]) if text[0] == "D" else self._voice(text)

    def _voice(self, text: str) -> bool:
        name, _, value = text.partition("=")
        acts: dict[str, Callable[[str], bool]] = {
            "+FCLASS": lambda value: value in {"0", "8"} and self._ok(),
            "+VIT": lambda _: self._ok(),
            "+VSM": self._choose,
            "+VLS": self._select,
            "+VTS": self._tones,
            "+VTX": lambda _: self._begin(State.PLAYING, value, able=self._kind.plays),
            "+VRX": lambda _: self._begin(State.HEARING, value, able=True),
            "+VTR": lambda _: self._begin(State.DUPLEX, value, able=self._kind.duplex),
            "-TRV": lambda _: self._voltage(),
        }
        act = acts.get(name)
        return act is not None and act(value)

    def _ok(self) -> bool:
        self._shell.say("OK")
        return True

    def _choose(self, value: str) -> bool:
        if value == "?":
            for line in self._kind.formats:
                self._shell.say(line)
            return self._ok()
        label = value.split(",", maxsplit=1)[0]
        if not any(line.startswith(f"{label},") for line in self._kind.formats):
            return False
        self._coding = LABELS[label]
        return self._ok()

    def _select(self, value: str) -> bool:
        if value == "1":
            self._lift()
        elif value == "0":
            self.hang_up()
        else:
            return False
        return self._ok()

    def _lift(self) -> None:
        if not self.off_hook:
            self.off_hook = True
            self._ear = Ear(LISTEN)
            self._dial_tone = False
            self._shell.wall("seize", force=True)

    def _voltage(self) -> bool:
        if not self._kind.volts:
            return False
        volts = 7.0 if self.volts > 1 and (self.off_hook or self.in_use) else self.volts
        self._shell.say(f"{volts:.2f}")
        return self._ok()

    def _begin(self, state: State, value: str, *, able: bool) -> bool:
        if not able:
            return False
        if value == "?":
            return self._ok()
        if not self.off_hook:
            return False
        self._clear()
        self._unshield = Unshield()
        self.state = state
        self._shell.say("CONNECT")
        return True

    def _tones(self, value: str) -> bool:
        if not self._kind.tones:
            return False
        if value == "?":
            self._shell.say("(0,200-3000),(0,200-3000),(0-255)")
            return self._ok()
        sounds = tone_list(value)
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
        if self._shell.troubles.no_carrier:
            self.hang_up()
            self._shell.say("NO CARRIER")
            return True
        self._lift()
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
                self._shell.say("NO DIALTONE")
            return
        if not dialling.begun:
            dialling.begun = True
            self._ear.dialled()
            if not dialling.pulse:
                self._player.play(dtmf(dialling.number))
        if dialling.pulse:
            if dialling.closed != (closed := dialling.next_pulse_frame()):
                dialling.closed = closed
                self._shell.wall("loop", closed=closed)
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
