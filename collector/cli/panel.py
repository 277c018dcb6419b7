"""`tocsin-collector panel …`: which panels may speak, and their certificates."""

from __future__ import annotations

import datetime
import socket
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.table import Table

from collector.adapters.authority import Authority, Issued
from collector.adapters.broker_mosquitto import write_fragment
from collector.adapters.broker_nats import DEFAULT_PORT, BrokerState, broker_state
from collector.adapters.durable_file import PUBLIC, replace_file
from collector.adapters.registry import (
    RegisteredPanel,
    Registry,
    RegistryError,
    Role,
    check_panel_id,
)
from collector.cli.accounts import give_account
from collector.cli.options import (
    DataOption,
    JsonOption,
    Lang,
    LangOption,
    errors_as_text,
    out,
    pick,
    print_json,
)
from collector.intake import Account
from protocols.instants import US_PER_S, UtcTime

APPLY_TIMEOUT_S: Final = 10.0

app = typer.Typer(
    no_args_is_help=True,
    help="Add, list, renew and revoke panels. Works while the collector runs.",
)

PanelArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Panel id: lower-case letters, digits and '-'.")
]
OutOption = Annotated[
    Path, typer.Option("--out", help="New folder for the files to carry to the panel.")
]
ServerNameOption = Annotated[
    str | None,
    typer.Option(
        "--server-name",
        help="Host name or address by which this panel reaches the broker; "
        "the server certificate gets it too.",
    ),
]
PortOption = Annotated[
    int | None,
    typer.Option("--port", help="Port the panel connects to, if not the collector's own."),
]


class Change(msgspec.Struct, frozen=True):
    """What a command did, for programs. `live`: a running collector has it in force."""

    panel: str
    state: str
    live: bool
    serial: str = ""
    out: str = ""


@app.command()
@errors_as_text
def add(
    panel: PanelArgument,
    out_dir: OutOption,
    data: DataOption,
    server_name: ServerNameOption = None,
    port: PortOption = None,
    note: Annotated[str, typer.Option("--note", help="Free text, such as the address.")] = "",
    account: Annotated[
        str, typer.Option("--account", help="Its phone account: 4 or 10 digits 0-9, A-F.")
    ] = "",
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Register a panel and write its certificate, its key and an mqtt.toml fragment.

    Example: tocsin-collector panel add shop-1 --out ./shop-1
    """
    check_panel_id(panel)
    registry = open_registry(data)
    known = registry.find(panel)
    if known is not None and known.active:
        raise RegistryError(
            f"panel {panel!r} is registered already: `panel renew {panel}` makes a new "
            "certificate, `panel revoke` takes the old one away"
        )
    issue(data, registry, panel, out_dir, server_name, port, note, lang, json, keep_old=False)
    if account:
        give_account(registry, Account(account.upper(), panel), lang, json)


@app.command()
@errors_as_text
def renew(
    panel: PanelArgument,
    out_dir: OutOption,
    data: DataOption,
    server_name: ServerNameOption = None,
    port: PortOption = None,
    keep_old: Annotated[
        bool,
        typer.Option(
            "--keep-old",
            help="Leave the old certificate valid until `panel revoke ID --serial`, "
            "so that the panel stays on line until the new files are on it.",
        ),
    ] = False,
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Make a new certificate for a panel; the old one is refused from now on.

    A panel that was revoked is let in again with the new certificate only.
    """
    registry = open_registry(data)
    if registry.find(panel) is None:
        raise RegistryError(f"no panel {panel!r} is registered: `panel add {panel}` adds it")
    issue(data, registry, panel, out_dir, server_name, port, "", lang, json, keep_old=keep_old)


@app.command()
@errors_as_text
def revoke(
    panel: PanelArgument,
    data: DataOption,
    serial: Annotated[
        str | None,
        typer.Option("--serial", help="Only this certificate of the panel (see `panel list`)."),
    ] = None,
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Refuse a panel from now on; its connection is cut. Its history stays in the ledger."""
    registry = open_registry(data)
    if registry.find(panel) is None:
        raise RegistryError(f"no panel {panel!r} is registered: see `panel list`")
    changed = Authority(data, registry).revoke(panel, serial)
    live = await_applied(data, registry)
    if json:
        print_json(Change(panel, state_of(changed), live, serial or ""))
        return
    what = panel if serial is None else f"{panel} ({serial})"
    out.print(pick(lang, f"{what} is revoked.", f"{what} 已吊销。"), live_text(live, lang))


@app.command("list")
@errors_as_text
def list_panels(data: DataOption, lang: LangOption = Lang.EN, json: JsonOption = False) -> None:
    """Show every panel with its certificates and when they expire."""
    panels = open_registry(data).content().panels
    if json:
        for panel in panels:
            print_json(panel)
        return
    table = bearers_table(panels, lang)
    out.print(table)
    if not panels:
        out.print(
            pick(
                lang,
                "No panel yet: tocsin-collector panel add shop-1 --out ./shop-1",
                "还没有主机：tocsin-collector panel add shop-1 --out ./shop-1",
            )
        )


@app.command("mosquitto-acl")
@errors_as_text
def mosquitto_acl(
    out_dir: OutOption,
    data: DataOption,
    server_name: Annotated[
        list[str] | None,
        typer.Option("--server-name", help="Name or address of that broker; may be repeated."),
    ] = None,
    port: Annotated[int, typer.Option("--port", help="Port it shall listen on.")] = DEFAULT_PORT,
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Write what a Mosquitto broker needs to serve these panels instead of our own broker.

    Configuration fragment, ACL, CA, revocation list, server certificate and key. After each
    `panel revoke` or `renew` run it again and send Mosquitto a SIGHUP.
    """
    registry = open_registry(data)
    receivers = [one.id for one in registry.content().receivers if one.active]
    authority = Authority(data, registry)
    files = write_fragment(authority, out_dir, server_name or [], port, receivers)
    if json:
        print_json([str(path) for path in files])
        return
    for path in files:
        out.print(str(path), markup=False)
    out.print(
        pick(
            lang,
            f"Start it with: mosquitto -c {files[0]}\n"
            f"Then: tocsin-collector run --broker mqtts://HOST:{port}",
            f"启动：mosquitto -c {files[0]}\n然后：tocsin-collector run --broker mqtts://HOST:{port}",
        ),
        markup=False,
    )


def bearers_table(panels: Sequence[RegisteredPanel], lang: Lang) -> Table:
    """Panels or receivers with their certificates."""
    table = Table(
        *(
            pick(lang, *titles)
            for titles in (
                ("name", "名称"),
                ("state", "状态"),
                ("added", "添加日期"),
                ("certificate", "证书序列号"),
                ("expires", "到期"),
                ("note", "备注"),
            )
        )
    )
    for panel in panels:
        for number, entry in enumerate(panel.certificates):
            usable = panel.active and entry.revoked is None
            table.add_row(
                panel.id if number == 0 else "",
                pick(lang, "active", "有效") if usable else pick(lang, "revoked", "已吊销"),
                day(panel.created) if number == 0 else "",
                entry.serial,
                day(entry.not_after),
                panel.note if number == 0 else "",
            )
    return table


def open_registry(data: Path) -> Registry:
    """The registry of a data folder, which is made when missing."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Registry(data / "registry.json")


def mqtt_fragment(host: str, port: int, bearer: str = "panel") -> str:
    """The `[mqtt]` table; file names are relative to the bearer's configuration file."""
    return (
        "[mqtt]\n"
        f'host = "{host}"\n'
        f"port = {port}\n"
        'ca = "ca.crt"\n'
        f'cert = "{bearer}.crt"\n'
        f'key = "{bearer}.key"\n'
    )


def issue(
    data: Path,
    registry: Registry,
    panel: str,
    out_dir: Path,
    server_name: str | None,
    port: int | None,
    note: str,
    lang: Lang,
    json: bool,
    *,
    keep_old: bool,
    role: Role = Role.PANEL,
) -> None:
    """Make the files of a panel or receiver in `out_dir` and say what to do with them."""
    state = broker_state(data)
    authority = Authority(data, registry, server_names=[server_name] if server_name else [])
    issued = authority.issue(panel, out_dir, note=note, keep_old=keep_old, role=role)
    host = server_name or _host_of(state)
    port = port or (state.port if state else DEFAULT_PORT)
    fragment = mqtt_fragment(host, port, role.value)
    replace_file(out_dir / "mqtt.toml", fragment.encode(), PUBLIC)
    live = await_applied(data, registry)
    _tell_issued(issued, out_dir, live, lang, json, role)


def _tell_issued(
    issued: Issued, out_dir: Path, live: bool, lang: Lang, json: bool, role: Role
) -> None:
    panel = issued.panel.id
    if json:
        print_json(Change(panel, "active", live, issued.certificate.serial, str(out_dir)))
        return
    out.print(
        pick(
            lang,
            f"{panel}: certificate {issued.certificate.serial}, "
            f"valid until {day(issued.certificate.not_after)}.",
            f"{panel}：证书 {issued.certificate.serial}，有效期至 "
            f"{day(issued.certificate.not_after)}。",
        ),
        live_text(live, lang),
    )
    bearer, there = role.value, "接收机" if role is Role.RECEIVER else "主机"
    out.print(
        pick(
            lang,
            f"Carry {out_dir} to the {bearer}: {bearer}.crt, {bearer}.key (secret), ca.crt, and "
            "mqtt.toml for its configuration file. Delete the key here afterwards.",
            f"将 {out_dir} 复制到{there}：{bearer}.crt、{bearer}.key（保密）、ca.crt，"
            "并把 mqtt.toml 写入其配置文件。之后请删除此处的私钥。",
        ),
        markup=False,
    )


def await_applied(data: Path, registry: Registry) -> bool:
    """True once the running collector's broker has the registry in force; False: none runs."""
    revision = registry.content().revision
    end = time.monotonic() + APPLY_TIMEOUT_S
    while (state := broker_state(data)) is not None and time.monotonic() < end:
        if state.applied >= revision:
            return True
        time.sleep(0.02)
    return False


def live_text(live: bool, lang: Lang) -> str:
    """Whether a change is in force already."""
    if live:
        return pick(lang, "In force at the running collector.", "运行中的接警中心已生效。")
    return pick(
        lang,
        "No collector with its own broker is running here; it takes effect at the next start.",
        "本机没有运行自带代理的接警中心，下次启动时生效。",
    )


def _host_of(state: BrokerState | None) -> str:
    """Where a panel finds the broker, as far as this machine can know."""
    if state is None or state.host in {"0.0.0.0", "::"}:  # noqa: S104
        return socket.gethostname() if state is not None else "localhost"
    return state.host


def state_of(panel: RegisteredPanel) -> str:
    """Its state in a word."""
    return "active" if panel.active else "revoked"


def day(when: UtcTime) -> str:
    """The day of a time, UTC."""
    return datetime.datetime.fromtimestamp(when / US_PER_S, datetime.UTC).strftime("%Y-%m-%d")
