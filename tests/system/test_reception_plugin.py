"""A call that nothing is made of is recorded; a plug-in from outside reads the recording (D10)."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from protocols.tones.elements import Silence, Tone
from tests.support.audio_panel import AudioPanel
from tests.support.receiver_process import ReceiverProcess

CONFIG = """
id = "rx-1"
[[line]]
name = "trunk"
listen = "127.0.0.1:{port}"
"""
PLUGIN = """
import numpy as np
from collector.reception.formats import Event, Found
from protocols.panel_event import PanelEvent

class Whistle:
    name = "whistle"
    def decode(self, samples, heard):
        spectrum = np.abs(np.fft.rfft(samples.astype(float)))
        hz = np.fft.rfftfreq(len(samples), 1 / 8000)[int(spectrum.argmax())]
        if abs(hz - 600) > 5:
            return []
        return [Found("whistle", "0042", f"{hz:.0f} Hz", (Event(PanelEvent(130)),))]

class Broken:
    name = "broken"
    def read(self, block):
        raise RuntimeError("not today")
"""


def install_plugin(folder: Path) -> dict[str, str]:
    """A distribution as pip would leave it; the environment that finds it."""
    (folder / "whistle_format.py").write_text(PLUGIN)
    info = folder / "whistle_format-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: whistle-format\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[tocsin.phone_formats]\nwhistle = whistle_format:Whistle\nbroken = whistle_format:Broken\n"
    )
    return {"PYTHONPATH": f"{folder}:{Path(__file__).parents[2]}"}


@pytest.mark.system
def test_recorded_then_read_by_a_plug_in(tmp_path: Path) -> None:
    receiver = ReceiverProcess(tmp_path / "rx", CONFIG).start()
    try:
        panel = AudioPanel("127.0.0.1", receiver.port, caller="13912345678", tries=1)
        asyncio.run(panel.call([(Tone(600, 1500), Silence(100))]))
        assert panel.acknowledged == []
        end = time.monotonic() + 15
        while not (calls := receiver.ask_json("calls", "list", "--unrecognised")):
            assert time.monotonic() < end, receiver.errors()
        assert receiver.ask("status").returncode == 0
    finally:
        code = receiver.stop()
    assert code == 0, receiver.errors()
    (call,) = calls
    assert call["caller"] == "13912345678"
    assert call["tried"][0] == "dual"
    (entry,) = receiver.ask_json("spool", "show")
    assert entry["what"]["is"] == "unrecognised"
    assert (receiver.data / "recordings" / entry["what"]["audio"]).stat().st_size > 16_000

    assert receiver.ask("status").returncode == 3, "the same commands work while nothing runs"
    before = receiver.ask("calls", "replay", call["call"])
    assert before.returncode == 1
    folder = tmp_path / "site"
    folder.mkdir()
    receiver._environment = install_plugin(folder)
    (after,) = receiver.ask_json("calls", "replay", call["call"][:10])
    (found,) = after["found"]
    assert (found["by"], found["format"], found["account"]) == ("plug-in", "whistle", "0042")
