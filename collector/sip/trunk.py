"""The trunk's one SIP address: the switch's sockets, its workers, and their log."""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from secrets import token_hex
from typing import Any, Final

from collector.sip.lines import Address, Lines
from collector.sip.message import SIP_PORT
from collector.sip.switch import Alive, Effect, Ends, Refused, Send, Switch
from collector.sip.worker import LOOPBACK, WorkerSettings
from collector.sip.workers import Worker
from protocols.sip.addresses import Network, host_and_port
from protocols.sip.availability import CALLS_AT_MOST

_LOG: Final = logging.getLogger(__name__)
ASK_S: Final = 2.0
CLOSING_S: Final = 6.0
RESOLVE_S: Final = 60.0
TOLD_A_SECOND: Final = 10
"""Refusals told in words; the rest is counted in the next line of its kind."""
DATAGRAMS_A_TURN: Final = 64
UDP_BYTES: Final = 65_535
PORTS_EACH: Final = 56
"""UDP ports a worker takes for audio from `rtp_port` on (protocols/sip/phone.py: four calls)."""
Say = Callable[[dict[str, Any]], None]


class Trunk:
    """Runs in the thread that made it."""

    def __init__(
        self,
        listen: Address,
        calls: int,
        allow: tuple[Network, ...],
        first: WorkerSettings,
        say: Say,
    ) -> None:
        """`first`: what all workers have in common; only the first registers. Raises OSError when
        an address cannot be had.
        """
        self.stopping = False
        self._say = say
        self._outer = _udp(listen)
        self._inner = _udp((LOOPBACK, 0))
        self.public: Address = self._outer.getsockname()
        inner: Address = self._inner.getsockname()
        self.address = "{}:{}".format(*self.public)
        shares = [min(CALLS_AT_MOST, calls - n) for n in range(0, calls, CALLS_AT_MOST)]
        self._lines = Lines(shares)
        self._switch = Switch(Ends(self.public, inner, allow, token_hex(6)), self._lines)
        common = replace(first, switch="{}:{}".format(*inner), public=self.address)
        self._workers = [
            Worker(_settings(common, number, share)) for number, share in enumerate(shares)
        ]
        self._registrar = first.registrar
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._outer, selectors.EVENT_READ, self._from_outside)
        self._selector.register(self._inner, selectors.EVENT_READ, self._from_workers)
        self._ready: set[int] = set()
        self._told_second, self._told, self._untold = -1, 0, 0
        self._ask_s = 0.0
        self._resolved_s = -RESOLVE_S
        self._up = False

    def run(self) -> None:
        """Until `stopping`; then every call is hung up."""
        while not self.stopping:
            self._turn(self._begin)
        for worker in self._workers:
            worker.stop()
        until = time.monotonic() + CLOSING_S
        while any(worker.running() for worker in self._workers) and time.monotonic() < until:
            self._turn(lambda now_s: None)
        for worker in self._workers:
            if worker.running():
                worker.ended(time.monotonic())

    def _turn(self, first: Callable[[float], None]) -> None:
        first(time.monotonic())
        for key, _ in self._selector.select(0.2):
            key.data()
        now_s = time.monotonic()
        self._lines.tick(now_s)
        if now_s >= self._ask_s:
            self._ask_s = now_s + ASK_S
            for worker in self._workers:
                self._carry_out(self._switch.ask(worker.number))
                if worker.asked():
                    self._say({"worker": worker.number, "is": "hangs"})

    def _begin(self, now_s: float) -> None:
        for worker in self._workers:
            if worker.due(now_s):
                worker.begin(now_s)
                self._selector.register(worker, selectors.EVENT_READ, self._listener(worker))
        if self._registrar and now_s - self._resolved_s >= RESOLVE_S:
            self._resolved_s = now_s
            threading.Thread(target=self._resolve, daemon=True).start()

    def _resolve(self) -> None:
        host, _, given = self._registrar.partition(":")
        port = int(given or SIP_PORT)
        try:
            found = socket.getaddrinfo(host, port, socket.AF_INET, socket.SOCK_DGRAM)
            self._switch.registrar = str(found[0][4][0]), port
        except OSError as error:
            _LOG.warning("registrar %s: %s", host, error)

    # -- datagrams --------------------------------------------------------------------------------

    def _from_outside(self) -> None:
        for _ in range(DATAGRAMS_A_TURN):
            try:
                data, source = self._outer.recvfrom(UDP_BYTES)
            except OSError:
                return
            self._carry_out(self._switch.from_outside(data, source, time.monotonic()))

    def _from_workers(self) -> None:
        for _ in range(DATAGRAMS_A_TURN):
            try:
                data, source = self._inner.recvfrom(UDP_BYTES)
            except OSError:
                return
            self._carry_out(self._switch.from_worker(data, source, time.monotonic()))

    def _carry_out(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(outside, data, to):
                    try:
                        (self._outer if outside else self._inner).sendto(data, to)
                    except OSError as error:  # SIP repeats what got no answer
                        _LOG.debug("to %s: %s", to, error)
                case Alive(number):
                    self._workers[number].watch.heard()
                case Refused():
                    self._refused(effect)

    def _refused(self, what: Refused) -> None:
        second = int(time.monotonic())
        if second != self._told_second:
            self._told_second, self._told = second, 0
        self._told += 1
        if self._told > TOLD_A_SECOND:
            self._untold += 1
            return
        told: dict[str, Any] = {"is": "refused" if what.code else "dropped", "why": what.why}
        if what.code:
            told |= {"code": what.code, "caller": what.caller}
        told["source"] = "{}:{}".format(*what.source)
        if self._untold:
            told["more"], self._untold = self._untold, 0
        self._say(told)

    # -- workers ----------------------------------------------------------------------------------

    def _listener(self, worker: Worker) -> Callable[[], None]:
        def listen() -> None:
            now_s = time.monotonic()
            for told in worker.lines():
                if told is None:
                    self._ended(worker, now_s)
                    return
                worker.watch.heard()
                self._from_worker(worker.number, told, now_s)

        return listen

    def _from_worker(self, number: int, told: dict[str, Any], now_s: float) -> None:
        if told.get("ready"):
            self._lines.up(number, host_and_port(str(told["sip"]), "worker"))
            self._ready.add(number)
            self._say({"worker": number, "is": "up", "pid": self._workers[number].pid})
            if len(self._ready) == len(self._workers) and not self._up:
                self._up = True
                self._say({"ready": True, "sip": self.address, "calls": sum(self._lines.each)})
            return
        if "id" in told:
            self._lines.told(number, str(told["id"]), now_s, over=told.get("is") == "over")
        if not told.get("stopped"):
            self._say({"worker": number, **told})

    def _ended(self, worker: Worker, now_s: float) -> None:
        self._selector.unregister(worker)
        code = worker.ended(now_s)
        self._lines.gone(worker.number, now_s)
        if not self.stopping:
            self._say({"worker": worker.number, "is": "ended", "code": code})


def _settings(common: WorkerSettings, number: int, share: int) -> WorkerSettings:
    rtp_port = common.rtp_port + number * PORTS_EACH if common.rtp_port else 0
    mine = replace(common, number=number, calls=share, rtp_port=rtp_port)
    return mine if number == 0 else replace(mine, registrar="", user="", password="")


def _udp(where: Address) -> socket.socket:
    one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    one.bind(where)
    one.setblocking(False)
    return one
