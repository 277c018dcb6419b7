"""Rules between the keys of a configuration that must hold before a panel may run."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

from edge.adapters.config_places import time_zone_known
from edge.adapters.config_problem import ABSENT, Phrase, Report
from edge.adapters.config_shape import Draft
from edge.adapters.converter_mcp3008 import CHIPS, SELECT_PINS, SPI_PINS
from edge.config import (
    Hardware,
    Loop,
    Schedule,
    Timers,
    Wiring,
    ZoneType,
)
from edge.field.eol import Overlap, windows

PULSE_MS: Final = 400
"""EN 50131: an activation this long is always seen."""
ENTRY_AND_ABORT_S: Final = 60
GPIO_LAST: Final = 27
NO_WAIT: Final = frozenset(
    {
        ZoneType.HOLDUP_SILENT,
        ZoneType.HOLDUP_AUDIBLE,
        ZoneType.FIRE,
        ZoneType.GAS,
        ZoneType.WATER,
        ZoneType.MEDICAL,
    }
)
_PINS: Final = (Wiring.NC, Wiring.NO)


def refuse(draft: Draft, report: Report) -> None:
    """Everything that must not run. Judges what could be read, beside the shape's own problems."""
    _numbers(draft, report)
    _areas(draft, report)
    _loops(draft, report)
    _pins(draft, report)
    _partners(draft, report)
    _codes(draft, report)
    _times(draft, report)
    zone_name = draft.fields.get("timezone")
    if zone_name is not None and not time_zone_known(zone_name):
        report.add(
            "timezone",
            zone_name,
            Phrase('a name like "Asia/Shanghai"', '如 "Asia/Shanghai" 的名称'),
            Phrase("see `timedatectl list-timezones`", "见 `timedatectl list-timezones`"),
        )


def _several(draft: Draft, name: str) -> list[tuple[int, Draft]]:
    found = draft.fields.get(name, [])
    return found if isinstance(found, list) else []


def _repeated(places: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any, str]]:
    """(key, value, first key) of every value that was there before."""
    first: dict[Any, str] = {}
    for key, value in places:
        if value in first:
            yield key, value, first[value]
        else:
            first[value] = key


def _numbers(draft: Draft, report: Report) -> None:
    for name, field in (("areas", "number"), ("zones", "number"), ("users", "number"),
                        ("points", "role")):  # fmt: skip
        places = [
            (f"{name}[{index}].{field}", item.fields[field])
            for index, item in _several(draft, name)
            if field in item.fields
        ]
        for key, value, first in _repeated(places):
            report.add(
                key,
                value,
                Phrase(f"a {field} of its own", "不重复的值"),
                Phrase(f"it is taken by {first}; change one", f"已被 {first} 使用，请改其一"),
            )


def _areas(draft: Draft, report: Report) -> None:
    known = {
        number
        for _, area in _several(draft, "areas")
        if isinstance(number := area.raw.get("number", None), int)
    }
    if not known:
        return
    listed = ", ".join(str(number) for number in sorted(known))
    expected = Phrase(f"an area of this panel: {listed}", f"本主机的防区组：{listed}")
    mend = Phrase("correct it, or add that area", "改正，或增加该防区组")
    for index, zone in _several(draft, "zones"):
        area = zone.fields.get("area")
        if area is not None and area not in known:
            report.add(f"zones[{index}].area", area, expected, mend)
    for index, user in _several(draft, "users"):
        for place, area in enumerate(user.fields.get("areas", ())):
            if area not in known:
                report.add(f"users[{index}].areas[{place}]", area, expected, mend)
    for index, output in _several(draft, "outputs"):
        role = output.fields.get("role", "")
        if role.startswith("armed:") and int(role.removeprefix("armed:")) not in known:
            report.add(f"outputs[{index}].role", role, expected, mend)


def _wired(draft: Draft) -> Iterator[tuple[str, Draft]]:
    for name in ("zones", "points"):
        for index, item in _several(draft, name):
            for field in ("loop", "pair"):
                loop = item.fields.get(field)
                if isinstance(loop, Draft):
                    yield f"{name}[{index}].{field}", loop


def _loops(draft: Draft, report: Report) -> None:
    hardware = draft.fields.get("hardware")
    board: Hardware | None = hardware.whole if isinstance(hardware, Draft) else None
    apart = True
    for key, found in _wired(draft):
        loop: Loop | None = found.whole
        if loop is None or loop.input.startswith("bus:"):
            continue
        on_pin = loop.input.startswith("gpio:")
        if on_pin != (loop.wiring in _PINS):
            report.add(
                f"{key}.wiring",
                loop.wiring.value,
                Phrase("nc or no", "nc 或 no")
                if on_pin
                else Phrase(
                    "single_eol, double_eol or triple_eol", "single_eol、double_eol 或 triple_eol"
                ),
                Phrase(
                    f"{loop.input} is a pin and reads no resistors: wire the loop to a converter "
                    "input, or leave the resistors out",
                    f"{loop.input} 是引脚，不能测电阻：请接到模数转换输入，或不用电阻",
                )
                if on_pin
                else Phrase(
                    "a converter input watches end-of-line resistors: fit them, or use a pin",
                    "模数转换输入需接线尾电阻：请加装电阻，或改用引脚",
                ),
            )
        elif board is not None and not on_pin:
            table = windows(loop.wiring, board)
            if isinstance(table, Overlap) and apart:
                apart = False  # one remedy serves all loops
                report.add(
                    "hardware.eol_ohm",
                    board.eol_ohm,
                    Phrase(
                        f"resistors that tell {table.lower.value} from {table.upper.value} at ±5 % "
                        f"({key}: {loop.wiring.value}, pullup_ohm {board.pullup_ohm})",
                        f"在 ±5 % 误差下能区分 {table.lower.value} 与 {table.upper.value} 的电阻"
                        f"（{key}：{loop.wiring.value}，pullup_ohm {board.pullup_ohm}）",
                    ),
                    Phrase(
                        "choose eol_ohm near pullup_ohm, 1000 to 10000",
                        "eol_ohm 宜与 pullup_ohm 相近，1000 至 10000",
                    ),
                    "I4",
                )
        _pulse(key, loop, board, on_pin=on_pin, report=report)


def _pulse(key: str, loop: Loop, board: Hardware | None, *, on_pin: bool, report: Report) -> None:
    sampled_ms = 0 if on_pin or board is None else 2 * board.adc_sample_ms
    limit_ms = PULSE_MS - sampled_ms
    if loop.min_pulse_ms > limit_ms:
        report.add(
            f"{key}.min_pulse_ms",
            loop.min_pulse_ms,
            Phrase(f"at most {limit_ms}", f"不超过 {limit_ms}"),
            Phrase(
                "an activation of 400 ms must always be seen"
                + (f"; sampling takes {sampled_ms} ms of it" if sampled_ms else "")
                + ": lower it",
                "400 ms 的动作必须识别"
                + (f"，采样占去其中 {sampled_ms} ms" if sampled_ms else "")
                + "：请减小",
            ),
            "EN 50131",
        )
    if loop.debounce_ms > min(loop.min_pulse_ms, limit_ms):
        report.add(
            f"{key}.debounce_ms",
            loop.debounce_ms,
            Phrase(
                f"at most min_pulse_ms ({loop.min_pulse_ms})",
                f"不超过 min_pulse_ms（{loop.min_pulse_ms}）",
            ),
            Phrase("20 to 50 suits most contacts", "多数触点用 20 至 50 即可"),
        )


def _pins(draft: Draft, report: Report) -> None:
    places: list[tuple[str, str]] = []
    for key, loop in _wired(draft):
        name = loop.fields.get("input")
        if name is None:
            continue
        places.append((f"{key}.input", name))
        kind, _, which = name.partition(":")
        if kind == "gpio" and (int(which) > GPIO_LAST or which != str(int(which))):
            report.add(
                f"{key}.input",
                name,
                Phrase("gpio:0 to gpio:27 (BCM numbers)", "gpio:0 至 gpio:27（BCM 编号）"),
                Phrase("look the pin up with `pinout`", "用 `pinout` 命令查引脚"),
            )
        if kind == "adc" and int(which[0]) >= CHIPS:
            report.add(
                f"{key}.input",
                name,
                Phrase("adc:0.x or adc:1.x", "adc:0.x 或 adc:1.x"),
                Phrase("the board has two chip selects", "本板只有两个片选"),
            )
    inputs = list(places)
    places += [
        (f"outputs[{index}].gpio", f"gpio:{output.fields['gpio']}")
        for index, output in _several(draft, "outputs")
        if "gpio" in output.fields
    ]
    for key, value, first in _repeated(places):
        report.add(
            key,
            value,
            Phrase("an input or pin of its own", "独占的输入或引脚"),
            Phrase(f"it is taken by {first}; move one", f"已被 {first} 占用，请移动其一"),
        )
    _converter_pins(inputs, places, report)


def _converter_pins(
    inputs: list[tuple[str, str]], places: list[tuple[str, str]], report: Report
) -> None:
    chips = {int(name[4]) for _, name in inputs if name.startswith("adc:")}
    taken: set[int] = set(SPI_PINS) if chips else set()
    taken |= {SELECT_PINS[chip] for chip in chips if chip < CHIPS}
    for key, name in places:
        kind, _, which = name.partition(":")
        if kind == "gpio" and int(which) in taken:
            report.add(
                key,
                name,
                Phrase("a pin the converter does not use", "模数转换器未占用的引脚"),
                Phrase(
                    "GPIO 9, 10, 11 and 8 (chip 0) or 7 (chip 1) are its SPI bus; move this wire",
                    "GPIO 9、10、11 及 8（片 0）或 7（片 1）是其 SPI 总线，请改接",
                ),
            )


def _partners(draft: Draft, report: Report) -> None:
    numbers = {
        number
        for _, zone in _several(draft, "zones")
        if isinstance(number := zone.raw.get("number", None), int)
    }
    for index, zone in _several(draft, "zones"):
        own = zone.fields.get("number")
        for field in ("cross_zone", "overlaps"):
            for place, partner in enumerate(zone.fields.get(field, ())):
                if partner == own or partner not in numbers:
                    report.add(
                        f"zones[{index}].{field}[{place}]",
                        partner,
                        Phrase("the number of another zone", "另一防区的编号"),
                        Phrase("correct or remove it", "改正或删除"),
                        "CP-01" if field == "cross_zone" else "BS 8243",
                    )
        kind = zone.fields.get("type")
        if kind in NO_WAIT and zone.fields.get("cross_zone"):
            report.add(
                f"zones[{index}].cross_zone",
                list(zone.fields["cross_zone"]),
                Phrase(
                    f"nothing: a {kind.value} zone never waits", f"空：{kind.value} 防区不得等待"
                ),
                Phrase("remove cross_zone", "删除 cross_zone"),
                "R44",
            )


def _codes(draft: Draft, report: Report) -> None:
    users = _several(draft, "users")
    if users and set(draft.fields.get("code_salt", "1")) == {"0"}:
        absent = "code_salt" not in draft.raw
        report.add(
            "code_salt",
            ABSENT if absent else draft.fields["code_salt"],
            Phrase("a salt of its own, as there are users", "有用户时须设独有的盐值"),
            Phrase(
                "run `openssl rand -hex 16` once for this panel, then hash the codes anew",
                "为本主机运行一次 `openssl rand -hex 16`，再重新生成密码散列",
            ),
        )
    places = [
        (f"users[{index}].{field}", user.fields[field])
        for index, user in users
        for field in ("code_hash", "duress_hash", "card_hash")
        if user.fields.get(field) is not None
    ]
    for key, value, first in _repeated(places):
        report.add(
            key,
            value,
            Phrase("a code nobody else has", "无人重复的密码"),
            Phrase(f"it is the same code as {first}; give another", f"与 {first} 相同，请另设"),
        )


def _times(draft: Draft, report: Report) -> None:
    held = draft.fields.get("timers")
    timers: Timers | None = held.whole if isinstance(held, Draft) else None
    for index, area in _several(draft, "areas"):
        entry_s = area.fields.get("entry_delay_s")
        if timers is not None and entry_s is not None:
            left_s = ENTRY_AND_ABORT_S - timers.abort_window_s
            if entry_s > left_s:
                report.add(
                    f"areas[{index}].entry_delay_s",
                    entry_s,
                    Phrase(
                        f"at most {left_s:g}: with timers.abort_window_s "
                        f"({timers.abort_window_s:g}) together 60 s",
                        f"不超过 {left_s:g}：与 timers.abort_window_s"
                        f"（{timers.abort_window_s:g}）合计 60 秒",
                    ),
                    Phrase("shorten one of the two", "缩短其中之一"),
                    "CP-01",
                )
        _schedules(f"areas[{index}].schedules", _several(area, "schedules"), report)


def _schedules(key: str, found: list[tuple[int, Draft]], report: Report) -> None:
    days: dict[int, list[tuple[int, Schedule]]] = defaultdict(list)
    for index, draft in found:
        plan: Schedule | None = draft.whole
        if plan is None:
            continue
        if not plan.days or len(set(plan.days)) != len(plan.days):
            report.add(
                f"{key}[{index}].days",
                list(plan.days),
                Phrase("each day once, 1 = Monday to 7 = Sunday", "每天一次，1=周一至 7=周日"),
                Phrase("list the days of this schedule", "列出本计划的各天"),
                "R27",
            )
        if plan.open_at == plan.close_at:
            report.add(
                f"{key}[{index}].close_at",
                plan.close_at,
                Phrase("another time than open_at", "与 open_at 不同的时间"),
                Phrase(
                    "a closing before the opening is on the next day", "早于开门的关门时间算次日"
                ),
                "R27",
            )
        for day in sorted(set(plan.days)):
            for earlier, other in days[day]:
                if plan.open_at < _until(other) and other.open_at < _until(plan):
                    report.add(
                        f"{key}[{index}].open_at",
                        plan.open_at,
                        Phrase(
                            f"times outside {key}[{earlier}] on day {day}",
                            f"第 {day} 天不与 {key}[{earlier}] 重叠的时间",
                        ),
                        Phrase(
                            "one opening and closing may not lie in another", "两段营业时间不得重叠"
                        ),
                        "R27",
                    )
            days[day].append((index, plan))


def _until(plan: Schedule) -> str:
    return plan.close_at if plan.close_at > plan.open_at else "24:00"
