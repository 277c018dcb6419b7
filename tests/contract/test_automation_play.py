"""The receiver a person can play: its commands, and a whole link to our ports by each way."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from collector.adapters.automation_hosting import HardwareReceivers
from collector.adapters.automation_play import CommandError, frames
from collector.adapters.receiver_config import HardwareConfig
from collector.adapters.spool_frames import Frame
from collector.adapters.spool_sqlite import What
from protocols.automation.encoding import Ademco685Encoder, SurGardEncoder
from protocols.automation.reports import Accounts
from protocols.instants import UtcTime
from protocols.mqtt.reception import Report
from tests.support.collector_rig import until

PLAY = (sys.executable, "-m", "collector.adapters.automation_play")


def now() -> UtcTime:
    return UtcTime(time.time_ns() // 1000)


@pytest.mark.parametrize("way", ["--connect", "--listen", "--link"])
def test_a_played_receiver_reports_to_ours_and_ends_when_all_is_acknowledged(
    way: str, tmp_path: Path
) -> None:
    kept: list[What] = []

    def keep(
        items: Sequence[tuple[UtcTime, str, What]], done: object, *, frame: Frame | None = None
    ) -> None:
        kept.extend(what for _, _, what in items)
        assert callable(done)
        done("")

    link = tmp_path / "mlr2"
    words = ["--dialect", "sur-gard-5", "--ack-s", "0.5", "--beat-s", "0.5"]
    hosts: HardwareReceivers | None = None

    def host(config: HardwareConfig) -> HardwareReceivers:
        one = HardwareReceivers([config], Accounts(), keep, lambda *_: None, now)
        one.start()
        return one

    if way == "--connect":
        hosts = host(HardwareConfig("x", "sur-gard-5", listen="127.0.0.1:0"))
        words += [way, f"127.0.0.1:{hosts.listening()[0]}"]
    else:
        words += [way, "127.0.0.1:0" if way == "--listen" else str(link)]
    if way == "--link":
        words += ["--seven-bits"]
    pipe = subprocess.PIPE
    with subprocess.Popen([*PLAY, *words], stdin=pipe, stdout=pipe, text=True) as player:
        assert player.stdin is not None
        assert player.stdout is not None
        ready = json.loads(player.stdout.readline())
        if way == "--listen":
            there = f"127.0.0.1:{ready['port']}"
            hosts = host(HardwareConfig("x", "sur-gard-5", connect=there))
        elif way == "--link":
            hosts = host(HardwareConfig("x", "sur-gard-5", device=str(link), mode="7E1"))
        assert hosts is not None
        until(lambda: hosts.states()["x"] == "up")
        commands = ["lose 1", "cid 1234 1 130 01 007", "burst 3 4321", "sia 1234 Nri1/FA5", "what?"]
        player.stdin.write("\n".join(commands) + "\n")
        player.stdin.flush()
        until(lambda: len(kept) >= 5)
        player.stdin.write("status\nquit\n")
        player.stdin.flush()
        told = [json.loads(line) for line in player.stdout]
        assert player.wait(10) == 0
    hosts.stop()
    assert "no such command" in told[4]["error"]
    assert told[-1]["did"] == "status"
    zones = [one.event.zone for one in kept if isinstance(one, Report)]
    assert [zone for at, zone in enumerate(zones) if zone not in zones[:at]] == [7, 1, 2, 3, 5]


def test_commands_given_on_the_command_line_have_an_exit_status() -> None:
    words = ["--listen", "127.0.0.1:0", "--within", "0.1", "--do"]
    unheard = subprocess.run([*PLAY, *words, "burst 2 1234"], capture_output=True, text=True)
    assert unheard.returncode == 1
    assert json.loads(unheard.stdout.splitlines()[-1])["waiting"] == 2
    wrong = subprocess.run([*PLAY, *words, "cid 12"], capture_output=True, text=True)
    assert wrong.returncode == 2


def test_frames_are_sent_as_written_and_what_cannot_be_sent_says_why() -> None:
    (raw,) = frames(SurGardEncoder(), "raw", r"0011[#0000|NLT01]\x14")
    assert raw(1) == b"0011[#0000|NLT01]\x14"
    (cid,) = frames(Ademco685Encoder(), "cid", "1234 3 130 01 005")
    assert cid(1) == b"\n11 1234 18 R130 01 C005 \r"
    (channels,) = frames(SurGardEncoder(), "channels", "1234 15355555 7")
    assert channels(1) == b"80111234 1535 5555 7\x14"
    (pulse,) = frames(SurGardEncoder(), "pulse", "1234 31")
    assert pulse(1) == b"1011      1234 3   1\x14"
    for word, rest in (
        ("sia", "1234 Nri1/BA5"),
        ("raw", r"\x1"),
        ("raw", "警"),
        ("cid", "1234 5 130 01 005"),
        ("pulse", "12 3"),
        ("burst", "many 1234"),
    ):
        with pytest.raises(CommandError):
            frames(Ademco685Encoder(), word, rest)
