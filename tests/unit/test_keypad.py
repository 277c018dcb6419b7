"""Keypads and readers: keys and cards in, code entries, LED and beeps out, against a real panel."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from typer.testing import CliRunner

from edge.__main__ import app
from edge.adapters.code_hash import card_of, hash_code
from edge.bus.bus_types import Beep, Colour, SetLed
from edge.config import PanelConfig, ZoneType
from edge.field.reading import Reading, ReadingState
from edge.panel import Panel
from edge.panel.effects import Answer
from edge.panel.inputs import Action, Arm, ArmMode, CodeEntry, Disarm, Fault, Silence, StandDown
from edge.panel.keypad import (
    ACCEPTED,
    LOCKED,
    REFUSED,
    STOP,
    WRONG,
    EnterCode,
    KeypadMachine,
    KeypadWish,
    card_text,
)
from protocols.instants import Instant
from protocols.panel_event import Code
from tests.support.bus_site import CARD, bus_config, zone
from tests.support.panel_site import ALL_CODE, ALL_DURESS, TWO_CODE, Site, at, lines
from tests.support.panel_site import WRONG as WRONG_HASH

CODE, DURESS, NOBODY = "246810", "135791", "999111"
CARD_BITS, CARD_DATA = 26, bytes.fromhex("01a2b3c0")
HASHES = {CODE: ALL_CODE, DURESS: ALL_DURESS, "card:26:01a2b3c0": CARD}
GREEN, RED, AMBER = SetLed(Colour.GREEN), SetLed(Colour.RED), SetLed(Colour.AMBER)
ALARM = SetLed(Colour.RED, Colour.OFF)
LEAVING = SetLed(Colour.RED, Colour.GREEN)
LOCKOUT = SetLed(Colour.AMBER, Colour.OFF)

ZONES = (
    zone(1, "gpio:17", ZoneType.ENTRY_EXIT),
    zone(2, "gpio:18", ZoneType.INSTANT),
    zone(3, "gpio:22", ZoneType.HOLDUP_SILENT),
    zone(4, "gpio:23", ZoneType.FIRE),
)


class Desk:
    """A keypad on a panel, wired as the shell wires them."""

    def __init__(self, config: PanelConfig | None = None) -> None:
        self.panel = Panel(config or bus_config(zones=ZONES))
        self.keypad = KeypadMachine((), code_digits=6)
        self.seconds = 0.0
        self.events: list[str] = []
        self.shown: list[KeypadWish] = []
        self.carry(self.keypad.came_up(self.panel.view(), self.now))
        self.wishes()

    @property
    def now(self) -> Instant:
        return at(self.seconds)

    def carry(self, wishes: list[KeypadWish]) -> None:
        for wish in wishes:
            if isinstance(wish, EnterCode):
                self.enter(wish)
            else:
                self.shown.append(wish)

    def enter(self, wish: EnterCode) -> None:
        entry = CodeEntry(HASHES.get(wish.code, WRONG_HASH), wish.action, 1)
        effects = self.panel.receive(entry, self.now)
        for effect in effects:
            if isinstance(effect, Answer):
                self.carry(self.keypad.answered(effect, self.now))
        self.events += lines(effects)
        self.carry(self.keypad.show(self.panel.view(), self.now))

    def wishes(self) -> list[KeypadWish]:
        shown, self.shown = self.shown, []
        return shown

    def press(self, keys: str) -> list[KeypadWish]:
        self.carry(self.keypad.keys(keys, self.panel.view(), self.now))
        return self.wishes()

    def swipe(self, bits: int = CARD_BITS, data: bytes = CARD_DATA) -> list[KeypadWish]:
        self.carry(self.keypad.card(bits, data, self.panel.view(), self.now))
        return self.wishes()

    def read(self, number: int, state: ReadingState = ReadingState.ALARM) -> list[KeypadWish]:
        self.events += lines(self.panel.receive(Reading(f"zone:{number}", state), self.now))
        self.carry(self.keypad.show(self.panel.view(), self.now))
        return self.wishes()

    def wait(self, seconds: float) -> list[KeypadWish]:
        end = self.seconds + seconds
        while True:
            panel_due, keypad_due = self.panel.deadline(), self.keypad.deadline()
            due = min(d for d in (panel_due, keypad_due, at(end)) if d is not None)
            self.seconds = max(self.seconds, due / 1e9)
            self.events += lines(self.panel.tick(self.now))
            self.carry(self.keypad.tick(self.now))
            self.carry(self.keypad.show(self.panel.view(), self.now))
            if due >= at(end):
                self.seconds = end
                return self.wishes()

    def armed(self) -> Desk:
        self.press(CODE + "#")
        self.read(1)
        self.read(1, ReadingState.NORMAL)
        self.wait(60)
        assert self.panel.modes()[1] == "armed_full"
        self.events.clear()
        return self


def actions(keys: str, digits: int = 6) -> list[tuple[str, Action]]:
    """What a keypad beside a disarmed panel wants entered."""
    machine = KeypadMachine((1,), digits)
    view = Panel(bus_config(zones=ZONES)).view()
    found = machine.keys(keys, view, at(0))
    return [(wish.code, wish.action) for wish in found if isinstance(wish, EnterCode)]


@pytest.mark.parametrize(
    ("suffix", "action"),
    [
        ("", Arm((1,), of_user=True)),
        ("1", Arm((1,), ArmMode.FULL, of_user=True)),
        ("2", Arm((1,), ArmMode.STAY, of_user=True)),
        ("3", Arm((1,), ArmMode.NIGHT, of_user=True)),
        ("9", Disarm((1,), of_user=True)),
        ("0", Silence()),
    ],
)
def test_a_code_and_a_digit_say_what_is_wanted(suffix: str, action: Action) -> None:
    assert actions(CODE + suffix + "#") == [(CODE, action)]


@pytest.mark.parametrize("keys", ["#", "24681#", CODE + "4#", CODE + "11#", CODE * 9 + "#", "1*#"])
def test_anything_else_is_no_entry(keys: str) -> None:
    assert actions(keys) == []


def test_star_clears_and_other_keys_do_nothing() -> None:
    assert actions("99*24a6²8\x7f10#") == [(CODE, Arm((1,), of_user=True))]


def test_an_eight_digit_code_is_taken_whole() -> None:
    assert actions("12345670" + "2#", digits=8)[0][0] == "12345670"


def test_a_wrong_length_beeps_as_a_wrong_code_does() -> None:
    desk = Desk()
    assert desk.press("123#") == [WRONG]
    assert desk.press(NOBODY + "#") == [WRONG]
    assert desk.press("#") == []


def test_digits_are_forgotten_after_ten_seconds() -> None:
    desk = Desk()
    desk.press("24681")
    assert desk.wait(10) == []
    assert desk.press("0#") == [WRONG]
    desk.press("24681")
    desk.wait(9.9)
    assert desk.press("0#")[0] == ACCEPTED


def test_the_code_arms_with_beeps_until_closed_and_disarms_again() -> None:
    desk = Desk()
    assert desk.press(CODE + "#") == [ACCEPTED, LEAVING]
    assert desk.wait(1) == [Beep(60, on_ds=1, off_ds=9)]  # after the acknowledging beep
    desk.read(1)
    desk.read(1, ReadingState.NORMAL)
    assert desk.wait(59) == [RED, STOP]
    assert desk.press(CODE + "#") == [ACCEPTED, GREEN]
    assert desk.panel.modes()[1] == "disarmed"


def test_the_entry_delay_beeps_faster_and_stops_at_the_code() -> None:
    desk = Desk().armed()
    assert desk.read(1) == [Beep(60, on_ds=1, off_ds=4)]
    assert desk.press(CODE + "#") == [ACCEPTED, GREEN]
    assert desk.wait(5) == []
    assert desk.panel.modes()[1] == "disarmed"


def test_a_wrong_code_in_the_entry_delay_beeps_and_the_delay_beeps_on() -> None:
    desk = Desk().armed()
    desk.read(1)
    assert desk.press(NOBODY + "#") == [WRONG]
    assert desk.wait(1) == [Beep(60, on_ds=1, off_ds=4)]


def test_an_alarm_blinks_and_the_code_ends_it() -> None:
    desk = Desk().armed()
    assert desk.read(2) == [ALARM]
    assert desk.press(CODE + "#") == [ACCEPTED, GREEN]


def test_a_fire_sounding_while_disarmed_is_silenced_by_the_code_not_armed() -> None:
    desk = Desk()
    assert desk.read(4) == [ALARM]
    assert desk.press(CODE + "#") == [ACCEPTED, GREEN]
    assert desk.panel.modes()[1] == "disarmed"


def test_the_code_silences_where_no_siren_is_fitted_too() -> None:
    desk = Desk(msgspec.structs.replace(bus_config(zones=ZONES), outputs=()))
    desk.read(4)
    desk.press(CODE + "#")
    assert desk.panel.modes()[1] == "disarmed"


@pytest.mark.parametrize("armed", [False, True])
def test_a_silent_hold_up_shows_nothing(armed: bool) -> None:
    desk = Desk().armed() if armed else Desk()
    assert desk.read(3) == []
    assert "+HOLDUP_SILENT a1 z3" in desk.events
    assert desk.read(3, ReadingState.NORMAL) == []
    assert desk.panel.view().areas[0].memory == (3,)
    assert desk.wait(5) == []


def test_a_duress_code_looks_and_sounds_exactly_like_the_users_own() -> None:
    seen = []
    for code in (CODE, DURESS):
        desk = Desk()
        story = [desk.press(code + "#"), desk.wait(3), desk.press(code + "#"), desk.wait(3)]
        story += [desk.press(code + "2#"), desk.press(code + "9#"), desk.press(code + "0#")]
        seen.append(story)
        assert any("DURESS" in line for line in desk.events) is (code == DURESS)
    assert seen[0] == seen[1]


def test_open_zones_refuse_with_another_beep_than_a_wrong_code() -> None:
    desk = Desk()
    desk.read(2)
    assert desk.press(CODE + "#") == [REFUSED]


def test_a_fault_is_amber_while_disarmed_only() -> None:
    desk = Desk()
    desk.panel.receive(Fault(Code.JOURNAL_FAULT), desk.now)
    assert desk.wait(0.1) == [AMBER]
    desk.armed()
    assert desk.press(CODE + "#") == [ACCEPTED, AMBER]


def test_a_lock_out_is_shown_and_a_duress_code_still_reports() -> None:
    desk = Desk()
    for _ in range(4):
        assert desk.press(NOBODY + "#") == [WRONG]
    assert desk.press(NOBODY + "#") == [LOCKED, LOCKOUT]
    assert desk.press(CODE + "#") == [LOCKED]
    desk.events.clear()
    assert desk.press(DURESS + "#") == [LOCKED]
    assert "+DURESS a1 u1" in desk.events
    assert desk.wait(90) == [GREEN]


def test_a_keypad_that_comes_up_is_told_what_to_show_again() -> None:
    desk = Desk().armed()
    desk.read(1)
    desk.wait(10)
    assert desk.keypad.came_up(desk.panel.view(), desk.now) == [RED, Beep(40, on_ds=1, off_ds=4)]


def test_a_keypad_shows_only_its_own_areas() -> None:
    panel = Panel(bus_config(zones=ZONES))
    keypad = KeypadMachine((2,), 6)
    panel.receive(CodeEntry(ALL_CODE, Arm(), 1), at(0))
    assert keypad.show(panel.view(), at(0)) == [GREEN]


# -- cards ----------------------------------------------------------------------------------------


def test_a_card_stands_for_its_users_code() -> None:
    desk = Desk()
    assert desk.swipe() == [ACCEPTED, LEAVING]
    assert "+EXIT_DELAY a1 u1 (full)" in desk.events
    desk.swipe()
    assert desk.panel.modes()[1] == "disarmed"
    assert not any("DURESS" in line for line in desk.events)


def test_a_digit_before_the_card_says_what_it_is_for() -> None:
    desk = Desk()
    desk.press("2")
    desk.swipe()
    assert "+EXIT_DELAY a1 u1 (stay)" in desk.events
    desk.press("5")
    assert desk.swipe() == [WRONG]


def test_a_strange_card_counts_as_a_wrong_code_and_a_bad_read_does_not() -> None:
    desk = Desk()
    assert desk.swipe(26, bytes(4)) == [WRONG]
    assert desk.events[:2] == ["+WRONG_CODE (count:1)", "refused wrong_code"]
    desk.events.clear()
    for bits, data in ((8, b"\x01"), (26, b"\x01"), (0, b""), (9999, bytes(2000)), (-1, bytes(9))):
        assert desk.swipe(bits, data) == [WRONG]
    assert desk.events == []


def test_spare_bits_of_a_card_do_not_matter() -> None:
    assert card_text(26, bytes.fromhex("01a2b3ff")) == "card:26:01a2b3c0"
    assert card_text(32, bytes.fromhex("01a2b3ff99")) == "card:32:01a2b3ff"
    assert card_text(27, CARD_DATA) != card_text(26, CARD_DATA)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("26:01a2b3c0", "card:26:01a2b3c0"),
        ("card:26:01A2B3FF\n", "card:26:01a2b3c0"),
        ("26:01a2b3", None),
        ("26:01a2b3c000", None),
        ("26:01a2b3c", None),
        ("25:01a2b380", None),
        ("01a2b3c0", None),
        ("", None),
        ("٢٦:01a2b3c0", None),
    ],
)
def test_a_card_as_people_write_it(given: str, text: str | None) -> None:
    assert card_of(given) == text


def test_a_written_card_hashes_as_the_reader_tells_it() -> None:
    salt = "00112233445566778899aabbccddeeff"
    written, told = card_of("26:01a2b3ff"), card_text(CARD_BITS, CARD_DATA)
    assert written is not None
    assert told is not None
    assert re.fullmatch("[0-9a-f]{64}", hash_code(told, salt))
    assert hash_code(written, salt) == hash_code(told, salt)


def test_hash_code_makes_the_card_hash_of_what_the_reader_tells() -> None:
    salt = "00112233445566778899aabbccddeeff"
    told = card_text(CARD_BITS, CARD_DATA)
    assert told is not None
    words = ["hash-code", "--card", "--json", "--salt", salt]
    said = CliRunner().invoke(app, words, input="26:01A2B3FF\n")
    assert json.loads(said.output) == {"code_salt": salt, "card_hash": hash_code(told, salt)}
    assert CliRunner().invoke(app, words, input="26:01\n").exit_code == 1


def test_a_user_of_some_areas_of_a_keypad_moves_those_he_may() -> None:
    site = Site()
    assert site.types(Arm((1, 2), of_user=True), TWO_CODE)[-1] == "ok"
    assert site.panel.modes() == {1: "disarmed", 2: "exit"}
    assert site.types(Arm((1, 2)), TWO_CODE)[-1] == "refused not_allowed"
    assert site.types(Arm((1,), of_user=True), TWO_CODE)[-1] == "refused not_allowed"
    assert site.types(Disarm((1, 2), of_user=True), TWO_CODE)[-1] == "ok"
    assert site.panel.modes()[2] == "disarmed"


def test_a_code_is_never_shown() -> None:
    wish = EnterCode(CODE, Arm())
    assert CODE not in repr(wish)
    machine = KeypadMachine((), 6)
    machine.keys(CODE, Panel(bus_config(zones=ZONES)).view(), at(0))
    assert CODE not in repr(machine)


def test_memory_stood_down_changes_nothing_on_a_keypad() -> None:
    desk = Desk()
    desk.read(3)
    desk.read(3, ReadingState.NORMAL)
    desk.panel.receive(StandDown(1, "op"), desk.now)
    assert desk.wait(1) == []
