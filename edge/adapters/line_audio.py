"""What all lines with audio share: hearing, playing, and a thread that never blocks the panel.

Frames of 20 ms come in, `Heard`s go out; Plays queue up and are read as samples by the line's own
clock. A line is a thread: orders come by a queue and a bell, what it tells goes into the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import select
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from edge.adapters.microphone import Microphone
from edge.reporting.phone.line import (
    Deliver,
    Dropped,
    Failed,
    LineInput,
    LineOrder,
    LineStatus,
    NoLine,
    Release,
    Released,
)
from protocols.tones.ear import Ear
from protocols.tones.elements import Heard, Playable
from protocols.tones.listening import PANEL, Listen
from protocols.tones.synthesis import Player, Voicing

log = logging.getLogger(__name__)

Pcm = npt.NDArray[np.int16]
STOP_S: Final = 3.0
LISTENED: Final = Listen(digits=True, progress=True)
"""While the centre listens in: its keys, and the tones of an exchange that has hung up."""
RETRY_S: Final = (0.5, 1.0, 2.0, 5.0, 10.0)
"""Pauses between attempts to open a line; the last one for ever."""
MOST_ORDERS: Final = 64
"""A machine that orders more than this without waiting is wrong; the oldest are dropped."""


class LineAudio:
    """The audio of one line: an ear, a player whose end is noticed, and for listen-in a microphone
    (the command that records; empty: there is none).
    """

    def __init__(
        self, level_dbm0: float = -9.0, listen: Listen = PANEL, microphone: tuple[str, ...] = ()
    ) -> None:
        self._listen = listen
        self._ear = Ear(listen)
        self._player = Player(Voicing(level_dbm0))
        self._playing = False
        self._microphone = Microphone(microphone) if microphone else None
        self._listened = False

    @property
    def now_ms(self) -> int:
        """How much was heard in this call."""
        return self._ear.now_ms

    @property
    def playing(self) -> bool:
        """Whether there is something to be read: a Play not yet at its end, or the microphone."""
        return self._playing or self._listened

    def begin(self) -> None:
        """A new call."""
        self.voice(on=False)
        self._ear.reset()
        self.silence()

    def voice(self, *, on: bool) -> None:
        """Let the line hear the premises, and us the keys of who listens; or end that."""
        if on is self._listened:
            return
        self._listened = on
        self._ear = Ear(LISTENED if on else self._listen)
        if on:
            self._ear.dialled()
        if self._microphone is not None:
            (self._microphone.start if on else self._microphone.stop)()

    def dialled(self) -> None:
        """A dial tone is not expected any more, ringing is."""
        self._ear.dialled()

    def hear(self, pcm: bytes | Pcm) -> list[Heard]:
        """Audio of any length from the line."""
        return self._ear.feed(pcm)

    def play(self, what: Sequence[Playable]) -> None:
        """Queue. An empty Play ends with the next read."""
        self._player.play(what)
        self._playing = True

    def silence(self) -> None:
        """Forget what is queued, and stop listening-in."""
        self.voice(on=False)
        self._player.clear()
        self._playing = False

    def read(self, count: int) -> tuple[Pcm, bool]:
        """(the next `count` samples, whether a Play ended within them)."""
        if self._listened and not self._playing and self._microphone is not None:
            return self._microphone.read(count), False
        pcm = self._player.read(count)
        ended = self._playing and self._player.idle
        if ended:
            self._playing = False
        return pcm, ended


class LineGoneError(Exception):
    """The line's holder or device is not there. `cause` as in LineStatus."""

    def __init__(self, cause: str, detail: str = "") -> None:
        super().__init__(f"{cause}: {detail}" if detail else cause)
        self.cause = cause


class LineThread:
    """A `Line` (edge/reporting/phone/line.py) whose work is done in a thread of its own.

    Subclasses implement `serve`: open, work until `self.stopping`, raise LineGoneError when it is
    gone. They take orders by `next_order` and tell by `tell`. `in_call` is theirs to keep.
    """

    name = "line"

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Deliver) -> None:
        self.stopping = False
        self.in_call = False
        """Off-hook, as the machine sees it."""
        self.lost = 0
        """Times the line was gone after it had been there."""
        self._loop = loop
        self._deliver = deliver
        self._orders: deque[LineOrder] = deque(maxlen=MOST_ORDERS)
        self._bell = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._status: LineStatus | None = None
        self._why = ""
        self._thread = threading.Thread(target=self._run, name=f"phone-{self.name}", daemon=True)

    # --- the panel's side ---

    def start(self) -> None:
        """Open the line; its LineStatus is told when known."""
        self._thread.start()

    def order(self, order: LineOrder) -> None:
        """Queue an order. A Release drops what waits before it."""
        if isinstance(order, Release):
            self._orders.clear()
        self._orders.append(order)
        self._ring()

    def stop(self) -> None:
        """Hang up and end; waits up to STOP_S."""
        self._deliver = _to_nobody
        self.stopping = True
        self._ring()
        if self._thread.is_alive():
            self._thread.join(STOP_S)
        if not self._thread.is_alive():
            bell, self._bell = self._bell, -1
            if bell >= 0:
                os.close(bell)

    # --- the thread's side ---

    def serve(self) -> None:
        """See the class."""
        raise NotImplementedError

    def tell(self, given: LineInput) -> None:
        """Hand one thing to the loop."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: the program is ending
            self._loop.call_soon_threadsafe(self._arrived, given)

    def tell_status(self, present: bool, cause: str = "") -> None:
        """Tell LineStatus when it changed."""
        status = LineStatus(present, cause)
        if status != self._status:
            if self._status is not None and self._status.present and not present:
                self.lost += 1
            self._status = status
            if present:
                self._why = ""
            log.log(
                logging.INFO if present else logging.WARNING,
                "phone line %s",
                "present" if present else f"not present: {cause}",
            )
            self.tell(status)

    def end_call(self, why: NoLine | Dropped | Failed) -> None:
        """The call is over and not by us."""
        if self.in_call:
            self.in_call = False
            self.tell(why)

    def next_order(self, *, only_release: bool = False) -> LineOrder | None:
        """The oldest order, taken; with `only_release`, nothing else is taken."""
        try:
            if only_release and not isinstance(self._orders[0], Release):
                return None
            return self._orders.popleft()
        except IndexError:
            return None

    @property
    def hurried(self) -> bool:
        """Whether something is to be broken off: a Release waits, or the end."""
        orders = self._orders
        return self.stopping or (bool(orders) and isinstance(orders[0], Release))

    def wait(self, fd: int | None, timeout_s: float, *, writing: bool = False) -> bool:
        """Until `fd` has something (or takes something), the bell rings, or time is up.

        True when `fd` is readable or broken.
        """
        poll = select.poll()
        poll.register(self._bell, select.POLLIN)
        if fd is not None:
            poll.register(fd, select.POLLIN | (select.POLLOUT if writing else 0))
        readable = False
        for which, event in poll.poll(max(0.0, timeout_s) * 1000):
            if which == self._bell:
                with contextlib.suppress(BlockingIOError):
                    os.eventfd_read(self._bell)
            else:
                readable = bool(event & ~select.POLLOUT)
        return readable

    def _arrived(self, given: LineInput) -> None:
        self._deliver(given)

    def _ring(self) -> None:
        with contextlib.suppress(OSError):
            os.eventfd_write(self._bell, 1)

    def _run(self) -> None:
        attempt = 0
        while not self.stopping:
            began = time.monotonic()
            try:
                self.serve()
            except LineGoneError as gone:
                self._lost(gone.cause, str(gone))
            except Exception:  # the thread must live, whatever a driver or library raises
                log.exception("phone line ended by an unforeseen error")
                self._lost("adapter_fault", "")
            if time.monotonic() - began > RETRY_S[-1]:
                attempt = 0
            self._rest(RETRY_S[min(attempt, len(RETRY_S) - 1)])
            attempt += 1

    def _lost(self, cause: str, text: str) -> None:
        # once for each reason: a line that stays away is tried again for ever
        log.log(logging.WARNING if text != self._why else logging.DEBUG, "phone line: %s", text)
        self._why = text
        self.tell_status(False, cause)
        self.end_call(NoLine(cause))

    def _rest(self, seconds: float) -> None:
        """Between two attempts; whoever orders meanwhile is told that there is no line."""
        until = time.monotonic() + seconds
        while not self.stopping:
            while (order := self.next_order()) is not None:
                if isinstance(order, Release):
                    self.tell(Released())
                elif self._status is not None:
                    self.tell(NoLine(self._status.cause))
            left = until - time.monotonic()
            if left <= 0:
                return
            self.wait(None, left)


def _to_nobody(given: LineInput) -> None:
    """Stopped: nothing is delivered any more."""
