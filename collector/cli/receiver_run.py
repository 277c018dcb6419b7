"""`tocsin-receiver run|check|status`."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Final

import msgspec
import typer

from collector import CollectorError
from collector.adapters.phone_formats import load_phone_formats
from collector.adapters.receiver_config import ModemConfig
from collector.adapters.receiver_file import ReceiverConfigError, load
from collector.adapters.receiver_status import STALE_S, ReceiverStatus, read_status, runs
from collector.adapters.spool_reading import peek
from collector.cli.options import JsonOption, Lang, LangOption, err, out, pick, print_json
from collector.cli.receiver_options import (
    ConfigOption,
    DataOption,
    errors_as_text,
    known_here,
    local_time,
)
from collector.receiver_app import Ready, Receiver, utc_now
from protocols.instants import US_PER_S

SILENT_S: Final = 35.0
"""Three heartbeats without an answer."""
NOT_RUNNING: Final = 3
"""Exit code of `status` when no receiver runs, as systemd's `is-active` has it."""


@errors_as_text
def run(
    config: ConfigOption,
    data: DataOption,
    lang: LangOption = Lang.EN,
    json: JsonOption = False,
) -> None:
    """Answer the lines until Ctrl-C or SIGTERM (exit code 0).

    Needs neither the collector nor its database: what is taken is kept, and told when they are
    back. Exit code 1: it could not start; the reason is on standard error.
    """
    loaded = load(config, known_here, files=True)
    receiver = Receiver(loaded, data, config.parent, _warn)

    def ready(line: Ready) -> None:
        if json:
            print_json(line)
            return
        named = [f"{name} :{port}" for name, port in line.listeners.items()]
        where = ", ".join(named + [f"{name} {device}" for name, device in line.modems.items()])
        out.print(
            pick(
                lang,
                f"Ready. Lines: {where or 'none'}; data in {data}\n"
                "Look:  tocsin-receiver status    tocsin-receiver calls list\n"
                "Stop:  Ctrl-C",
                f"已就绪。线路：{where or '无'}；数据目录 {data}\n"
                "查看：  tocsin-receiver status    tocsin-receiver calls list\n"
                "停止：  Ctrl-C",
            ),
            markup=False,
        )

    asyncio.run(_run(receiver, ready))


async def _run(receiver: Receiver, ready: object) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    assert callable(ready)
    await receiver.run(over, ready)


@errors_as_text
def check(config: ConfigOption, lang: LangOption = Lang.EN, json: JsonOption = False) -> None:
    """Read the file and say all that is wrong with it, without answering any line."""
    try:
        loaded = load(config, known_here, files=True)
    except ReceiverConfigError as error:
        if json:
            print_json({"ok": False, "problems": error.problems})
        raise
    plugins, failed = load_phone_formats() if loaded.plugins else ([], [])
    if failed:
        raise CollectorError(
            "\n".join(
                pick(
                    lang,
                    f"plug-in {each.name} is not used: {each.why}",
                    f"插件 {each.name} 无法使用：{each.why}",
                )
                for each in failed
            )
        )
    notes = _notes(lang, no_link=loaded.mqtt is None, no_line=not (loaded.line or loaded.modem))
    for modem in loaded.modem:
        notes.append(_modem_note(lang, modem))
    if json:
        print_json({"ok": True, "notes": notes, "plugins": [each.name for each in plugins]})
        return
    for note in notes:
        out.print(note, markup=False)
    out.print(pick(lang, f"{config} is in order.", f"{config} 无误。"), markup=False)


def _modem_note(lang: Lang, modem: ModemConfig) -> str:
    if Path(modem.device).exists():
        return pick(
            lang,
            f"Modem {modem.name}: {modem.device} is there; answered after {modem.rings} rings.",
            f"调制解调器 {modem.name}：{modem.device} 已连接；振铃 {modem.rings} 次后接听。",
        )
    return pick(
        lang,
        f"Modem {modem.name}: {modem.device} is not there now. Plug it in, or mend `device`"
        " (names that last: /dev/serial/by-id/).",
        f"调制解调器 {modem.name}：目前没有 {modem.device}。请插上设备，或更正 `device`"
        "（固定名称见 /dev/serial/by-id/）。",
    )


def _notes(lang: Lang, *, no_link: bool, no_line: bool) -> list[str]:
    notes = []
    if no_link:
        notes.append(
            pick(
                lang,
                "No [mqtt]: calls are kept, but no collector is told. Make an identity with"
                " `tocsin-collector receiver add`.",
                "没有 [mqtt]：来电会保存，但不会通知接警中心。请用"
                " `tocsin-collector receiver add` 建立身份。",
            )
        )
    if no_line:
        notes.append(
            pick(
                lang,
                "No [[line]] and no [[modem]]: no phone is answered.",
                "没有 [[line]] 和 [[modem]]：不会接听任何电话。",
            )
        )
    return notes


class StatusAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`waiting` and `newest` are read from the spool itself, so they hold while nothing runs."""

    running: bool
    epoch: int = 0
    newest: int = 0
    waiting: int = 0
    last: ReceiverStatus | None = None


@errors_as_text
def status(data: DataOption, lang: LangOption = Lang.EN, json: JsonOption = False) -> None:
    """How the receiver is; works with the collector, and the receiver itself, dead (R92).

    Exit code 3: no receiver runs on this data folder.
    """
    spool = peek(data)
    last = read_status(data)
    running = runs(data)
    answer = StatusAnswer(
        running,
        0 if spool is None else spool.epoch,
        0 if spool is None else spool.newest,
        0 if spool is None else spool.waiting,
        last,
    )
    if json:
        print_json(answer)
    else:
        _tell(answer, data, lang)
    if not running:
        raise typer.Exit(NOT_RUNNING)


def _tell(answer: StatusAnswer, data: Path, lang: Lang) -> None:
    last = answer.last
    state = pick(lang, "runs", "运行中") if answer.running else pick(lang, "does not run", "未运行")
    name = last.receiver if last is not None else str(data)
    lines = [
        pick(lang, f"Receiver {name}: {state}", f"接收机 {name}：{state}"),
        pick(
            lang,
            f"Kept: {answer.newest}, not yet at the collector: {answer.waiting}",
            f"已保存：{answer.newest}，尚未送达中心：{answer.waiting}",
        ),
    ]
    if last is None:
        out.print("\n".join(lines), markup=False)
        return
    if not answer.running or abs(utc_now() - last.at) > STALE_S * US_PER_S:
        lines.append(
            pick(lang, f"Last seen {local_time(last.at)}", f"最后活动 {local_time(last.at)}")
        )
    link = {
        None: pick(lang, "no collector configured", "未配置接警中心"),
        True: _answers(last, lang),
        False: pick(lang, f"link down: {last.link_why}", f"链路中断：{last.link_why}"),
    }[last.link_up]
    lines.append(pick(lang, f"Collector: {link}", f"接警中心：{link}"))
    if last.store_fault:
        lines.append(
            pick(lang, f"STORE FAULT: {last.store_fault}", f"存储故障：{last.store_fault}")
        )
    for each in last.lines:
        counts = ", ".join(f"{key} {count}" for key, count in sorted(each.counts.items()))
        where = f"{each.kind} {each.listen}".strip()
        told = f"{each.state}; {counts}" if counts else each.state
        lines.append(f"  {each.name} ({where}): {told}")
    lines += _pins(last, lang)
    lines += [f"  ! {text}" for text in last.problems]
    out.print("\n".join(lines), markup=False)


def _answers(last: ReceiverStatus, lang: Lang) -> str:
    """A link to the broker proves nothing of the collector behind it."""
    ago_s = last.acknowledged_s_ago
    if ago_s is None or ago_s > SILENT_S:
        return pick(
            lang,
            "link up, but the collector does not answer; what is taken is kept",
            "链路正常，但接警中心没有应答；来电记录会保存",
        )
    return pick(lang, f"link up, answered {ago_s:.0f} s ago", f"链路正常，{ago_s:.0f} 秒前有应答")


def _pins(last: ReceiverStatus, lang: Lang) -> list[str]:
    if not last.pins:
        return []
    lines = [
        pick(lang, f"Pinned accounts: {last.pins_in_all}", f"固定格式的帐号：{last.pins_in_all}")
    ]
    source = {
        "receiver.toml": pick(lang, "by receiver.toml", "由 receiver.toml 指定"),
        "collector": pick(lang, "by the collector", "由接警中心下发"),
    }
    for each in last.pins:
        where = f" @{each.line}" if each.line else ""
        told = each.format or pick(lang, "any format", "任意格式")
        why = f" ({pick(lang, 'not used', '未采用')}: {each.unused})" if each.unused else ""
        lines.append(f"  {each.account}{where}: {told}, {source[each.source]}{why}")
    return lines


def _warn(text: str) -> None:
    stamp = local_time(utc_now())
    err.print(f"{stamp} tocsin-receiver: {text}", markup=False)
