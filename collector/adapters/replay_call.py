"""A recorded call heard again: by the call machine as it is set now, and by plug-in decoders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from collector.adapters.phone_formats import GuardedFormat
from collector.reception.call import Call
from collector.reception.call_types import (
    Answered,
    Effect,
    HungUp,
    Refused,
    Reported,
    Store,
    Stored,
)
from collector.reception.formats import Format, Found
from collector.reception.profile import Profile
from protocols.instants import NS_PER_MS, Instant
from protocols.tones.bank import ToneBank
from protocols.tones.elements import FRAME_MS, FRAME_SAMPLES, Heard
from protocols.tones.listening import CENTRE

MOST_HEARD: Final = 10_000


@dataclass(frozen=True, slots=True)
class Replayed:
    """`reports` as the call machine would have stored them; `decoded` by plug-ins from the audio.

    `faults`: what plug-ins raised.
    """

    reports: tuple[Reported, ...]
    refused: tuple[Refused, ...]
    decoded: tuple[Found, ...]
    heard: str
    faults: tuple[str, ...]


def replay(
    samples: NDArray[np.int16],
    profile: Profile,
    formats: Sequence[Format],
    plugins: Sequence[GuardedFormat],
    pins: Mapping[str, str],
) -> Replayed:
    """Hear `samples` (8 kHz) from answer to end. Everything read is taken for stored."""
    call = Call(profile, formats, pins=pins)
    bank = ToneBank(1, CENTRE)
    effects: list[Effect] = []

    def carry(new: Sequence[Effect], now: Instant) -> None:
        for each in new:
            effects.append(each)
            if isinstance(each, Store):
                carry(call.receive(Stored(each.token), now), now)

    everything: list[Heard] = []
    carry(call.receive(Answered(), Instant(0)), Instant(0))
    padded = np.concatenate((samples, np.zeros(-len(samples) % FRAME_SAMPLES, np.int16)))
    now = Instant(0)
    for at in range(0, len(padded), FRAME_SAMPLES):
        now = Instant(now + FRAME_MS * NS_PER_MS)
        for _, heard in bank.feed(padded[None, at : at + FRAME_SAMPLES]):
            if len(everything) < MOST_HEARD:
                everything.append(heard)
            carry(call.receive(heard, now), now)
        carry(call.tick(now), now)
    text = call.heard
    carry(call.receive(HungUp("end of the recording"), now), now)
    decoded = [
        found
        for plugin in plugins
        if plugin.decodes
        for found in plugin.decode(samples, tuple(everything))
    ]
    return Replayed(
        tuple(one for each in effects if isinstance(each, Store) for one in each.reports),
        tuple(each for each in effects if isinstance(each, Refused)),
        tuple(decoded),
        text,
        tuple(f"{plugin.name}: {fault}" for plugin in plugins for fault in plugin.faults),
    )
