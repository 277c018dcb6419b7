"""`tocsin-edge phone test-call|release|status`: the second path, seen and tried on site."""

from __future__ import annotations

import sys
import time
from enum import Enum
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from edge.adapters.local_socket import (
    PhoneAsked,
    PhoneReleaseAsked,
    PhoneStatus,
    PhoneStep,
    PhoneTestAsked,
    Reply,
    Request,
    ask,
)
from edge.cli.users import DataOption, JsonOption

out = Console()
err = Console(stderr=True)
app = typer.Typer(no_args_is_help=True)
POLL_S: Final = 0.3


class Lang(Enum):
    """Of what is printed."""

    EN = "en"
    ZH = "zh"


LangOption = Annotated[Lang, typer.Option("--lang", help="en or zh.", envvar="TOCSIN_LANG")]


class Words(NamedTuple):
    """The same in both languages."""

    en: str
    zh: str

    def pick(self, lang: Lang) -> str:
        """In this language."""
        return self.zh if lang is Lang.ZH else self.en


STEPS: Final[dict[str, Words]] = {
    "calling": Words("calling", "呼叫"),
    "checking_line": Words("checking the line", "检查线路"),
    "seized": Words("off-hook", "摘机"),
    "dial_tone": Words("dial tone heard", "听到拨号音"),
    "dial_tone_missing": Words("no dial tone, dialled all the same", "无拨号音，仍然拨号"),
    "dialled": Words("number dialled", "号码已拨出"),
    "ringing": Words("it rings", "振铃"),
    "answered": Words("answered", "对方应答"),
    "voice_heard": Words("a voice or music is heard", "听到语音或音乐"),
    "handshake": Words("handshake heard (1400/2300 Hz)", "听到握手音（1400/2300 Hz）"),
    "handshake_again": Words("the receiver begins anew", "接收机重新握手"),
    "block": Words("sending", "发送"),
    "repeat": Words("no kiss-off, sending again", "未收到确认音，重发"),
    "kiss_off": Words("kissed off", "收到确认音"),
    "record_missing": Words("the journal was slow: no mark in this call", "日志迟缓，本次无标记"),
    "test_kissed_off": Words("the test has arrived", "测试信息已送达"),
    "voice": Words("line held for listen-in", "线路保持监听"),
    "path_up": Words("the phone path is up", "电话通路正常"),
    "path_down": Words("the phone path is down", "电话通路故障"),
    "ended": Words("hung up", "挂机"),
}
CAUSES: Final[dict[str, tuple[Words, Words]]] = {
    "done": (Words("all was told", "全部送达"), Words("nothing to mend", "无需处理")),
    "no_line": (
        Words("there is no line", "无线路"),
        Words(
            "check plug, socket and modem, or the SIP agent's registration",
            "检查插头、插座和调制解调器，或 SIP 代理的注册状态",
        ),
    ),
    "line_cut": (
        Words("the line went away during the call", "通话中线路中断"),
        Words("check the cable between panel and exchange", "检查主机至交换机的线缆"),
    ),
    "in_use": (
        Words("somebody is on the phone", "线路正被使用"),
        Words(
            "wait; alarms take the line all the same, if the panel is wired before the phones",
            "请稍候；主机接在话机之前时，报警会强占线路",
        ),
    ),
    "no_dial_tone": (
        Words("no dial tone", "无拨号音"),
        Words(
            'listen with a phone; behind a PBX set phone.line.plan or phone.dial_tone = "blind"',
            '用话机试听；若经小交换机，请设 phone.line.plan 或 phone.dial_tone = "blind"',
        ),
    ),
    "busy": (
        Words("the centre's number is busy", "中心号码占线"),
        Words("try again; give a back-up number", "重试；设置备用号码"),
    ),
    "no_answer": (
        Words("nobody answered", "无人应答"),
        Words(
            "check the number; is the receiver on that line?", "核对号码；接收机是否接在该线上？"
        ),
    ),
    "voice_answer": (
        Words("a person or a recording answered", "应答的是人或录音"),
        Words("the number is wrong: ask the centre", "号码有误，请询问中心"),
    ),
    "wrong_handshake": (
        Words("answered, but not with 1400/2300 Hz", "已应答，但不是 1400/2300 Hz 握手音"),
        Words(
            "the receiver's line is set to another format, or the number is a fax or modem",
            "接收机该线设为其他格式，或该号码为传真/调制解调器",
        ),
    ),
    "no_kiss_off": (
        Words("what was sent was never acknowledged", "发送后未收到确认音"),
        Words(
            "check the account at the centre; on VoIP set the adapter to G.711, no compression, "
            "DTMF in band",
            "核对中心账号；VoIP 请用 G.711、关闭压缩、DTMF 带内传送",
        ),
    ),
    "dropped": (
        Words("the far end hung up", "对方挂断"),
        Words("try again; if it repeats, ask the centre for its log", "重试；若反复，请查中心记录"),
    ),
    "failed": (
        Words("the network or the line adapter failed", "网络或线路设备失败"),
        Words(
            "see the word beside it: a SIP answer or the modem's",
            "见其后的 SIP 应答或调制解调器代码",
        ),
    ),
    "line_silent": (
        Words("the line adapter does not answer", "线路设备无响应"),
        Words("unplug the modem and plug it in again", "重新插拔调制解调器"),
    ),
    "given_up": (Words("given up by order", "按指令放弃"), Words("try again", "重试")),
}


def _asked(data: Path, request: Request, lang: Lang) -> PhoneStatus:
    try:
        reply: Reply = ask(data / "panel.sock", request)
    except (OSError, TimeoutError) as error:
        err.print(
            Words(
                f"No panel answers in {data} ({error}).", f"{data} 中无主机应答（{error}）。"
            ).pick(lang),
            style="red",
        )
        raise typer.Exit(3) from None
    if reply.reason == "not_listening":
        err.print(
            Words("Nobody listens in: the line is not held.", "当前无人监听，线路未被占用。").pick(
                lang
            ),
            style="yellow",
        )
        raise typer.Exit(1)
    if reply.phone is None and reply.reason != "no_phone":
        err.print(f"{reply.reason}", style="red", highlight=False, markup=False)
        raise typer.Exit(2)
    if reply.phone is None:
        err.print(
            Words(
                "This panel has no phone path: add [phone] to its file.",
                "本主机未设电话通路：请在配置文件中增加 [phone]。",
            ).pick(lang),
            style="red",
        )
        raise typer.Exit(2)
    return reply.phone


def _told(step: PhoneStep, began_s: float, lang: Lang) -> str:
    known = STEPS.get(step.what)
    words = step.what if known is None else known.pick(lang)
    detail = f"  {step.detail}" if step.detail else ""
    return f"{step.at_s - began_s:6.1f} s  {words}{detail}"


@app.command("test-call")
def call_to_test(
    data: DataOption = Path("data"),
    by: Annotated[
        str, typer.Option("--by", help="Who asks; goes into the journal.", show_default=False)
    ] = "",
    lang: LangOption = Lang.EN,
    limit_s: Annotated[float, typer.Option("--limit", help="Seconds to wait at most.")] = 240.0,
    as_json: JsonOption = False,
) -> None:
    """Make a test call now and tell each step of it. Exit 0: the centre has kissed it off.

    Example:  tocsin-edge phone test-call --data data --by liwei
    """
    before = _before(_asked(data, PhoneAsked(), lang))
    began_s = time.monotonic()
    _asked(data, PhoneTestAsked(by), lang)
    steps: list[PhoneStep] = []
    cause = detail = ""
    arrived = listening = False
    while time.monotonic() - began_s < limit_s:
        now = _asked(data, PhoneAsked(before), lang)
        for step in now.steps:
            before = step.number
            steps.append(step)
            arrived = arrived or step.what == "test_kissed_off"
            listening = step.what == "checking_line" or (listening and step.what != "calling")
            if not as_json:
                out.print(_told(step, began_s, lang), highlight=False, markup=False)
        if steps and steps[-1].what == "ended" and not listening:
            cause, detail = now.last, now.last_detail
            break
        time.sleep(POLL_S)
    if as_json:
        sys.stdout.write(
            msgspec.json.encode(
                {"ok": arrived, "cause": cause, "detail": detail, "steps": steps}
            ).decode()
            + "\n"
        )
    else:
        _verdict(cause, detail, lang, arrived=arrived)
    raise typer.Exit(0 if arrived else 1)


def _before(now: PhoneStatus) -> int:
    """The step after which ours begin: those of the call that is under way and will carry the test,
    if there is one.
    """
    if now.step == "idle":
        return now.counted
    begun = [step.number for step in now.steps if step.what in ("calling", "checking_line")]
    return begun[-1] - 1 if begun else now.counted


def _verdict(cause: str, detail: str, lang: Lang, *, arrived: bool) -> None:
    if arrived:
        good = Words(
            "The phone path works: the centre has the test.", "电话通路正常：中心已收到测试。"
        )
        out.print(good.pick(lang), style="green")
        return
    what, mend = CAUSES.get(
        cause,
        (
            Words("no call was made in this time", "此时间内未能呼叫"),
            Words(
                "see `tocsin-edge phone status`: too many failed calls before, or a call under way",
                "见 `tocsin-edge phone status`：此前失败过多，或正在通话",
            ),
        ),
    )
    more = f" ({detail})" if detail else ""
    text = Words(
        f"The phone path does not work: {what.en}{more}.\nTo mend: {mend.en}.",
        f"电话通路不通：{what.zh}{more}。\n处理：{mend.zh}。",
    )
    err.print(text.pick(lang), style="red", highlight=False, markup=False)


@app.command("release")
def release(
    data: DataOption = Path("data"),
    by: Annotated[
        str, typer.Option("--by", help="Who asks; goes into the log.", show_default=False)
    ] = "",
    lang: LangOption = Lang.EN,
) -> None:
    """End listening-in and hang up. Exit 1: nobody was listening.

    The centre ends it by pressing #, and it ends by itself after phone.listen_in_s.

    Example:  tocsin-edge phone release --data data --by liwei
    """
    _asked(data, PhoneReleaseAsked(by), lang)
    out.print(Words("The line is free again.", "线路已释放。").pick(lang))


@app.command("status")
def status(
    data: DataOption = Path("data"), lang: LangOption = Lang.EN, as_json: JsonOption = False
) -> None:
    """Show the phone path: line, last call, what is owed, next call and next test.

    Example:  tocsin-edge phone status --data data
    """
    now = _asked(data, PhoneAsked(), lang)
    if as_json:
        sys.stdout.write(msgspec.json.encode(now).decode() + "\n")
        return
    table = Table(show_header=False)
    for name, value in _rows(now):
        table.add_row(name.pick(lang), value.pick(lang))
    out.print(table)
    for step in now.steps[-12:]:
        out.print(_told(step, time.monotonic(), lang), highlight=False, markup=False)


def _rows(now: PhoneStatus) -> list[tuple[Words, Words]]:
    up = {
        True: Words("up", "正常"),
        False: Words(f"DOWN: {now.cause}", f"故障：{now.cause}"),
        None: Words("not tried yet", "尚未验证"),
    }[now.up]
    line = {
        True: Words("there", "有"),
        False: Words("NOT THERE", "无"),
        None: Words("does not tell", "未知"),
    }[now.line]
    last = CAUSES.get(now.last, (Words("none yet", "尚无"), Words("", "")))[0]
    more = f" ({now.last_detail})" if now.last_detail else ""
    return [
        (Words("path", "通路"), up),
        (Words("line", "线路"), line),
        (Words("policy", "策略"), Words(now.policy, now.policy)),
        (Words("numbers", "号码"), Words(", ".join(now.numbers), ", ".join(now.numbers))),
        (Words("owed", "待报"), Words(str(now.owed), str(now.owed))),
        (Words("now", "当前"), Words(now.step, now.step)),
        (
            Words("microphone", "监听拾音"),
            Words(now.microphone or "none: no listen-in", now.microphone or "无，不可监听"),
        ),
        (Words("last call", "上次呼叫"), Words(f"{last.en}{more}", f"{last.zh}{more}")),
        (
            Words("failed in a row", "连续失败"),
            Words(str(now.failed_in_a_row), str(now.failed_in_a_row)),
        ),
        (Words("next call", "下次呼叫"), _in(now.next_call_s)),
        (Words("next test call", "下次测试呼叫"), _in(now.next_test_s)),
    ]


def _in(seconds: float | None) -> Words:
    if seconds is None:
        return Words("nothing to tell", "无待报")
    if seconds < 120:
        return Words(f"in {max(0.0, seconds):.0f} s", f"{max(0.0, seconds):.0f} 秒后")
    return Words(f"in {seconds / 3600:.1f} h", f"{seconds / 3600:.1f} 小时后")
