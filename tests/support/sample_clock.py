"""Both ends of a call by sample clock: real machines, real audio, no waiting.

An `End` takes 20 ms of audio and gives 20 ms; `talk` joins two of them by a SimulatedLine. Time is
the number of samples, so a call of a minute takes as long as its arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from collector.adapters.reception_call import CallRecord, LineCall
from collector.reception.call import Call as Reception
from collector.reception.call_types import Learned, Reported, Unrecognised
from collector.reception.formats_dtmf import DtmfFamily
from collector.reception.formats_fsk import SiaLevel
from collector.reception.formats_pulse import PulseFamily
from collector.reception.profile import Profile
from edge.adapters.line_audio import LineAudio
from edge.reporting.phone.call import Call
from edge.reporting.phone.call_types import (
    Block,
    CallEffect,
    CallTimes,
    Ended,
    Kissed,
    Order,
    Ready,
    Sending,
)
from edge.reporting.phone.line import (
    Connected,
    Dial,
    Dialled,
    Dropped,
    LineInput,
    Play,
    Played,
    Release,
    Released,
    Seize,
    Seized,
)
from hil.drivers.exchange_impairment import SimulatedLine
from protocols.instants import NS_PER_MS, Instant, UtcTime
from protocols.tones.ear import Ear
from protocols.tones.elements import FRAME_MS, FRAME_SAMPLES, Progress, ProgressHeard
from protocols.tones.listening import CENTRE

Samples = NDArray[np.int16]
SILENCE = np.zeros(FRAME_SAMPLES, np.int16)


class End(Protocol):
    """One side of a call."""

    def frame(self, heard: Samples) -> Samples:
        """20 ms."""
        ...

    @property
    def over(self) -> bool:
        """It has hung up."""
        ...

    def hung_up(self) -> None:
        """The other side has."""
        ...


def talk(one: End, other: End, line: SimulatedLine, most_s: float = 120.0) -> float:
    """One call from answer to hang-up; how long it was, in seconds. The far end hears of a
    hang-up at once. Fails when it lasts longer than `most_s`.
    """
    from_one, from_other = SILENCE, SILENCE
    begun = line.frames
    while not (one.over or other.over):
        to_one, to_other = line.step(from_one, from_other)
        from_one, from_other = one.frame(to_one), other.frame(to_other)
        assert (line.frames - begun) * FRAME_MS < most_s * 1000, "the call does not end"
    one.hung_up()
    other.hung_up()
    return (line.frames - begun) * FRAME_MS / 1000


class PanelEnd:
    """Our call machine on a line whose answer is signalled. `blocks` go out in order, and leave
    the list when kissed off.
    """

    def __init__(self, blocks: list[str], times: CallTimes | None = None) -> None:
        self.blocks = blocks
        self.kissed: list[tuple[str, int]] = []
        """(digits, tries it took in this call)."""
        self.sent: list[str] = []
        """Blocks that began to go out in this call."""
        self.ended: Ended | None = None
        self._tries = 0
        self._ms = 0
        self._audio = LineAudio()
        self._audio.begin()
        self._call = Call(times or CallTimes())
        self._do(self._call.start("100", self._now))

    @property
    def over(self) -> bool:
        return self.ended is not None

    @property
    def _now(self) -> Instant:
        return Instant(self._ms * NS_PER_MS)

    def frame(self, heard: Samples) -> Samples:
        self._ms += FRAME_MS
        for each in self._audio.hear(heard):
            self._tell(each)
        due = self._call.deadline()
        if due is not None and due <= self._now:
            self._do(self._call.tick(self._now))
        pcm, ended = self._audio.read(FRAME_SAMPLES)
        if ended:
            self._tell(Played())
        return pcm

    def hung_up(self) -> None:
        self._tell(Dropped())

    def _tell(self, given: LineInput) -> None:
        self._do(self._call.receive(given, self._now))

    def _do(self, effects: Sequence[CallEffect]) -> None:
        for effect in effects:
            match effect:
                case Order(Seize()):
                    self._tell(Seized())
                    self._tell(ProgressHeard(Progress.DIAL_TONE, self._ms))
                case Order(Dial()):
                    self._audio.dialled()
                    self._tell(Dialled())
                    self._tell(Connected())
                case Order(Play(what)):
                    self._audio.play(what)
                case Order(Release()):
                    self._audio.silence()
                    self._tell(Released())
                case Ready():
                    self._next()
                case Sending(block, tries):
                    self._tries = tries
                    if tries == 1:
                        self.sent.append(block.digits)
                case Kissed(block):
                    self.kissed.append((block.digits, self._tries))
                    assert self.blocks.pop(0) == block.digits
                case Ended():
                    self.ended = effect
                case _:
                    pass

    def _next(self) -> None:
        if self.blocks:
            self._do(self._call.send(Block(len(self.kissed), self.blocks[0]), self._now))
        else:
            self._do(self._call.hang_up(self._now))


@dataclass
class Kept:
    """A Keeper that remembers, and refuses to store where it is told to."""

    reports: list[Reported] = field(default_factory=list)
    unrecognised: list[Unrecognised] = field(default_factory=list)
    records: list[CallRecord] = field(default_factory=list)
    refuses: Callable[[], str] = lambda: ""

    def store(
        self, record: CallRecord, reports: Sequence[Reported], done: Callable[[str], None]
    ) -> None:
        why = self.refuses()
        if not why:
            self.reports += reports
        done(why)

    def learned(self, learned: Learned) -> None:
        """Not used."""

    def ended(
        self, record: CallRecord, unrecognised: Unrecognised | None, audio: Sequence[bytes]
    ) -> None:
        self.records.append(record)
        if unrecognised is not None:
            self.unrecognised.append(unrecognised)

    def may_record(self, frames: int) -> bool:
        return False


class ReceiverEnd:
    """Our receiver's machine, as its AudioSocket server drives it."""

    def __init__(self, kept: Kept, machine: Reception | None = None) -> None:
        self._ear = Ear(CENTRE)
        if machine is None:
            machine = Reception(Profile(), [DtmfFamily(), PulseFamily(), SiaLevel()])
        record = CallRecord("c", "line-1", "", UtcTime(0))
        self.line = LineCall(machine, record, kept, lambda: UtcTime(0))
        self.line.answered()

    @property
    def over(self) -> bool:
        return self.line.left

    def frame(self, heard: Samples) -> Samples:
        self.line.frame(heard.tobytes(), self._ear.feed(heard))
        sound = self.line.sound()
        return SILENCE if sound is None else sound

    def hung_up(self) -> None:
        self.line.hung_up("the caller hung up")
