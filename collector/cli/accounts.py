"""`tocsin-collector account …`: which phone account is which panel's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

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
from collector.intake.accounts import Account, colliding
from collector.intake.pin_lists import pins_for
from collector.reception.format_names import FORMATS

app = typer.Typer(
    no_args_is_help=True,
    help="Which phone account is which panel's. Works while the collector runs.",
)

AccountArgument = Annotated[
    str, typer.Argument(metavar="ACCOUNT", help="4 or 10 of the digits 0-9, A-F.")
]


class AccountChange(msgspec.Struct, frozen=True):
    """What was set, for programs. `collides`: panels a four-digit receiver takes it for, too."""

    account: Account
    collides: tuple[str, ...]


@app.command("set")
@errors_as_text
def set_account(
    account: AccountArgument,
    panel: Annotated[str, typer.Argument(metavar="PANEL", help="A registered panel.")],
    data: DataOption,
    receiver: Annotated[
        str, typer.Option("--receiver", help="Only at this receiver; default: at all.")
    ] = "",
    line: Annotated[str, typer.Option("--line", help="Only on this line of it.")] = "",
    caller: Annotated[
        str,
        typer.Option("--caller", help="Number of the panel's line; tells apart what collides."),
    ] = "",
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="Pinned format, told to the receivers; default: recognised each time.",
        ),
    ] = "",
    test_h: Annotated[
        float,
        typer.Option(
            "--test-hours", min=0, help="It must phone within so many hours; 0: not supervised."
        ),
    ] = 25.0,
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Give a phone account to a panel.

    Example: tocsin-collector account set 1234 shop-1 --caller 02155501234
    """
    registry = _registry(data)
    new = Account(account.upper(), panel, receiver, line, caller, format_, test_h)
    give_account(registry, new, lang, json)


@app.command("remove")
@errors_as_text
def remove_account(
    account: AccountArgument, data: DataOption, lang: LangOption = Lang.EN, json: JsonOption = False
) -> None:
    """Take an account away; reports on it come up as an unknown account's from then on."""
    _registry(data).remove_account(account.upper())
    if json:
        print_json({"removed": account.upper()})
        return
    out.print(pick(lang, f"Account {account} is removed.", f"帐号 {account} 已删除。"))


@app.command("list")
@errors_as_text
def list_accounts(data: DataOption, lang: LangOption = Lang.EN, json: JsonOption = False) -> None:
    """Show every account, its panel, and what collides with it."""
    accounts = _registry(data).content().accounts
    if json:
        for one in accounts:
            print_json(AccountChange(one, _others(accounts, one)))
        return
    heads = (
        ("account", "帐号"),
        ("panel", "主机"),
        ("receiver", "接收机"),
        ("line", "线路"),
        ("caller", "来电号码"),
        ("format", "格式"),
        ("test within", "测试间隔"),
        ("may be taken for", "可能混淆"),
    )
    table = Table(*(pick(lang, en, zh) for en, zh in heads))
    for one in accounts:
        test = f"{one.test_h:g} h" if one.test_h else "-"
        shown = (one.account, one.panel, one.receiver, one.line, one.caller, one.format, test)
        table.add_row(*shown, ", ".join(_others(accounts, one)))
    out.print(table)
    if not accounts:
        out.print(
            pick(
                lang,
                "No account yet: tocsin-collector account set 1234 shop-1",
                "还没有帐号：tocsin-collector account set 1234 shop-1",
            )
        )


def give_account(registry: Registry, new: Account, lang: Lang, json: bool) -> None:
    """Set it, and warn of a collision with other panels (S22). Raises RegistryError."""
    registry.set_account(new)
    others = _others(registry.content().accounts, new)
    if json:
        print_json(AccountChange(new, others))
        return
    out.print(
        pick(
            lang,
            f"Account {new.account} is {new.panel}.",
            f"帐号 {new.account} 属于 {new.panel}。",
        )
    )
    _warn_of_format(registry.content().accounts, new, lang)
    if others:
        named = ", ".join(others)
        err.print(
            pick(
                lang,
                f"Warning: a receiver that keeps only the last four digits cannot tell "
                f"{new.panel} from {named}. Its reports then come up under the account, naming all "
                "of them. Mend: another account, or --caller with the number of each line.",
                f"警告：只保留后四位的接收机无法区分 {new.panel} 与 {named}，"
                "此时报告按帐号显示并列出所有可能的主机。"
                "解决办法：更换帐号，或用 --caller 登记各自的电话号码。",
            ),
            markup=False,
            style="yellow",
        )


def _warn_of_format(accounts: tuple[Account, ...], new: Account, lang: Lang) -> None:
    if new.format and new.format not in FORMATS:
        known = ", ".join(FORMATS)
        err.print(
            pick(
                lang,
                f"Warning: no receiver reads {new.format!r} by itself. Without a plug-in of that"
                f" name the account is taken in any format. Known: {known}.",
                f"警告：接收机本身不识别格式 {new.format!r}。若未安装同名插件，"
                f"该帐号按任意格式接收。已知格式：{known}。",
            ),
            markup=False,
            style="yellow",
        )
    pins = pins_for(accounts, new.receiver)
    held = {one.format for one in pins if (one.account, one.line) == (new.account, new.line)}
    if new.format and held != {new.format}:
        err.print(
            pick(
                lang,
                f"Warning: account {new.account} is set with another format, or none, too; it"
                " stays unpinned there: any format is taken. Mend: the same --format for all, or"
                " --receiver and --line for each.",
                f"警告：帐号 {new.account} 另有不同格式（或未指定格式）的登记，因此不固定格式。"
                "解决办法：统一 --format，或分别用 --receiver 与 --line 指定。",
            ),
            markup=False,
            style="yellow",
        )


def _others(accounts: tuple[Account, ...], one: Account) -> tuple[str, ...]:
    return tuple(sorted({other.panel for other in colliding(accounts, one)}))


def _registry(data: Path) -> Registry:
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Registry(data / "registry.json")
