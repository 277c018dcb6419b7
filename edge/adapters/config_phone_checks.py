"""Rules for `[phone]`, alone and against the rest of the file (R84, R102)."""

from __future__ import annotations

import re
from typing import Final

from edge.adapters.config_bus_checks import several
from edge.adapters.config_problem import ABSENT, Phrase, Report
from edge.adapters.config_shape import Draft
from edge.adapters.config_site import is_strict, site_of
from edge.config import PanelConfig
from edge.config_phone import DialToneWait, LineDriver, PhoneConfig, PhoneLineConfig, PolicyKind

_ADDRESS: Final = re.compile(r"(unix:.+|[^:\s]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5})", re.ASCII)
_SURE_MS: Final = 50
_ALARM_S: Final = 90
"""From the event to the kiss-off over the phone (users.md M1)."""
_CALL_S: Final = 25
"""A call to a number that answers, until its kiss-off."""
_CHECK_S: Final = 120
_DUAL: Final = Phrase('policy = "dual"', 'policy = "dual"')


def refuse(draft: Draft, report: Report) -> None:
    """What must not run."""
    phone = draft.fields.get("phone")
    read = isinstance(phone, Draft)
    config: PhoneConfig | None = phone.whole if isinstance(phone, Draft) else None
    line = phone.fields.get("line") if isinstance(phone, Draft) else None
    if isinstance(line, Draft) and line.whole is not None:
        _line(line.whole, draft, report)
    if isinstance(phone, Draft):
        _numbers(phone, report)
        _listen_in(phone, report)
    _monitor(draft, report)
    _paths(draft, config, report, read=read)
    if is_strict(draft):
        _dual(draft, phone if isinstance(phone, Draft) else None, report)


def _numbers(phone: Draft, report: Report) -> None:
    for index, number in enumerate(phone.fields.get("numbers", ())):
        if not any(sign.isdigit() for sign in number):
            report.add(
                f"phone.numbers[{index}]",
                number,
                Phrase("a number with digits in it", "含有数字的号码"),
                Phrase("write the centre's number as it is dialled", "填写接警中心的拨打号码"),
                "R120",
            )


def _listen_in(phone: Draft, report: Report) -> None:
    line = phone.fields.get("line")
    microphone = line.fields.get("microphone") if isinstance(line, Draft) else None
    if phone.fields.get("listen_in_s") and microphone == ():
        report.add(
            "phone.listen_in_s",
            phone.fields["listen_in_s"],
            Phrase("0, as there is no microphone", "0（未配置拾音器）"),
            Phrase(
                "leave it out, or say in phone.line.microphone what records",
                "删除此项，或在 phone.line.microphone 中填写录音命令",
            ),
        )


def _monitor(draft: Draft, report: Report) -> None:
    for index, point in several(draft, "points"):
        if point.fields.get("role") == "phone_line" and draft.raw.get("phone") is None:
            report.add(
                f"points[{index}].role",
                "phone_line",
                Phrase("a [phone] beside it", "同时配置 [phone]"),
                Phrase("add [phone], or remove the point", "补写 [phone]，或删除该监测点"),
            )


def _line(line: PhoneLineConfig, draft: Draft, report: Report) -> None:
    if line.driver is LineDriver.MODEM and not line.device:
        report.add(
            "phone.line.device",
            line.device or ABSENT,
            Phrase(
                'the modem\'s port, like "/dev/serial/by-id/usb-..."',
                '调制解调器的端口，如 "/dev/serial/by-id/usb-..."',
            ),
            Phrase(
                "look under /dev/serial/by-id: those names stay the same after a restart",
                "见 /dev/serial/by-id，其中的名称重启后不变",
            ),
        )
    for index, bus in several(draft, "buses"):
        if line.driver is LineDriver.MODEM and line.device == bus.fields.get("port"):
            report.add(
                "phone.line.device",
                line.device,
                Phrase("a port of the modem's own", "调制解调器专用端口"),
                Phrase(f"buses[{index}] has this port", f"该端口已被 buses[{index}] 使用"),
            )
    if line.driver is LineDriver.SOCKET and not _is_address(line.address):
        report.add(
            "phone.line.address",
            line.address or ABSENT,
            Phrase('"host:port" or "unix:PATH"', '"主机:端口" 或 "unix:路径"'),
            Phrase(
                "write where the SIP agent or the exchange listens, like 127.0.0.1:9092",
                "填写 SIP 代理或交换机的监听地址，如 127.0.0.1:9092",
            ),
        )


def _is_address(text: str) -> bool:
    found = _ADDRESS.fullmatch(text)
    if found is None:
        return False
    return text.startswith("unix:") or 0 < int(text.rpartition(":")[2]) < 1 << 16


def _paths(draft: Draft, config: PhoneConfig | None, report: Report, *, read: bool) -> None:
    only = config is not None and config.policy is PolicyKind.PHONE_ONLY
    if "mqtt" not in draft.raw and not only:
        if read and config is None:
            return  # told as a problem of [phone]
        report.add(
            "mqtt",
            ABSENT,
            Phrase("a table [mqtt]", "表 [mqtt]"),
            Phrase(
                'add [mqtt], or, where there is no network at all, phone.policy = "phone-only"',
                '补写 [mqtt]；若确无网络，则设 phone.policy = "phone-only"',
            ),
            "R84",
        )
    if draft.raw.get("mqtt") is not None and only:
        report.add(
            "phone.policy",
            PolicyKind.PHONE_ONLY.value,
            Phrase(
                '"dual" or "fallback", as there is an [mqtt]',
                '已有 [mqtt]，应为 "dual" 或 "fallback"',
            ),
            Phrase("choose one of them, or remove [mqtt]", "改选其一，或删除 [mqtt]"),
        )


def _dual(draft: Draft, phone: Draft | None, report: Report) -> None:
    site = site_of(draft)
    if phone is None:
        if draft.raw.get("phone") is None:
            report.add(
                "phone",
                ABSENT,
                Phrase(
                    f"two ways to the centre: {site.en} has network and telephone",
                    f"两路报警：{site.zh}须同时具备网络与电话",
                ),
                Phrase(
                    'add [phone] with policy = "dual", [phone.line] and the centre\'s numbers',
                    '增加 [phone]（policy = "dual"）、[phone.line] 及中心电话号码',
                ),
                "R102",
            )
        return
    policy = phone.fields.get("policy")
    if policy is not None and policy is not PolicyKind.DUAL:
        report.add(
            "phone.policy",
            policy.value,
            _DUAL,
            Phrase(
                f"{site.en} reports everything on both paths, always",
                f"{site.zh}的全部信息须始终双路上报",
            ),
            "R102",
        )


def warn(config: PanelConfig, report: Report) -> None:
    """What may run but should not."""
    phone = config.phone
    if phone is None:
        return
    _in_time(config, phone, report)
    if len({number.replace(",", "") for number in phone.numbers}) != len(phone.numbers):
        report.add(
            "phone.numbers",
            list(phone.numbers),
            Phrase("each number once", "每个号码一次"),
            Phrase(
                "give a back-up number that another line answers", "请另设由其他线路接听的备用号码"
            ),
        )
    if phone.digit_ms < _SURE_MS or phone.gap_ms < _SURE_MS:
        report.add(
            "phone.digit_ms",
            f"{phone.digit_ms} on, {phone.gap_ms} off",
            Phrase("50 to 60 ms each", "各 50 至 60 毫秒"),
            Phrase(
                "shorter digits are lost in adapters and on poor lines",
                "过短的信号在转换器或劣质线路上易丢失",
            ),
            "DC-05",
        )


def _unwatched(config: PanelConfig, phone: PhoneConfig, report: Report) -> None:
    """Without its dial tone a cut line is seen by its voltage, or by nothing."""
    if phone.line_check_s is not None:
        report.add(
            "phone.line_check_s",
            phone.line_check_s,
            Phrase('nothing: dial_tone = "blind" says that none is heard', "盲拨时不应填写"),
            Phrase("leave it out: each look would tell a fault", "删除此项，否则每次检查均报故障"),
            "M2",
        )
    if not any(point.role == "phone_line" for point in config.points):
        report.add(
            "phone.dial_tone",
            phone.dial_tone.value,
            Phrase(
                'a cut line noticed in 180 s: dial_tone = "needed", or a monitor of its voltage',
                '180 秒内发现断线：dial_tone = "needed" 或线路电压监测器',
            ),
            Phrase(
                'add a [[points]] with role = "phone_line", unless the modem measures the line',
                '增加 role = "phone_line" 的 [[points]]（调制解调器能测电压者除外）',
            ),
            "M2",
        )


def _in_time(config: PanelConfig, phone: PhoneConfig, report: Report) -> None:
    """M1 and M2 in the worst case that a panel file can foresee: all numbers but the last dead."""
    fallback = phone.policy is PolicyKind.FALLBACK
    others = len(phone.numbers) - 1
    takes_s = (phone.wait_burglary_s if fallback else 0) + others * phone.answer_s + _CALL_S
    if takes_s > _ALARM_S:
        report.add(
            "phone.answer_s",
            phone.answer_s,
            Phrase(
                f"an alarm told in {_ALARM_S} s also when only the last number answers; this takes "
                f"{takes_s:.0f} s",
                f"即使仅最后一个号码应答，报警也应在 {_ALARM_S} 秒内送达；当前约 {takes_s:.0f} 秒",
            ),
            Phrase(
                "shorten answer_s or wait_burglary_s, or give fewer numbers",
                "缩短 answer_s 或 wait_burglary_s，或减少号码",
            ),
            "M1",
        )
    if phone.dial_tone is DialToneWait.BLIND and phone.line.driver is LineDriver.MODEM:
        _unwatched(config, phone, report)
    elif phone.line_check_s is not None and phone.line_check_s > _CHECK_S:
        report.add(
            "phone.line_check_s",
            phone.line_check_s,
            Phrase(f"at most {_CHECK_S}: a lost line is told in 180 s", f"不超过 {_CHECK_S}"),
            Phrase("leave it out", "删除此项"),
            "M2",
        )
