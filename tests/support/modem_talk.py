"""The played modem and the dialogue with it in memory: no port, no clock, no thread."""

from __future__ import annotations

import random

from hil.drivers.voice_modem_dce import Dce
from hil.drivers.voice_modem_kinds import KINDS, Kind
from protocols.voice_modem.answers import Reply
from protocols.voice_modem.bringing_up import Abilities, Unfit, Wanted, bring_up
from protocols.voice_modem.dialogue import Dialogue
from protocols.voice_modem.stream import LEAVE_ANY


class ModemTalk:
    """A modem at a port. `pieces`: how its bytes are cut on the way (None: as they come)."""

    refuses = ""

    def __init__(self, kind: Kind | str, pieces: random.Random | None = None) -> None:
        self.dce = Dce(KINDS[kind] if isinstance(kind, str) else kind, self)
        self.dialogue = Dialogue()
        self.sent: list[str] = []
        self.acts: list[str] = []
        self._pieces = pieces
        self._reply: Reply | None = None

    # what the modem's insides ask

    def say(self, text: str) -> None:
        self.to_dte(b"\r\n" + text.encode() + b"\r\n")

    def to_dte(self, data: bytes) -> None:
        while data:
            cut = self._pieces.randint(1, len(data)) if self._pieces is not None else len(data)
            self.dialogue.feed(data[:cut])
            self._look()
            data = data[cut:]

    def _look(self) -> None:
        """As a port does that waits: after every piece."""
        if self.dialogue.owed and (reply := self.dialogue.reply()) is not None:
            self._reply = reply

    def seize(self) -> None:
        self.acts.append("seize")

    def let_go(self) -> None:
        self.acts.append("let go")

    def loop(self, *, closed: bool) -> None:
        self.acts.append(f"loop {closed}")

    # the computer's side

    def write(self, data: bytes) -> None:
        self.dce.receive(data)

    def command(self, text: str) -> Reply:
        self.sent.append(text)
        self.dialogue.commanded()
        self._reply = None
        self.write(text.encode() + b"\r")
        return self._reply or self.dialogue.given_up()

    def bring_up(self, wanted: Wanted) -> Abilities | Unfit:
        self.write(LEAVE_ANY)
        asking = bring_up(wanted)
        text = next(asking)
        while True:
            try:
                text = asking.send(self.command(text))
            except StopIteration as over:
                outcome: Abilities | Unfit = over.value
                return outcome
