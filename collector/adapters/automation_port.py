"""One hardware receiver's link, in a thread of its own: transport <-> protocols.automation."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, Protocol

from collector import CollectorError
from protocols.automation.dialect import Dialect
from protocols.automation.effects import Arrived, Back, Effect, Kept, Lost, Malformed, Send
from protocols.automation.machine import Automation, Policy
from protocols.instants import Instant

OnTaken = Callable[[str, Arrived], None]
"""(port's name, the frame): store it, then call `port.stored(token)`."""
OnSettled = Callable[[str], None]
"""(port's name): make durable that what was kept of its frames is settled; raises when it cannot,
and the acknowledgement stays unsent.
"""
OnState = Callable[[str, bool, str], None]
"""(port's name, up, cause): the receiver is heard, or lost."""
OnMalformed = Callable[[str, Malformed], None]

READ_S: Final = 0.25
"""How long one read waits at most, and with it how late a deadline may be seen."""
RETRY_S: Final = 1.0
RETRY_MAX_S: Final = 15.0
MUCH_BYTES: Final = 4096
MUCH_S: Final = 0.05
"""So much at once no receiver sends, for it has one frame under way: it is taken slowly, so that
who pours bytes into a port does not take the processor from the calls of this process.
"""
_log = logging.getLogger(__name__)


class Transport(Protocol):
    """Bytes to and from a receiver. All methods raise OSError when it is gone; `write` may be
    called from another thread than the rest.
    """

    @property
    def waits(self) -> bool:
        """`open` waits for the other side: after a hang-up it may be called again at once."""
        ...

    @property
    def may_be_dead(self) -> bool:
        """The other side may be gone without a sign: after long silence it is opened anew."""
        ...

    def open(self, timeout_s: float) -> bool:
        """Open, or wait for the other side to; False: not within `timeout_s`, ask again."""
        ...

    def read(self, timeout_s: float) -> bytes:
        """What has come; empty when nothing came in time."""
        ...

    def write(self, data: bytes) -> None:
        """Send all of it without waiting; OSError when it cannot be, and the link begins anew."""
        ...

    def close(self) -> None:
        """Close; never raises."""
        ...


class AutomationPort:
    """`transport`: automation_serial.SerialTransport, automation_tcp.TcpClient or TcpServer.

    `kept`: frames stored before a restart. `on_taken`, `on_state` and `on_malformed` are called in
    the port's thread and must not block for long; `stored` and `refused` may be called from any
    thread, also inside `on_taken`.
    """

    def __init__(
        self,
        name: str,
        dialect: Dialect,
        transport: Transport,
        on_taken: OnTaken,
        on_state: OnState,
        *,
        on_malformed: OnMalformed | None = None,
        on_settled: OnSettled = lambda _name: None,
        kept: Iterable[Kept] = (),
        policy: Policy | None = None,
    ) -> None:
        self.name = name
        self._machine = Automation(dialect, policy)
        self._idle_s = (Policy() if policy is None else policy).lost_s
        self._machine.remember(kept, _now())
        self._on_settled = on_settled
        self._transport = transport
        self._on_taken = on_taken
        self._on_state = on_state
        self._on_malformed = on_malformed
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"automation-{name}", daemon=True)
        self._state = "closed"
        self._unsent: OSError | None = None

    @property
    def state(self) -> str:
        """For a status line: `closed`, `open` (never heard yet), `up`, or `down: <cause>`."""
        return self._state

    @property
    def counts(self) -> dict[str, int]:
        """Frames known from before, unreadable, and not taken for want of room, so far."""
        machine = self._machine
        told = {"repeats": machine.repeats, "malformed": machine.malformed, "held": machine.held}
        return {name: count for name, count in told.items() if count}

    def start(self) -> None:
        """Open the transport and keep it open, for ever retrying, until `stop`."""
        self._thread.start()

    def stored(self, token: int) -> None:
        """The frame `token` is durable: acknowledge it."""
        with self._lock:
            effects = self._machine.stored(token, _now())
            self._carry_out(effects)

    def refused(self, token: int) -> None:
        """The frame `token` cannot be stored: the receiver keeps it and repeats it."""
        with self._lock:
            self._machine.refused(token)

    def stop(self) -> None:
        """Close and join."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wait_s = RETRY_S
        while not self._stop.is_set():
            try:
                if not self._transport.open(READ_S):
                    self._step(self._machine.tick)
                    continue
                wait_s = RETRY_S
                self._step(self._machine.connected)
                if self._state == "closed":
                    self._state = "open"
                self._talk()
            except OSError as error:
                cause = error.strerror or str(error) or type(error).__name__
                wait_s = self._gone(cause, wait_s, error)
            except Exception as error:  # noqa: BLE001 - a fault of ours must not end reception
                _log.exception("%s: the link is begun anew", self.name)
                wait_s = self._gone(f"fault in the program: {error!r}", wait_s, error)
            finally:
                self._transport.close()

    def _talk(self) -> None:
        heard = time.monotonic()
        self._unsent = None
        while not self._stop.is_set():
            if self._unsent is not None:
                raise self._unsent
            data = self._transport.read(READ_S)
            if len(data) >= MUCH_BYTES:
                self._stop.wait(MUCH_S)
            if data:
                heard = time.monotonic()
                self._step(partial(self._machine.receive, data))
            self._step(self._machine.tick)
            if self._transport.may_be_dead and time.monotonic() > heard + self._idle_s:
                # A receiver that was started anew knows nothing of the connection we still hold.
                raise OSError("silent, opened anew")

    def _gone(self, cause: str, wait_s: float, error: Exception) -> float:
        self._step(partial(self._machine.disconnected, cause))
        return self._pause(wait_s, error)

    def _pause(self, wait_s: float, error: Exception) -> float:
        """Who called us may call again at once; what we open ourselves is tried ever slower."""
        hung_up = isinstance(error, ConnectionError)
        if hung_up and self._transport.waits:
            return RETRY_S
        if hung_up:
            wait_s = RETRY_S
        until = time.monotonic() + wait_s
        while not self._stop.is_set() and time.monotonic() < until:
            self._stop.wait(min(READ_S, wait_s))
            self._step(self._machine.tick)
        return min(wait_s * 2, RETRY_MAX_S)

    def _step(self, step: Callable[[Instant], list[Effect]]) -> None:
        with self._lock:
            effects = step(_now())
            self._carry_out([one for one in effects if isinstance(one, Send)])
        for effect in effects:
            self._tell(effect)

    def _carry_out(self, effects: list[Effect]) -> None:
        answers = [effect for effect in effects if isinstance(effect, Send)]
        if not answers or self._unsent is not None:
            return
        try:
            if any(answer.settles for answer in answers):
                self._on_settled(self.name)
            self._transport.write(b"".join(answer.data for answer in answers))
        except CollectorError as error:
            _log.error("%s: not acknowledged: %s", self.name, error)
            self._machine.unsent()
        except OSError as error:
            _log.warning("%s: answer not sent: %s", self.name, error)
            self._unsent = error
            if any(answer.settles for answer in answers):
                self._machine.unsent()

    def _tell(self, effect: Effect) -> None:
        match effect:
            case Arrived(token):
                try:
                    self._on_taken(self.name, effect)
                except Exception:  # noqa: BLE001 - the host's fault must not end reception
                    _log.exception("%s: frame %d not taken", self.name, token)
                    self.refused(token)
            case Lost(cause):
                self._state = f"down: {cause}"
                self._on_state(self.name, False, cause)
            case Back():
                self._state = "up"
                self._on_state(self.name, True, "")
            case Malformed():
                if self._on_malformed is not None:
                    self._on_malformed(self.name, effect)
            case Send():
                pass


def _now() -> Instant:
    return Instant(time.monotonic_ns())
