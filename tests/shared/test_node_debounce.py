"""Debounce and minimum pulse by samples (I1, I2), also over the wrap of the ticks."""

from firmware.node.debounce import NOTHING, Debounce
from firmware.node.ticks import PERIOD, Uptime, ticks_add, ticks_diff
from protocols.osdp.codes import (
    INPUT_ALARM,
    INPUT_NORMAL,
    INPUT_OPEN,
    INPUT_TAMPER,
    INPUT_UNKNOWN,
)
from tests.support.osdp_chance import Chance

SAMPLE = 8
DEBOUNCE = 50
PULSE = 300


class Line:
    """An input that is sampled every 8 ms; `told` in order."""

    def __init__(self, start=0, debounce_ms=DEBOUNCE, min_pulse_ms=PULSE):
        self.debounce = Debounce(debounce_ms, min_pulse_ms)
        self.now = start
        self.rest = 0
        self.told = []

    def hold(self, raw, span_ms, step_ms=SAMPLE):
        """The input is `raw` for `span_ms`, and sampled inside it wherever a sample falls."""
        end = ticks_add(self.now, span_ms)
        at = ticks_add(self.now, self.rest)
        while ticks_diff(end, at) > 0:
            if self.debounce.sample(raw, at):
                self.told.append(self.debounce.state)
            at = ticks_add(at, step_ms)
        self.rest = ticks_diff(at, end)
        self.now = end
        return self


def alarms(line):
    return len([state for state in line.told if state == INPUT_ALARM])


def test_the_first_state_is_told_after_the_debounce_time():
    line = Line().hold(INPUT_ALARM, DEBOUNCE - SAMPLE)
    assert line.debounce.state == NOTHING
    line.hold(INPUT_ALARM, 3 * SAMPLE)
    assert line.told == [INPUT_ALARM]


def test_a_pulse_of_the_minimum_is_told_once_and_a_shorter_one_never():
    for start in (0, PERIOD - 700, PERIOD - 450):
        for offset in range(SAMPLE):
            line = Line(start).hold(INPUT_NORMAL, 400 + offset)
            line.hold(INPUT_ALARM, PULSE).hold(INPUT_NORMAL, 500)
            assert line.told == [INPUT_NORMAL, INPUT_ALARM, INPUT_NORMAL], (start, offset)
            short = Line(start).hold(INPUT_NORMAL, 400 + offset)
            short.hold(INPUT_ALARM, PULSE - 2 * SAMPLE).hold(INPUT_NORMAL, 500)
            assert short.told == [INPUT_NORMAL], (start, offset)
            assert short.debounce.pulses_short == 1


def test_any_train_of_separate_pulses_is_counted_right():
    chance = Chance(11)
    for _ in range(30):
        line = Line(PERIOD - chance.below(5000)).hold(INPUT_NORMAL, 200)
        due = 0
        for _ in range(12):
            span_ms = 5 + chance.below(600)
            if PULSE - 2 * SAMPLE <= span_ms < PULSE:
                span_ms = PULSE
            due += 1 if span_ms >= PULSE else 0
            line.hold(INPUT_ALARM, span_ms).hold(INPUT_NORMAL, 100 + chance.below(400))
        assert alarms(line) == due
        assert line.debounce.state == INPUT_NORMAL


def test_a_late_sample_never_costs_a_pulse():
    for late_ms in range(10, 95, 5):
        line = Line().hold(INPUT_NORMAL, 400)
        # The first sample of the pulse and the first after it are both late.
        at = line.now
        assert not line.debounce.sample(INPUT_ALARM, at + late_ms)
        line.debounce.sample(INPUT_ALARM, at + PULSE - 20)
        told = line.debounce.sample(INPUT_NORMAL, at + PULSE + 1)
        assert told or line.debounce.state == INPUT_ALARM, late_ms


def test_bounce_at_both_ends_is_one_activation():
    line = Line().hold(INPUT_NORMAL, 400)
    for _ in range(4):
        line.hold(INPUT_ALARM, 20).hold(INPUT_NORMAL, 10)
    line.hold(INPUT_ALARM, 400)
    for _ in range(4):
        line.hold(INPUT_NORMAL, 10).hold(INPUT_ALARM, 10)
    line.hold(INPUT_NORMAL, 300)
    assert line.told == [INPUT_NORMAL, INPUT_ALARM, INPUT_NORMAL]


def test_spikes_far_apart_never_add_up():
    line = Line().hold(INPUT_NORMAL, 400)
    for _ in range(100):
        line.hold(INPUT_ALARM, 10).hold(INPUT_NORMAL, 45)
    assert line.told == [INPUT_NORMAL]


def test_a_value_nobody_fitted_counts_only_when_it_stays():
    through = Line().hold(INPUT_NORMAL, 400).hold(INPUT_TAMPER, 16).hold(INPUT_ALARM, 400)
    assert through.told == [INPUT_NORMAL, INPUT_ALARM]
    stays = Line().hold(INPUT_NORMAL, 400).hold(INPUT_TAMPER, 400)
    assert stays.told == [INPUT_NORMAL, INPUT_TAMPER]


def test_from_alarm_to_open_and_back_all_are_told():
    line = Line().hold(INPUT_NORMAL, 200).hold(INPUT_ALARM, 500).hold(INPUT_OPEN, 500)
    line.hold(INPUT_ALARM, 500).hold(INPUT_NORMAL, 200)
    assert line.told == [INPUT_NORMAL, INPUT_ALARM, INPUT_OPEN, INPUT_ALARM, INPUT_NORMAL]


def test_what_stands_after_a_converter_fault_is_told_without_a_minimum():
    line = Line().hold(INPUT_NORMAL, 200).hold(INPUT_UNKNOWN, 100).hold(INPUT_ALARM, 70)
    line.hold(INPUT_NORMAL, 100)
    assert line.told == [INPUT_NORMAL, INPUT_UNKNOWN, INPUT_ALARM, INPUT_NORMAL]


def test_the_level_settles_over_the_wrap_and_after_days_of_rest():
    line = Line(PERIOD - 300).hold(INPUT_NORMAL, 200)
    # 6.3 days: further than ticks_diff can see.
    line.hold(INPUT_NORMAL, (PERIOD >> 1) + 10_000_000, step_ms=100_000_000)
    line.rest = 0
    line.hold(INPUT_NORMAL, 16).hold(INPUT_ALARM, 600).hold(INPUT_NORMAL, 600)
    assert line.told == [INPUT_NORMAL, INPUT_ALARM, INPUT_NORMAL]


def test_ticks_wrap_and_uptime_does_not():
    uptime = Uptime(PERIOD - 5)
    assert ticks_diff(3, PERIOD - 5) == 8
    assert ticks_diff(PERIOD - 5, 3) == -8
    assert uptime.read(3) == 8
    assert uptime.read(PERIOD - 1) == 8
    assert uptime.read(1003) == 1008
