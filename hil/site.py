"""The demo's premises: a corner shop with simulated pins; keys and codes are made anew."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PANEL = "corner-shop"
CODE = "246813"

# (number, name, Chinese name, type, input, wiring, technology, detector, extra lines)
ZONES = (
    (1, "Front door", "前门", "entry_exit", "gpio:5", "nc", "contact", "door-1", ""),
    (2, "Hall detector", "大厅双鉴探测器", "follower", "gpio:6", "nc", "dual", "hall-1", ""),
    (3, "Back window", "后窗", "perimeter", "adc:0.0", "double_eol", "contact", "window-1", ""),
    (
        4,
        "Counter hold-up button",
        "柜台紧急按钮",
        "holdup_silent",
        "gpio:13",
        "no",
        "button",
        "",
        "",
    ),
    (5, "Stock room smoke", "库房烟感", "fire", "gpio:19", "no", "smoke", "smoke-1", ""),
    (6, "Kitchen gas", "厨房燃气", "gas", "gpio:20", "no", "gas", "gas-1", ""),
    (7, "Safe", "保险柜", "24h", "adc:0.1", "double_eol", "seismic", "safe-1", ""),
    (
        8,
        "Office detector",
        "办公室双鉴探测器",
        "interior",
        "adc:0.2",
        "triple_eol",
        "dual",
        "office-1",
        "",
    ),
)

OFFICE = "adc:0.2"
ON_BUS = 'loop = { input = "bus:main.5.1" }'
TAMPER_ZONE = """
[[zones]]
number = 9
name = "Office node's lid"
name_zh = "办公室节点防拆"
area = 1
type = "tamper"
loop = { input = "bus:main.5.tamper" }
technology = "contact"
"""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the panel finds its broker, and as whom."""

    host: str
    port: int
    server_name: str


def panel_toml(
    address: Address,
    identity: Path,
    salt: str,
    code_hash: str,
    *,
    data: Path,
    chronyc: Sequence[str],
    bus: str = "",
) -> str:
    """The shop's panel file. `identity` holds panel.crt, panel.key, ca.crt. `bus`: its tables; the
    office detector then hangs on its node, whose tamper switch is a zone.
    """
    ask_clock = ", ".join(f'"{word}"' for word in chronyc)
    head = f"""\
id = "{PANEL}"
name = "Corner shop, 12 Lantern Street"
name_zh = "灯笼街12号便利店"
site_class = "shop"
timezone = "Asia/Shanghai"
data_dir = "{data}"
code_salt = "{salt}"

[mqtt]
host = "{address.host}"
port = {address.port}
server_name = "{address.server_name}"
ca = "{identity / "ca.crt"}"
cert = "{identity / "panel.crt"}"
key = "{identity / "panel.key"}"
heartbeat_s = 2
ack_timeout_s = 1
reconnect_max_s = 2

[hardware]
driver = "sim"

[clock]
chronyc = [{ask_clock}]
poll_s = 5

[[areas]]
number = 1
name = "Shop"
name_zh = "店面"
final_door_s = 3

[[users]]
number = 1
name = "Chen Jing"
code_hash = "{code_hash}"
may_test = true

[[points]]
role = "enclosure"
loop = {{ input = "gpio:21", wiring = "nc" }}
[[points]]
role = "mains"
loop = {{ input = "gpio:22", wiring = "nc" }}
[[points]]
role = "battery_low"
loop = {{ input = "gpio:23", wiring = "nc" }}
[[points]]
role = "battery_missing"
loop = {{ input = "gpio:24", wiring = "nc" }}

[[outputs]]
role = "siren"
gpio = 16
[[outputs]]
role = "strobe"
gpio = 26
[[outputs]]
role = "armed:1"
gpio = 12
"""
    zones = [
        f"""
[[zones]]
number = {number}
name = "{name}"
name_zh = "{name_zh}"
area = 1
type = "{kind}"
loop = {{ input = "{where}", wiring = "{wiring}" }}
technology = "{technology}"
detector = "{detector}"
{extra}"""
        for number, name, name_zh, kind, where, wiring, technology, detector, extra in ZONES
    ]
    text = head + "".join(zones) + bus
    if bus:
        text = text.replace(f'loop = {{ input = "{OFFICE}", wiring = "triple_eol" }}', ON_BUS)
        text += TAMPER_ZONE
    return text
