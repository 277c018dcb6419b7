"""The panel as a process, on a simulated exchange with real audio, and a receiver that is not ours
at its far end: alarms without MQTT, listening-in, a cut line, the installer's test call. One panel
for all tests, which leave it at rest.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.adapters.config_file import load
from edge.adapters.local_socket import PhoneAsked, PhoneStatus, ask
from edge.adapters.pins_client import Pins
from edge.field.reading import ReadingState
from hil.drivers.exchange import Exchange
from hil.drivers.process import Program, wait_for
from protocols.contact_id.message import Message, decode
from protocols.panel_event import Code
from tests.support.phone_far_end import PhoneFarEnd

pytestmark = [pytest.mark.system, pytest.mark.slow]

NUMBER = "5550100"
SOUND = 3000
MICROPHONE = [
    sys.executable,
    "-c",
    (
        f"import os, struct; frame = struct.pack('<160h', *[{SOUND}] * 160); "
        "[os.write(1, frame) for _ in iter(int, 1)]"
    ),
]
TOML = """\
id = "phone-1"
name = "Phone"
data_dir = "data"

[hardware]
driver = "sim"

[clock]
chronyc = []

[[areas]]
number = 1
name = "Shop"

[[zones]]
number = 4
name = "Button"
area = 1
type = "holdup_silent"
loop = {{ input = "gpio:13", wiring = "no" }}

[[points]]
role = "phone_line"
loop = {{ input = "gpio:16", wiring = "nc" }}

[phone]
account = "1234"
numbers = ["5550100"]
redial_s = 1
wait_trouble_s = 1
listen_in_s = 120

[phone.line]
driver = "socket"
address = "127.0.0.1:{port}"
microphone = {microphone}

[mqtt]
host = "127.0.0.1"
port = 1
ca = "none.pem"
cert = "none.pem"
key = "none.pem"
"""


class Site:
    """Exchange, receiver and panel."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.data = root / "data"
        self.file = root / "panel.toml"
        self.far = PhoneFarEnd()
        self.far.start()
        self.exchange = Exchange()
        self.exchange.start()
        self.exchange.route(NUMBER, address=self.far.address, ring_ms=200)
        self.panel = Program(
            "panel",
            [sys.executable, "-m", "edge", "run", "--config", str(self.file), "--data",
             str(self.data), "--json"],
            root / "panel.log",
        )  # fmt: skip

    def write(self) -> None:
        (self.root / "none.pem").write_text("no certificate")
        (self.root / "none.pem").chmod(0o600)
        self.file.write_text(
            TOML.format(port=self.exchange.port, microphone=json.dumps(MICROPHONE))
        )

    def start(self) -> None:
        self.panel.start()
        self.panel.ready(30)
        self.pins = Pins.of(load(self.file), self.data)

    def edge(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "edge", *words, "--data", str(self.data)],
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip

    def status(self) -> PhoneStatus:
        told = ask(self.data / "panel.sock", PhoneAsked()).phone
        assert told is not None
        return told

    def at_rest(self) -> bool:
        """The line is there, no call runs, and nothing is owed."""
        now = self.status()
        return bool(now.line) and (now.step, now.owed) == ("idle", 0)

    def press(self, state: ReadingState) -> None:
        self.pins.set_zone(load(self.file), 4, state)

    def voltage(self, *, there: bool) -> None:
        """Move the monitor of the line's voltage."""
        state = ReadingState.NORMAL if there else ReadingState.ALARM
        self.pins.set_point(load(self.file), "phone_line", state)

    def codes(self) -> list[str]:
        told = [decode(block) for call in self.far.calls for block in call.blocks]
        return [message.code for message in told if isinstance(message, Message)]

    def news(self, code: str) -> int:
        """How many blocks of this code, new event, the receiver has."""
        told = [decode(block) for call in self.far.calls for block in call.blocks]
        return sum(1 for m in told if isinstance(m, Message) and (m.code, m.q) == (code, "1"))

    def stop(self) -> None:
        self.panel.stop()
        self.exchange.stop()
        self.far.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"))
    site.write()
    site.start()
    yield site
    site.stop()


def test_the_installers_test_call_tells_each_step_and_a_verdict(site: Site) -> None:
    made = site.edge("phone", "test-call", "--by", "liwei")
    assert made.returncode == 0, made.stdout + made.stderr
    told = [line.split(" s  ", 1)[-1] for line in made.stdout.splitlines()]
    wanted = ("off-hook", "dial tone", "number dialled", "handshake", "sending", "kissed off")
    order = [next(i for i, line in enumerate(told) if word in line) for word in wanted]
    assert order == sorted(order)
    assert "The phone path works" in made.stdout
    assert "601" in site.codes()
    assert "path phone: up" in site.edge("status").stdout


def test_a_busy_number_is_named_as_the_cause_in_both_languages(site: Site) -> None:
    site.exchange.route(NUMBER, "busy")
    made = site.edge("phone", "test-call")
    assert made.returncode == 1
    assert "busy" in made.stderr
    assert "back-up number" in made.stderr
    again = site.edge("phone", "test-call", "--lang", "zh")
    site.exchange.route(NUMBER, address=site.far.address, ring_ms=200)
    assert again.returncode == 1
    assert "占线" in again.stderr


def test_a_hold_up_goes_by_phone_when_mqtt_is_dead_and_the_centre_listens_in(site: Site) -> None:
    refused = site.edge("phone", "release")
    assert (refused.returncode, "Nobody listens in" in refused.stderr) == (1, True)
    site.press(ReadingState.ALARM)
    wait_for("the hold-up at the receiver", lambda: "122" in site.codes(), 30)
    wait_for("listening", lambda: site.status().listening, 30)
    assert "606" in site.codes()
    assert site.news("780") >= 1, "the mark goes before"
    wait_for("the premises to be heard", lambda: abs(site.far.calls[-1].peak - SOUND) < 200, 10)
    assert site.edge("phone", "release", "--by", "liwei").returncode == 0
    heard = site.news("122")
    site.panel.kill()
    site.start()
    wait_for("all told", site.at_rest, 60)
    assert site.news("122") == heard, "kissed off is kissed off, also after a kill"
    shown = site.edge("journal", "show", "--json", "--last", "100").stdout.splitlines()
    events = [json.loads(line)["record"]["event"] for line in shown]
    batches = [event for event in events if event["code"] == Code.PHONE_BATCH]
    assert batches
    assert all(batch["detail"].startswith("sent=") for batch in batches)


def test_a_line_its_monitor_calls_dead_is_a_fault_and_its_return_is_proved_by_a_call(
    site: Site,
) -> None:
    before = site.news("602")
    wait_for("all told", site.at_rest, 60)
    site.exchange.route(NUMBER, "busy")  # on a line that is cut no call proves the opposite
    site.voltage(there=False)
    wait_for("the path down", lambda: site.status().up is False, 30)
    assert site.status().line is False
    shown = site.edge("status").stdout
    assert "path phone: down (no_voltage)" in shown, shown
    site.exchange.route(NUMBER, address=site.far.address, ring_ms=200)
    site.voltage(there=True)
    wait_for("the path up", lambda: site.status().up, 60)
    wait_for("the test call", lambda: site.news("602") > before, 60)
