"""`tocsin-collector receiver …`: phone receivers that may speak, and their certificates."""

from __future__ import annotations

import typer

from collector.adapters.authority import Authority
from collector.adapters.registry import RegistryError, Role, check_panel_id
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
from collector.cli.panel import (
    Change,
    OutOption,
    PortOption,
    ServerNameOption,
    await_applied,
    bearers_table,
    issue,
    live_text,
    open_registry,
    state_of,
)

app = typer.Typer(
    no_args_is_help=True,
    help="Add, list and revoke phone receivers. Works while the collector runs.",
)


@app.command()
@errors_as_text
def add(
    receiver: str,
    out_dir: OutOption,
    data: DataOption,
    server_name: ServerNameOption = None,
    port: PortOption = None,
    note: str = "",
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Register a phone receiver and write its certificate, its key and an mqtt.toml fragment.

    Called again for a known receiver it makes a new certificate; the old one is refused from then.

    Example: tocsin-collector receiver add rx-1 --out ./rx-1
    """
    check_panel_id(receiver)
    registry = open_registry(data)
    issue(
        data,
        registry,
        receiver,
        out_dir,
        server_name,
        port,
        note,
        lang,
        json,
        keep_old=False,
        role=Role.RECEIVER,
    )


@app.command("list")
@errors_as_text
def list_receivers(data: DataOption, lang: LangOption = Lang.EN, json: JsonOption = False) -> None:
    """Show every receiver with its certificates and when they expire."""
    receivers = open_registry(data).content().receivers
    if json:
        for one in receivers:
            print_json(one)
        return
    out.print(bearers_table(receivers, lang))
    if not receivers:
        out.print(
            pick(
                lang,
                "No receiver yet: tocsin-collector receiver add rx-1 --out ./rx-1",
                "还没有接收机：tocsin-collector receiver add rx-1 --out ./rx-1",
            )
        )


@app.command()
@errors_as_text
def revoke(
    receiver: str, data: DataOption, lang: LangOption = Lang.EN, json: JsonOption = False
) -> None:
    """Refuse a receiver from now on; its connection is cut. What it sent stays in the ledger."""
    registry = open_registry(data)
    if registry.find(receiver, Role.RECEIVER) is None:
        raise RegistryError(f"no receiver {receiver!r} is registered: see `receiver list`")
    changed = Authority(data, registry).revoke(receiver, role=Role.RECEIVER)
    live = await_applied(data, registry)
    if json:
        print_json(Change(receiver, state_of(changed), live))
        return
    said = pick(lang, f"{receiver} is revoked.", f"{receiver} 已吊销。")
    out.print(said, live_text(live, lang))
