"""What is wrong in a receiver's file beyond its types: where, what is expected, how to mend."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from collector.adapters.receiver_config import (
    AccountConfig,
    HardwareConfig,
    LineConfig,
    ProfileConfig,
    address,
)
from collector.reception.format_names import FORMATS
from collector.reception.formats_pulse import NAMES as PULSE_NAMES
from collector.reception.profile import HANDSHAKES
from protocols.mqtt.reception import SPOOL_LINE
from protocols.mqtt.topics import PANEL_ID
from protocols.toml_file.problem import ABSENT, Phrase, Report
from protocols.toml_file.shape import Draft, Words

_DIGITS: Final = frozenset("0123456789BCDEF")
_ADDRESS: Final = Phrase('host:port, such as "127.0.0.1:9092"', '主机:端口，如 "127.0.0.1:9092"')
_WRITE: Final = Phrase("write it so", "按此格式填写")
WORDS: Final = Words(
    {
        "^AT[ -~]*$": Phrase('an AT command, such as "AT+GCI=26"', 'AT 命令，如 "AT+GCI=26"'),
        "^[78][NEO][12]$": Phrase(
            'data bits, parity, stop bits, such as "8N1" or "7E1"',
            '数据位、校验、停止位，如 "8N1" 或 "7E1"',
        ),
        "^[!-~]$": Phrase("one printable character", "一个可打印字符"),
        "^[!-~]+$": Phrase("printable characters", "可打印字符"),
    },
    {
        "id": Phrase(
            "the id given to `tocsin-collector receiver add`",
            "`tocsin-collector receiver add` 时所用的编号",
        ),
        "device": Phrase(
            "names that last: ls -l /dev/serial/by-id/", "固定名称：ls -l /dev/serial/by-id/"
        ),
    },
)


@dataclass(frozen=True, slots=True)
class Known:
    """Names that may stand in the file; None: not known here, so not checked."""

    formats: frozenset[str] | None = None
    handshakes: frozenset[str] | None = None
    dialects: frozenset[str] | None = None


def refuse(draft: Draft, report: Report, known: Known) -> None:
    """Everything wrong that no type tells."""
    own = draft.fields.get("id")
    if isinstance(own, str) and not PANEL_ID.fullmatch(own):
        report.add(
            "id",
            own,
            Phrase(
                "1 to 32 small letters, digits and inner hyphens",
                "1 至 32 个小写字母、数字或中间的连字符",
            ),
            WORDS.mends["id"],
        )
    _twice(draft, report)
    for key, line in _each(draft, "line"):
        _line(key, line, report)
    for key, port in _each(draft, "hardware"):
        _hardware(key, port, known, report)
    profiles = {str(name) for name, _ in draft.fields.get("profile", [])}
    for table in ("line", "modem"):
        for key, one in _each(draft, table):
            if one.profile != "default" and one.profile not in profiles:
                report.add(
                    f"{key}.profile",
                    one.profile,
                    Phrase(
                        "the name of a [profile.<name>] of this file",
                        "本文件中某个 [profile.<名称>]",
                    ),
                    Phrase(
                        f"add [profile.{one.profile}], or leave `profile` out",
                        f"补写 [profile.{one.profile}]，或删去 `profile`",
                    ),
                )
    for key, profile in _each(draft, "profile"):
        _profile(key, profile, known, report)
    for key, account in _each(draft, "account"):
        _account(key, account, known, report)


def _each(draft: Draft, table: str) -> Iterator[tuple[str, Any]]:
    """(key, table) of those that are whole."""
    for place, one in draft.fields.get(table, []):
        key = f"{table}[{place}]" if isinstance(place, int) else f"{table}.{place}"
        if one.whole is not None:
            yield key, one.whole


def _twice(draft: Draft, report: Report) -> None:
    """Names, devices and addresses that only one table may have."""
    names: set[str] = {SPOOL_LINE}
    places: set[str] = set()
    for table in ("line", "modem", "hardware"):
        for key, one in _each(draft, table):
            if one.name in names:
                report.add(
                    f"{key}.name",
                    one.name,
                    Phrase(
                        f"a name that no other table has, and not {SPOOL_LINE!r}",
                        f"与其他表不同的名称，且不能是 {SPOOL_LINE!r}",
                    ),
                    Phrase("give each line a name of its own", "为每条线路各取一个名称"),
                )
            names.add(one.name)
            for field in ("device", "listen"):
                place = getattr(one, field, "")
                if place in places:
                    report.add(
                        f"{key}.{field}",
                        place,
                        Phrase("a place that no other table uses", "其他表未使用的端口"),
                        Phrase(
                            "one program can have it once: take one of the tables out",
                            "一个端口只能使用一次：请去掉其中一个表",
                        ),
                    )
                if place and not place.endswith(":0"):
                    places.add(place)


def _line(key: str, line: LineConfig, report: Report) -> None:
    if address(line.listen) is None:
        report.add(f"{key}.listen", line.listen, _ADDRESS, _WRITE)
    _networks(key, line.allow, report)


def _networks(key: str, allow: tuple[str, ...], report: Report) -> None:
    for each in allow:
        try:
            ipaddress.ip_network(each.strip())
        except ValueError as error:
            report.add(
                f"{key}.allow",
                each,
                Phrase(
                    "addresses and networks, such as 192.168.7.20 or 192.168.7.0/24",
                    "地址或网段，如 192.168.7.20 或 192.168.7.0/24",
                ),
                Phrase(f"{error}", f"{error}"),
            )


def _hardware(key: str, port: HardwareConfig, known: Known, report: Report) -> None:
    if known.dialects is not None and port.dialect not in known.dialects:
        report.add(f"{key}.dialect", port.dialect, _one_of(known.dialects), _WRITE)
    ways = [each for each in (port.device, port.connect, port.listen) if each]
    if len(ways) != 1:
        report.add(
            key,
            {"device": port.device, "connect": port.connect, "listen": port.listen},
            Phrase("one of device, connect, listen", "device、connect、listen 三者之一"),
            Phrase(
                "`device` for a serial port, `connect` where the receiver listens, `listen` where"
                " it calls us",
                "串口用 `device`；接收机监听时用 `connect`；接收机主动连接时用 `listen`",
            ),
        )
    elif not port.device and address(ways[0]) is None:
        report.add(f"{key}.{'connect' if port.connect else 'listen'}", ways[0], _ADDRESS, _WRITE)
    _networks(key, port.allow, report)
    place = address(port.listen)
    if place is not None and not port.allow and not _is_here(place[0]):
        report.add(
            f"{key}.allow",
            ABSENT,
            Phrase(
                "the receiver's address: these formats know no password, whoever reaches this port"
                " could tell and hide alarms",
                "接收机的地址：这些格式没有密码，任何能连接此端口的人都可伪造或隐瞒报警",
            ),
            Phrase('such as allow = ["192.168.7.20"]', '如 allow = ["192.168.7.20"]'),
        )


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _profile(key: str, profile: ProfileConfig, known: Known, report: Report) -> None:
    shakes = known.handshakes
    for each in profile.handshakes or ():
        if shakes is not None and each not in shakes:
            report.add(f"{key}.handshakes", each, _one_of(shakes), _plug_in())
    if profile.handshakes is not None and not profile.handshakes:
        report.add(
            f"{key}.handshakes",
            [],
            Phrase("at least one handshake", "至少一种握手音"),
            Phrase(f"name some of: {', '.join(HANDSHAKES)}", f"可选：{', '.join(HANDSHAKES)}"),
        )
    for each in profile.pulse or ():
        if each not in PULSE_NAMES:
            report.add(f"{key}.pulse", each, _one_of(PULSE_NAMES), _WRITE)


def _account(key: str, account: AccountConfig, known: Known, report: Report) -> None:
    name = key.partition(".")[2]
    if not name or set(name.upper()) - _DIGITS:
        report.add(
            key,
            name,
            Phrase(
                "an account as on the line: digits 0-9, letters B-F",
                "线路上的帐号：数字 0-9、字母 B-F",
            ),
            _WRITE,
        )
    if account.format and known.formats is not None and account.format not in known.formats:
        report.add(
            f"{key}.format",
            account.format,
            _one_of(known.formats),
            Phrase(
                "leave it out to take any; a format that nobody reads would never be kissed off",
                "删去则接受任意格式；无人能识别的格式永远不会得到应答",
            ),
        )
    for digits in account.events:
        if not 1 <= len(digits) <= 2 or set(digits.upper()) - _DIGITS:
            report.add(
                f"{key}.events",
                digits,
                Phrase("one or two event digits, 0-9 and B-F", "一或两位事件码：0-9、B-F"),
                _WRITE,
            )
    for channel in account.channels:
        if channel not in set("123456789"):
            report.add(
                f"{key}.channels", channel, Phrase("a channel from 1 to 9", "1 至 9 的通道"), _WRITE
            )


def _one_of(names: Any) -> Phrase:
    ours = [each for each in (*FORMATS, *HANDSHAKES) if each in names]
    told = ", ".join(ours + sorted(set(names) - set(ours)))
    return Phrase(f"one of: {told}", f"下列之一：{told}")


def _plug_in() -> Phrase:
    return Phrase(
        "write such a name, or install the plug-in that brings it (`plugins = true`)",
        "改写为这样的名称，或安装提供它的插件（`plugins = true`）",
    )
