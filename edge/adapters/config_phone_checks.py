"""Rules for `[phone]`, alone and against the rest of the file (R84, R102)."""

from __future__ import annotations

import re
from typing import Final

from edge.adapters.config_problem import ABSENT, Phrase, Report
from edge.adapters.config_shape import Draft
from edge.config import PanelConfig
from edge.config_phone import LineDriver, PhoneConfig, PhoneLineConfig, PolicyKind

MUST_BE_DUAL: Final = ("finance",)
"""Site classes whose two paths always carry everything (R102)."""
_ADDRESS: Final = re.compile(r"(unix:.+|[^:\s]+:\d{1,5}|\[[0-9a-fA-F:]+\]:\d{1,5})", re.ASCII)
_SURE_MS: Final = 50
_DUAL: Final = Phrase('policy = "dual"', 'policy = "dual"')


def refuse(draft: Draft, report: Report) -> None:
    """What must not run."""
    phone = draft.fields.get("phone")
    read = isinstance(phone, Draft)
    config: PhoneConfig | None = phone.whole if isinstance(phone, Draft) else None
    line = phone.fields.get("line") if isinstance(phone, Draft) else None
    if isinstance(line, Draft) and line.whole is not None:
        _line(line.whole, report)
    _paths(draft, config, report, read=read)
    if draft.fields.get("site_class") in MUST_BE_DUAL:
        _dual(draft, phone if isinstance(phone, Draft) else None, report)


def _line(line: PhoneLineConfig, report: Report) -> None:
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
    if line.driver is LineDriver.SOCKET and not _ADDRESS.fullmatch(line.address):
        report.add(
            "phone.line.address",
            line.address or ABSENT,
            Phrase('"host:port" or "unix:PATH"', '"主机:端口" 或 "unix:路径"'),
            Phrase(
                "write where the SIP agent or the exchange listens, like 127.0.0.1:9092",
                "填写 SIP 代理或交换机的监听地址，如 127.0.0.1:9092",
            ),
        )


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
    site_class = draft.fields["site_class"]
    if phone is None:
        if draft.raw.get("phone") is None:
            report.add(
                "phone",
                ABSENT,
                Phrase(
                    f"two ways to the centre: a {site_class} site has network and telephone",
                    f"两路报警：{site_class} 类场所须同时具备网络与电话",
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
                f"a {site_class} site reports everything on both paths, always",
                f"{site_class} 类场所的全部信息须始终双路上报",
            ),
            "R102",
        )


def warn(config: PanelConfig, report: Report) -> None:
    """What may run but should not."""
    phone = config.phone
    if phone is None:
        return
    if len(set(phone.numbers)) != len(phone.numbers):
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
