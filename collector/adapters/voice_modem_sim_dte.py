"""The insides of the played modem that answers: AT commands and voice streams; no I/O."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

import numpy as np

from protocols.tones.elements import FRAME_SAMPLES
from protocols.voice_modem import Coding, Pcm, Unpack, Unshield, shield, to_bytes

PLAY_BUFFER: Final = 8000
"""Samples of its transmit buffer; more is lost."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What this modem can do, as real families differ."""

    formats: tuple[str, ...]
    duplex: bool = False
    answers: str = "+VLS"
    """How it is lifted: `+VLS` or `A`."""
    caller_id: str = "+VCID"
    volts: bool = False
    ends_with_etx: bool = True
    """A finished +VTX is answered by <DLE><ETX> OK; others say only VCON."""


KINDS: Final = {
    "duplex": Kind(
        ('129,"16-BIT LINEAR",16,0,(7200,8000),0,0', '132,"ALAW",8,0,8000,0,0'),
        duplex=True,
        volts=True,
    ),
    "half": Kind(
        ('1,"UNSIGNED PCM",8,0,8000,0,0', '140,"2 Bit ADPCM",2,0,8000,0,0'),
        answers="A",
        caller_id="#CID",
        ends_with_etx=False,
    ),
}
_CODINGS: Final = {"1": Coding.UNSIGNED_8, "129": Coding.LINEAR_16, "132": Coding.ALAW}


class State(Enum):
    """What the receiver's bytes mean now."""

    COMMAND = "command"
    HEARING = "+VRX"
    PLAYING = "+VTX"
    DUPLEX = "+VTR"


class Shell(Protocol):
    """What the insides need of the outside."""

    def say(self, text: str) -> None:
        """A line to the receiver."""

    def to_dte(self, data: bytes) -> None:
        """Bytes to the receiver."""

    def calling(self) -> bool:
        """Somebody rings or is connected."""
        ...

    def lifted(self) -> None:
        """The line goes off-hook."""

    def let_go(self) -> None:
        """The line goes on-hook."""


class AnsweringDte:
    """One modem from plugging to unplugging. In: the receiver's bytes and the line's frames."""

    def __init__(self, kind: Kind, shell: Shell, volts: float) -> None:
        self.off_hook = False
        self.state = State.COMMAND
        self.wants_caller = False
        self.volts = volts
        self.lost_samples = 0
        self._kind = kind
        self._shell = shell
        self._line = bytearray()
        self._coding = Coding.UNSIGNED_8
        self._unshield = Unshield()
        self._unpack = Unpack(self._coding)
        self._buffer = np.zeros(0, np.int16)
        self._begun = self._ending = False

    # --- the line ---

    def ring(self, caller: str) -> None:
        """A ring; `caller` comes after it where it was asked for (empty: nothing comes)."""
        if self.state is State.COMMAND and not self.off_hook:
            self._shell.say("RING")
            if caller and self.wants_caller:
                for line in ("DATE = 1124", "TIME = 0812", f"NMBR = {caller}"):
                    self._shell.say(line)

    def caller_gone(self, how: str) -> None:
        """The far end hung up: `busy`, `loop`, `no_carrier`, or nothing is noticed."""
        if self.state not in {State.HEARING, State.DUPLEX}:
            return
        if how == "busy":
            self._shell.to_dte(b"\x10b")
        elif how == "loop":
            self._shell.to_dte(b"\x10l")
        elif how == "no_carrier":
            self._to_command()
            self._shell.to_dte(b"\x10\x03")
            self._shell.say("NO CARRIER")

    def hang_up(self) -> None:
        """On-hook, whatever was going on."""
        if self.off_hook:
            self.off_hook = False
            self._shell.let_go()
        self._to_command()

    def frame(self, heard: Pcm) -> Pcm:
        """20 ms of the line."""
        if self.state in {State.HEARING, State.DUPLEX}:
            self._shell.to_dte(shield(to_bytes(heard, self._coding)))
        if self.state not in {State.PLAYING, State.DUPLEX}:
            return np.zeros(FRAME_SAMPLES, np.int16)
        said, self._buffer = self._buffer[:FRAME_SAMPLES], self._buffer[FRAME_SAMPLES:]
        if len(said) < FRAME_SAMPLES:
            if self._ending:
                self._ended()
            elif self._begun:
                self._begun = False
                self._shell.to_dte(b"\x10u")
            said = np.concatenate((said, np.zeros(FRAME_SAMPLES - len(said), np.int16)))
        return said

    def _ended(self) -> None:
        self._to_command()
        if self._kind.ends_with_etx:
            self._shell.to_dte(b"\x10\x03")
            self._shell.say("OK")
        else:
            self._shell.say("VCON")

    def _to_command(self) -> None:
        self.state = State.COMMAND
        self._buffer = self._buffer[:0]
        self._begun = self._ending = False

    # --- the receiver's bytes ---

    def receive(self, data: bytes) -> None:
        """Bytes from the receiver."""
        for at in range(len(data)):
            byte = data[at : at + 1]
            if self.state is not State.COMMAND:
                self._stream(byte)
            elif byte == b"\r":
                line = bytes(self._line)
                self._line.clear()
                self._command_line(line)
            else:
                self._line += byte

    def _stream(self, byte: bytes) -> None:
        audio, codes, _ = self._unshield.feed(byte)
        if audio and self.state is not State.HEARING:
            pcm = self._unpack.feed(audio)
            if len(self._buffer) + len(pcm) > PLAY_BUFFER:
                self.lost_samples += len(pcm)
            elif len(pcm):
                self._buffer = np.concatenate((self._buffer, pcm))
                self._begun = True
        for code in codes:
            self._order(code)

    def _order(self, code: int) -> None:
        if code == 0x18:
            self._buffer = self._buffer[:0]
        elif code == 0x03 and self.state is State.PLAYING:
            self._ending = True
        elif (code == ord("!") and self.state is State.HEARING) or (
            code == ord("^") and self.state is State.DUPLEX
        ):
            self._to_command()
            self._shell.to_dte(b"\x10\x03")
            self._shell.say("OK")

    # --- commands ---

    def _command_line(self, line: bytes) -> None:
        text = re.sub(r"\s+", "", line.decode("ascii", "replace")).upper()
        at = text.rfind("AT")
        if at >= 0 and not self._commands(text[at + 2 :]):
            self._shell.say("ERROR")

    def _commands(self, text: str) -> bool:
        while text and text[0] not in "+-#A":
            match = re.match(r"[EVQMLZHX&]\d?|S\d+=\d+", text)
            if match is None:
                return False
            if match[0][0] in "ZH":
                self.hang_up()
            text = text[match.end() :]
        if not text:
            return self._ok()
        if text == "A":
            return self._lift("A", "VCON")
        name, _, value = text.partition("=")
        acts: dict[str, Callable[[str], bool]] = {
            "+FCLASS": lambda value: value in {"0", "8"} and self._ok(),
            "+GCI": lambda _: self._ok(),
            "+VIT": lambda _: self._ok(),
            "+VSD": lambda _: self._ok(),
            "+VSM": self._choose,
            "+VLS": lambda value: value == "1" and self._lift("+VLS", "OK"),
            "+VTX": lambda value: self._begin(State.PLAYING, value, able=True),
            "+VRX": lambda value: self._begin(State.HEARING, value, able=True),
            "+VTR": lambda value: self._begin(State.DUPLEX, value, able=self._kind.duplex),
            "-TRV": lambda _: self._voltage(),
            self._kind.caller_id: self._caller_id,
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
        if label not in _CODINGS or not any(f.startswith(f"{label},") for f in self._kind.formats):
            return False
        self._coding = _CODINGS[label]
        return self._ok()

    def _caller_id(self, value: str) -> bool:
        self.wants_caller = value == "1"
        return self._ok()

    def _lift(self, how: str, answer: str) -> bool:
        if how != self._kind.answers:
            return False
        if not self._shell.calling():
            self._shell.say("NO CARRIER")
            return True
        self.off_hook = True
        self._shell.lifted()
        self._shell.say(answer)
        return True

    def _voltage(self) -> bool:
        if not self._kind.volts:
            return False
        self._shell.say(f"{self.volts:.2f}")
        return self._ok()

    def _begin(self, state: State, value: str, *, able: bool) -> bool:
        if not able:
            return False
        if value == "?":
            return self._ok()
        if not self.off_hook:
            return False
        self._to_command()
        self._unshield = Unshield()
        self._unpack = Unpack(self._coding)
        self.state = state
        self._shell.say("CONNECT")
        return True
