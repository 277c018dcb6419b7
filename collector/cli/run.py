"""`tocsin-collector run`: broker, link and collector in one process, until told to end."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Protocol
from urllib.parse import urlsplit

import msgspec
import typer

from collector import CollectorError
from collector.adapters.authority import Authority
from collector.adapters.broker_log import Refused
from collector.adapters.broker_nats import DEFAULT_PORT, NatsBroker
from collector.adapters.broker_session import BrokerAddress
from collector.adapters.mqtt_link import LinkState, MqttLink
from collector.adapters.registry import Registry
from collector.cli.options import (
    DataOption,
    JsonOption,
    Lang,
    LangOption,
    err,
    errors_as_text,
    out,
    pick,
    print_json,
)
from collector.cli.panel import open_registry

MQTTS_PORT: Final = 8883
"""Secure MQTT as registered with IANA."""


class Service(Protocol):
    """The collector itself, as this command sees it."""

    def start(self) -> None:
        """Open the ledger and begin. Raises CollectorError with the reason."""

    def stop(self) -> None:
        """Commit what arrived and end."""

    def offer(self, topic: str, payload: bytes) -> None:
        """One message of a panel; returns at once."""

    def refused(self, refused: Refused) -> None:
        """One refusal of the broker, to be recorded; returns at once."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the words on the command line mean."""

    data: Path
    host: str
    port: int
    names: tuple[str, ...]
    broker: BrokerAddress | None
    rules: Path | None
    lang: Lang
    json: bool


class ReadyLine(msgspec.Struct, frozen=True):
    """Printed once, as soon as messages can flow."""

    ready: bool
    mqtt_host: str
    mqtt_port: int
    data: str
    broker: str


OpenService = Callable[[Settings, Registry, MqttLink], Service]


@errors_as_text
def run(
    data: DataOption,
    host: Annotated[
        str,
        typer.Option("--host", help="Address our broker listens on; 0.0.0.0 for all networks."),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            "--port", min=0, max=65535, help="Its port; 0: a free one, kept for the next start."
        ),
    ] = DEFAULT_PORT,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name", help="Host name panels use for this machine, for its certificate. Repeatable."
        ),
    ] = None,
    broker: Annotated[
        str | None,
        typer.Option("--broker", help="Use this broker, mqtts://host:port, instead of our own."),
    ] = None,
    broker_ca: Annotated[
        Path | None, typer.Option("--broker-ca", help="CA of that broker; default: our own.")
    ] = None,
    broker_cert: Annotated[
        Path | None,
        typer.Option("--broker-cert", help="Our client certificate there; default: our own."),
    ] = None,
    broker_key: Annotated[
        Path | None, typer.Option("--broker-key", help="Key of that certificate.")
    ] = None,
    rules: Annotated[
        Path | None, typer.Option("--rules", help="Verification rules; default: the built-in ones.")
    ] = None,
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Run the alarm receiving centre on this machine: broker, ledger, verification.

    Needs no configuration: certificates, broker and database are made in the data folder at the
    first start. Ends cleanly on Ctrl-C or SIGTERM (exit code 0); exit code 1: it could not start
    or had to give up, and the reason is on standard error.
    """
    from collector.app import open_service

    registry = open_registry(data)
    authority = Authority(data, registry, server_names=name or [])
    outside = None
    if broker is not None:
        outside = _outside(broker, authority, broker_ca, broker_cert, broker_key)
    settings = Settings(data, host, port, tuple(name or ()), outside, rules, lang, json)
    serve(settings, authority, registry, open_service)


def serve(
    settings: Settings, authority: Authority, registry: Registry, open_service: OpenService
) -> None:
    """Run until SIGTERM or SIGINT. Raises CollectorError when it cannot start."""
    over = threading.Event()
    with ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.signal(number, lambda _number, _frame: over.set())
            stack.callback(signal.signal, number, before)
        late = _LateService()
        own: NatsBroker | None = None
        address = settings.broker
        if address is None:
            own = NatsBroker(
                settings.data,
                authority,
                registry,
                host=settings.host,
                port=settings.port,
                on_refused=late.refused,
                on_fault=_warn,
            )
            own.start()
            stack.callback(own.stop)
            address = own.address
        teller = _Teller(settings, address)
        link = MqttLink(address, late.offer, teller.state)
        service = open_service(settings, registry, link)
        service.start()
        stack.callback(service.stop)
        if own is not None:
            stack.callback(own.stop)  # before the service, which records its last refusals
        late.service = service
        link.start()
        stack.callback(link.stop)
        over.wait()
    if not settings.json:
        out.print(pick(settings.lang, "Stopped.", "已停止。"))


class _LateService:
    """Stands between broker and service, which need each other to begin."""

    def __init__(self) -> None:
        self.service: Service | None = None
        self._early: list[Refused] = []

    def offer(self, topic: str, payload: bytes) -> None:
        if self.service is not None:
            self.service.offer(topic, payload)

    def refused(self, refused: Refused) -> None:
        if self.service is None:
            self._early.append(refused)
            return
        while self._early:
            self.service.refused(self._early.pop(0))
        self.service.refused(refused)


class _Teller:
    """Tells people and programs about the link, once for each change."""

    def __init__(self, settings: Settings, address: BrokerAddress) -> None:
        self._settings = settings
        self._address = address
        self._told_ready = False

    def state(self, state: LinkState, why: str) -> None:
        if state is LinkState.DOWN:
            if why != "stopped":
                _warn(f"no link to the broker: {why}; trying again")
            return
        if self._told_ready:
            _warn("link to the broker is back")
            return
        self._told_ready = True
        settings, address = self._settings, self._address
        kind = "own" if settings.broker is None else "external"
        if settings.json:
            print_json(ReadyLine(True, address.host, address.port, str(settings.data), kind))
            return
        where = f"mqtts://{settings.host if kind == 'own' else address.host}:{address.port}"
        out.print(
            pick(
                settings.lang,
                f"Ready. Broker {where}, data in {settings.data}\n"
                "Add a panel:  tocsin-collector panel add shop-1 --out ./shop-1\n"
                "Watch cases:  tocsin-collector cases --follow\n"
                "Stop:         Ctrl-C",
                f"已就绪。消息代理 {where}，数据目录 {settings.data}\n"
                "添加主机：  tocsin-collector panel add shop-1 --out ./shop-1\n"
                "查看警情：  tocsin-collector cases --follow\n"
                "停止：      Ctrl-C",
            ),
            markup=False,
        )


def _outside(
    url: str, authority: Authority, ca: Path | None, cert: Path | None, key: Path | None
) -> BrokerAddress:
    """The broker of --broker. Raises CollectorError saying what to write."""
    parts = urlsplit(url)
    try:
        port = parts.port or MQTTS_PORT
    except ValueError:
        port = 0
    if parts.scheme != "mqtts" or not parts.hostname or not port:
        raise CollectorError(f"--broker {url!r}: write mqtts://host:port (only TLS is accepted)")
    if (cert is None) != (key is None):
        raise CollectorError("--broker-cert and --broker-key belong together: give both or none")
    own = authority.collector
    address = BrokerAddress(parts.hostname, port, ca or own.ca, cert or own.cert, key or own.key)
    for file in (address.ca, address.cert, address.key):
        if not file.is_file():
            raise CollectorError(f"there is no file {file}")
    return address


def _warn(text: str) -> None:
    err.print(f"tocsin-collector: {text}", markup=False)
