"""What a modem sends, in any pieces -> answers to commands, rings, voice streams.

A modem is in one of two states: words (lines, with shielded events strewn in) or a voice stream,
which begins with CONNECT and ends with <DLE><ETX>. Bounded: noise is thrown away, the oldest first.
"""

from __future__ import annotations

import re
from typing import Final

from protocols.voice_modem.answers import FINAL, Reply, Result, caller_in, result_of
from protocols.voice_modem.stream import Unshield

LINE_BYTES: Final = 4096
"""Text without the end of a line; a result code may still come after it."""
MOST_LINES: Final = 200
MOST_UNREAD_BYTES: Final = 256 * 1024
TAIL_BYTES: Final = 64
_EVENT: Final = re.compile(rb"\x10(.)", re.DOTALL)


class Dialogue:
    """One modem's side of the talk, from opening its port."""

    def __init__(self) -> None:
        self.owed = False
        """A command's result has not come; it may come late."""
        self._data = bytearray()
        self._lines: list[str] = []
        self._unshield: Unshield | None = None
        self._rings = 0
        self._caller: str | None = None
        self._tail = b""

    @property
    def streaming(self) -> bool:
        """Between a CONNECT and the end of its stream."""
        return self._unshield is not None

    @property
    def unread(self) -> bool:
        """Whether something is in hand that was not looked at."""
        return bool(self._data)

    def feed(self, data: bytes) -> None:
        """Bytes of the modem; what is not taken out in time is lost."""
        if len(self._data) < MOST_UNREAD_BYTES:
            self._data += data

    # --- words ---

    def commanded(self) -> None:
        """A command is sent now: what came before is no answer to it, but a ring is a ring."""
        while (line := self._line()) is not None:
            self._rang(line)
        self._lines.clear()
        self.owed = True

    def reply(self) -> Reply | None:
        """The next final result with the lines before it; None: not yet. CONNECT begins a stream.

        In a stream nothing is a word, and nothing is returned.
        """
        while self._unshield is None and (line := self._line()) is not None:
            if self._rang(line):
                continue
            result = result_of(line)
            if result in FINAL:
                self.owed = False
                if result is Result.CONNECT:
                    self._unshield = Unshield()
                    self._tail = b""
                lines, self._lines = tuple(self._lines), []
                return Reply(result, lines)
            if line and len(self._lines) < MOST_LINES:
                self._lines.append(line)
        return None

    def given_up(self) -> Reply:
        """No result came: the lines that did."""
        lines, self._lines = tuple(self._lines), []
        return Reply(None, lines)

    def rung(self) -> tuple[int, str | None]:
        """(rings since last asked, the caller's number where it came). Words only."""
        while self._unshield is None and (line := self._line()) is not None:
            self._rang(line)
        rings, caller = self._rings, self._caller
        self._rings, self._caller = 0, None
        return rings, caller

    def _rang(self, line: str) -> bool:
        """Whether this is about a ring."""
        if result_of(line) is Result.RING:
            self._rings += 1
            return True
        number = caller_in(line)
        if number is not None:
            self._caller = number
        return number is not None

    def _line(self) -> str | None:
        end = self._data.find(b"\n")
        if end < 0:
            # an event stands alone, without the end of a line
            self._data[:] = self._without_events(bytes(self._data))[-LINE_BYTES:]
            return None
        line = bytes(self._data[:end])
        del self._data[: end + 1]
        return self._without_events(line).decode("ascii", "replace").strip()

    def _without_events(self, text: bytes) -> bytes:
        """Of events among words only a ring matters; an end of stream may stand there too."""
        self._rings += _EVENT.findall(text).count(b"R")
        return _EVENT.sub(b"", text)

    # --- voice ---

    def stream(self, most_bytes: int = MOST_UNREAD_BYTES) -> tuple[bytes, bytes, bool]:
        """(audio, codes, ended) of what came. At the end words follow: the result code, `reply`."""
        if self._unshield is None:
            return b"", b"", True
        data = bytes(self._data[:most_bytes])
        del self._data[:most_bytes]
        self._tail = (self._tail + data)[-TAIL_BYTES:]
        audio, codes, rest = self._unshield.feed(data)
        if rest is not None:
            self._unshield = None
            self._data[:0] = rest
        return audio, codes, rest is not None

    def last_words(self) -> Result | None:
        """The result code that stands at the end of a stream which has fallen silent: the modem
        went back to words and did not say so.
        """
        lines = self._tail.decode("ascii", "replace").splitlines()
        found = [result_of(line) for line in lines[1:]]
        return next((each for each in reversed(found) if each is not None), None)

    def leave_stream(self) -> None:
        """Take what comes as words again, though no end of stream was seen."""
        self._unshield = None
        self._tail = b""
