"""One program for modems whose manuals disagree: each played family is brought up and heard."""

from __future__ import annotations

import random
import re
from dataclasses import replace

import numpy as np
import pytest

from hil.drivers.voice_modem_kinds import KINDS
from protocols.tones.elements import Digits, Silence, Tone
from protocols.tones.synthesis import render
from protocols.voice_modem.answers import Result, caller_in, result_of, volts_in
from protocols.voice_modem.bringing_up import Abilities, Unfit, Wanted
from protocols.voice_modem.device import why_not_open
from protocols.voice_modem.dialogue import LINE_BYTES, Dialogue
from protocols.voice_modem.samples import Coding, Unpack, choose, formats_of, to_bytes
from protocols.voice_modem.stream import Unshield
from tests.support.modem_talk import ModemTalk

USB = Wanted("/dev/modem", 115_200, caller_id=True)
FOUND = {
    "conexant": Abilities(Coding.ALAW, duplex=True, caller_id=True, volts=True),
    "usr": Abilities(Coding.LINEAR_8, duplex=True, caller_id=True),
    "silabs": Abilities(Coding.ALAW, duplex=True, caller_id=True),
    "elder": Abilities(Coding.LINEAR_8, duplex=True, caller_id=True),
    "tones": Abilities(Coding.ALAW, duplex=True, caller_id=True, volts=True),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("pieces", [None, random.Random(7)], ids=["whole", "pieces"])
def test_every_family_is_brought_up(kind: str, pieces: random.Random | None) -> None:
    talk = ModemTalk(kind, pieces)
    found = talk.bring_up(USB)
    assert isinstance(found, Abilities)
    assert replace(found, voice_mode=()) == FOUND[kind]
    assert found.voice_mode[0] == "AT+FCLASS=8"
    assert not talk.dce.loudspeaker  # a hold-up is reported in silence
    assert talk.sent[:2] == ["ATZ", "ATE0V1Q0"]
    assert not talk.dce.echoes
    assert not talk.dce.off_hook
    assert talk.acts == []


def test_duplex_may_be_forbidden() -> None:
    found = ModemTalk("conexant").bring_up(replace(USB, duplex=False))
    assert isinstance(found, Abilities)
    assert not found.duplex


def test_a_faster_port_carries_more_bits() -> None:
    fast = ModemTalk("conexant").bring_up(replace(USB, baud=230_400))
    assert isinstance(fast, Abilities)
    assert fast.coding is Coding.LINEAR_16


def test_what_cannot_be_used_says_why_and_what_to_do() -> None:
    kind = KINDS["conexant"]
    for broken, wanted, text in (
        (kind, replace(USB, baud=57_600), "needs 80000 bit/s, baud = 57600 carries less"),
        (replace(kind, formats=('2,"ADPCM",4,0,8000',)), USB, r"\+VSM=\? lists no plain samples"),
        (kind, replace(USB, init=("AT+NOSUCH=1",)), "AT\\+NOSUCH=1 refused; it stands in init"),
        (replace(kind, codings={}), USB, "refused, though it offers it"),
    ):
        outcome = ModemTalk(broken).bring_up(wanted)
        assert isinstance(outcome, Unfit)
        assert outcome.cause == "modem_error"
        assert re.search(text, outcome.text), outcome.text
        assert outcome.text.startswith("/dev/modem: ")


def test_a_modem_that_says_nothing_is_gone() -> None:
    talk = ModemTalk("conexant")
    talk.say = lambda text: None  # type: ignore[method-assign]
    outcome = talk.bring_up(USB)
    assert isinstance(outcome, Unfit)
    assert outcome.cause == "modem_gone"
    assert "no answer to AT commands at 115200 baud" in outcome.text
    assert talk.sent == ["ATZ", "ATE0V1Q0", "ATE0V1Q0"]


@pytest.mark.parametrize(
    ("line", "coding"),
    [
        ('128,"8-BIT LINEAR",(7200,8000,11025)', Coding.LINEAR_8),  # USR 5637
        ('129,"16-BIT LINEAR",(7200,8000,11025)', Coding.LINEAR_16),
        ('130,"8-BIT ALAW",(8000)', Coding.ALAW),
        ('131,"8-BIT ULAW",(8000)', Coding.ULAW),
        ('132,"IMA ADPCM",(7200,8000,11025)', None),
        ('0,"SIGNED PCM",16,0,(8000),(127-129),(0-255)', Coding.LINEAR_16),
        ('5,"A-Law Companded PCM",8,0,(8000),(127-129),(0-255)', Coding.ALAW),
        ('1,"UNSIGNED PCM",8,0,8000,0,0', Coding.UNSIGNED_8),  # CX930xx
        ("+VSM: 130,UNSIGNED PCM,8,0,(7200,8000,11025),0,0", Coding.UNSIGNED_8),
        ('0,"SIGNED PCM",8,0,8000,0,0', Coding.SIGNED_8),
        ('4,"G.711U",8,0,(8000)', Coding.ULAW),  # AN93
        ('131,"G.726 ADPCM",4,0,(8000)', None),
        ("2;ADPCM;2;0;(9600)", None),  # ZyXEL
        ('128,"8-BIT LINEAR",(7200,11025)', None),
        ('128,"8-BIT LINEAR",8,0,7200-11025', Coding.LINEAR_8),
        ('133,"LINEAR",14,0,8000,0,0', None),
        ("OK", None),
    ],
)
def test_formats_as_manuals_print_them(line: str, coding: Coding | None) -> None:
    assert [each.coding for each in formats_of([line])] == ([] if coding is None else [coding])
    assert choose(formats_of([line]), 9600) is None


@pytest.mark.parametrize("meant", [Coding.UNSIGNED_8, Coding.SIGNED_8])
@pytest.mark.parametrize("what", [Silence(100), Digits("5", 100, 0), Tone(425.0, 100)])
def test_eight_bit_linear_is_heard_for_what_it_is(
    meant: Coding, what: Silence | Digits | Tone
) -> None:
    rest = np.random.default_rng(3).normal(0, 60, 800)
    pcm = (render([what])[:800] + rest).astype(np.int16)
    unpack = Unpack(Coding.LINEAR_8)
    data = to_bytes(pcm, meant)
    heard = np.concatenate([unpack.feed(data[at : at + 7]) for at in range(0, len(data), 7)])
    assert unpack.coding is meant
    assert np.abs(heard.astype(int) - pcm).max() <= 128


def test_a_modem_that_forgets_voice_mode_is_told_again() -> None:
    talk = ModemTalk("usr")
    found = talk.bring_up(USB)
    assert isinstance(found, Abilities)
    assert talk.command("AT+VLS=1").ok
    assert talk.command("ATH").ok
    assert talk.command("AT+VLS=1").result is Result.ERROR
    assert all(talk.command(text).ok for text in found.voice_mode)
    assert talk.command("AT+VLS=1").ok
    assert talk.command("AT+VRX").result is Result.CONNECT


def test_rings_and_numbers_however_they_are_told() -> None:
    for kind in ("conexant", "usr", "elder"):
        talk = ModemTalk(kind, random.Random(1))
        talk.bring_up(USB)
        talk.dce.ring("02155512345")
        talk.dce.ring("")
        assert talk.dialogue.rung() == (2, "02155512345"), kind
        assert talk.dialogue.rung() == (0, None)


def test_a_ring_is_no_answer_and_is_not_lost_by_a_command() -> None:
    talk = ModemTalk("usr")
    talk.bring_up(USB)
    talk.dce.ring("")
    assert talk.command("AT").ok
    dialogue = talk.dialogue
    dialogue.commanded()
    dialogue.feed(b"\r\nRING\r\n\x10R\r\nOK\r\n")
    reply = dialogue.reply()
    assert reply is not None
    assert reply.result is Result.OK
    assert dialogue.rung() == (3, None)


def test_a_late_answer_is_owed_and_no_answer_to_the_next_command() -> None:
    dialogue = Dialogue()
    dialogue.commanded()
    assert dialogue.given_up().result is None
    assert dialogue.owed
    dialogue.feed(b"\r\nNO CARRIER\r\n")
    late = dialogue.reply()
    assert late is not None
    assert late.result is Result.NO_CARRIER
    assert not dialogue.owed
    dialogue.feed(b"\r\nstray\r\n")
    dialogue.commanded()
    dialogue.feed(b"\r\n48.1\r\nOK\r\n")
    reply = dialogue.reply()
    assert reply is not None
    assert (reply.lines, reply.volts) == (("48.1",), 48.1)


def test_noise_costs_its_own_bytes_only() -> None:
    dialogue = Dialogue()
    dialogue.commanded()
    dialogue.feed(b"\xff" * 3 * LINE_BYTES)
    assert dialogue.reply() is None
    dialogue.feed(b"\r\nOK\r\n")
    reply = dialogue.reply()
    assert reply is not None
    assert reply.ok


def test_a_message_in_a_voice_stream_is_no_audio() -> None:
    audio, codes, rest = Unshield().feed(b"ab\x10X\r\nNMBR = 5\r\n\x10.cd\x10\x03\r\nOK")
    assert (audio, codes, rest) == (b"abcd", b"X.\x03", b"\r\nOK")
    # one whose end was lost does not silence the line for ever
    lost = Unshield()
    assert lost.feed(b"\x10X" + b"n" * 600)[0] == b"n" * 88


def test_words_of_the_line() -> None:
    for text, result in (
        ("NO DIAL TONE", Result.NO_DIALTONE),
        ("NO DIALTONE", Result.NO_DIALTONE),
        ("NO LINE", Result.NO_LINE),
        ("LINE IN USE", Result.LINE_IN_USE),
        ("LINE-IN-USE", Result.LINE_IN_USE),
        ("DELAYED", Result.BLACKLISTED),
        ("BLACKLIST FULL", Result.BLACKLISTED),
        ("CONNECT 33600", None),
    ):
        assert result_of(text) is result, text
    assert caller_in("NMBR = 02155512345") == "02155512345"
    assert caller_in("NMBR=P") == ""
    assert caller_in("+VCID: NMBR = +8613800001111") == "+8613800001111"
    assert caller_in("RING") is None
    assert volts_in("48.20") == 48.2
    assert volts_in("x48.20") is None


def test_why_a_port_does_not_open() -> None:
    assert "dialout" in why_not_open(13, "")
    assert "another program has it open" in why_not_open(11, "Could not exclusively lock port")
    assert "not plugged in" in why_not_open(2, "")
    assert why_not_open(None, "(25, 'Inappropriate ioctl for device')") == "it is no serial port"
    assert why_not_open(None, "text") == "text"
