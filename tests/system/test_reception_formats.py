"""Panels of every format at once on one `tocsin-receiver` process, as audio by the clock: each is
kissed off, and what is in the spool is what they said (R85).
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from collector.adapters.spool_reading import peek_entries
from hil.drivers.exchange_impairment import Dials, Impaired
from protocols.contact_id import family, pulse
from protocols.contact_id.message import Message, encode
from protocols.mqtt.reception import Report
from protocols.tones.elements import FskKind
from tests.support.format_panels import (
    SiaPanel,
    Speaking,
    TonePanel,
    dtmf,
    over_audiosocket,
    pulsed,
    sia,
)
from tests.support.receiver_process import ReceiverProcess
from tests.support.sample_clock import Samples

HANDSHAKES = ("dual", "2300", "1400", "bell103", "v21")
CONFIG = 'id = "rx-1"\n' + "".join(
    f'[[line]]\nname = "{name}"\nlisten = "127.0.0.1:{{port}}"\nprofile = "{name}"\n'
    f'[profile.{name}]\nhandshakes = ["{name}"]\n'
    for name in HANDSHAKES
).replace("{port}", "0")
LINE = Dials(gain_db=-10, snr_db=20, law="a", shift_hz=4)
CONTACT_ID = encode(Message("1234", "1", "130", "01", "015"))
LONG = encode(Message("0123456789", "3", "401", "02", "007", "98"))
HIGH_SPEED = family.encode(family.Format.HIGH_SPEED, "2001", "155555557")
EXPRESS = family.encode(family.Format.EXPRESS_4_2, "2002", "31")
SUPER_FAST = family.encode(family.Format.SUPER_FAST, "2003", "155555557")
ACCOUNT, ALARM, END = ("#", b"3001"), ("N", b"ri1/BA5"), ("0", b"")
V21 = FskKind.V21_ORIGINATE


class Impairing(Speaking):
    """Its voice passes a line."""

    def __init__(self, panel: TonePanel | SiaPanel, seed: int) -> None:
        super().__init__(panel)
        self._line = Impaired(LINE, np.random.default_rng(seed))

    def frame(self, heard: Samples) -> Samples:
        return self._line.frame(super().frame(heard))


def pulses(name: str, account: str, event: str, per_s: int, answers_hz: int) -> TonePanel:
    setting = next(one for one in pulse.FORMATS if one.name == name)
    hz = 1900 if answers_hz == 1400 else 1800
    sound = pulsed(pulse.encode(setting, account, event), hz, per_s)
    return TonePanel([sound], 3600, invites_hz=answers_hz, shortest_ms=300, kiss_hz=answers_hz)


def panels() -> list[tuple[str, TonePanel | SiaPanel, str]]:
    """(line, panel, what the spool must hold of it)."""
    one_by_one = [sia((each,)) for each in (ACCOUNT, ALARM, END)]
    return [
        ("dual", TonePanel([dtmf(CONTACT_ID)]), f"contact-id {CONTACT_ID}"),
        ("dual", TonePanel([dtmf(LONG)]), f"contact-id-10 {LONG}"),
        ("dual", TonePanel([dtmf(HIGH_SPEED)]), f"high-speed {HIGH_SPEED}"),
        ("dual", TonePanel([dtmf(EXPRESS)]), f"express-4-2 {EXPRESS}"),
        ("dual", TonePanel([dtmf(SUPER_FAST)]), f"super-fast {SUPER_FAST}"),
        ("1400", pulses("3+1", "123", "4", 20, 1400), "3+1 1234"),
        ("2300", pulses("4+1", "1234", "5", 40, 2300), "4+1 12345"),
        ("2300", pulses("4+2", "2121", "31", 20, 2300), "4+2 212131"),
        ("bell103", SiaPanel(one_by_one, 2000), "sia-dc03 Nri1/BA5"),
        (
            "v21",
            SiaPanel([sia((ACCOUNT, ALARM, END), V21, 110)], 2000, kind=V21, baud=110),
            "sia-dc03 #3001|Nri1/BA5",
        ),
    ]


@pytest.mark.system
def test_every_format_at_once(tmp_path: Path) -> None:
    receiver = ReceiverProcess(tmp_path, CONFIG).start()
    callers = panels()

    async def call() -> None:
        async with asyncio.TaskGroup() as group:
            for seed, (line, panel, _) in enumerate(callers):
                end = Impairing(panel, seed)
                port = receiver.ready["listeners"][line]
                group.create_task(over_audiosocket(end, port, f"1380000{seed:04d}"))

    try:
        asyncio.run(call())
    finally:
        code = receiver.stop()
    assert code == 0, receiver.errors()
    acknowledged = {told: panel.acknowledged for _, panel, told in callers}
    assert acknowledged == {told: len(panel.messages) for _, panel, told in callers}
    reports = [each.what for each in peek_entries(receiver.data, 0, 1000)]
    kept = {f"{each.format} {each.raw}" for each in reports if isinstance(each, Report)}
    assert kept == {told for _, _, told in callers}
