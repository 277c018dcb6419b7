"""An update from the first part to its confirmation or its end, under both runtimes."""

from firmware.node.slots import Slots, read_state
from firmware.node.update import Updater, running_slot
from protocols.osdp.update_report import (
    BAD_FORM,
    BAD_HASH,
    BAD_SIGNATURE,
    BUSY,
    FLASH_FAILED,
    NO_KEY,
    OTHER_BOARD,
    OTHER_KIND,
    OTHER_RUNTIME,
    OUT_OF_ORDER,
    SLOT_DAMAGED,
    TOO_LARGE,
    TOO_OLD,
    TRIAL_FAILED,
    decode,
)
from tests.shared.firmware_images import (
    BOARD,
    FIRST,
    MODULUS,
    SECOND,
    BrokenFlash,
    CutFlash,
    contents,
    image,
    node,
    proven,
    send,
    started,
)


def with_good_first():
    """A node whose good slot holds FIRST."""
    flash = CutFlash()
    _, updater = node(flash)
    assert send(updater, FIRST) == 2
    slot, slots, updater = started(flash)
    proven(updater)
    assert (slots.state.good, slots.state.trial) == (slot, 0)
    return flash


def refusal(data, reason, status, flash=None, **words):
    flash = flash or CutFlash()
    slots, updater = node(flash)
    assert send(updater, data, **words) == status
    assert slots.state.reason == reason
    assert updater.refused == 1
    assert slots.state.refusals == 1
    slot, _, _ = started(flash)
    assert slot == slots.state.good


def test_a_good_update_is_tried_then_confirmed():
    flash = with_good_first()
    _, updater = node(flash, running=1)
    assert send(updater, SECOND) == 2
    assert not updater.tick(100, True, True)
    assert updater.tick(1100, True, True)
    slot, slots, updater = started(flash)
    assert contents(flash, slot) == b"second!"
    assert updater.trial
    proven(updater)
    assert not updater.trial
    assert slots.state.good == slot
    assert slots.state.minimum == 3
    assert slots.state.updates == 2
    assert started(flash)[0] == slot


def test_a_trial_that_never_confirms_goes_back_after_three_starts():
    flash = with_good_first()
    send(node(flash, running=1)[1], SECOND)
    for _ in range(3):
        slot, _, updater = started(flash)
        assert contents(flash, slot) == b"second!"
        assert not updater.tick(0, False, True)
        assert updater.tick(180000, False, True)
    slot, slots, updater = started(flash)
    assert contents(flash, slot) == b"first"
    assert slots.state.rollbacks == 1
    assert slots.state.reason == TRIAL_FAILED
    told = decode(updater.report())
    assert (told.reason, told.rollbacks, told.updates) == (TRIAL_FAILED, 1, 1)
    assert updater.report() == b""
    assert slots.state.minimum == 0


def test_confirmation_needs_an_unbroken_session_and_a_good_self_check():
    flash = CutFlash()
    send(node(flash)[1], FIRST)
    _, _, updater = started(flash)
    for now_ms in range(0, 60000, 1000):
        updater.tick(now_ms, now_ms % 4000 != 0, True)
    assert updater.trial
    for now_ms in range(60000, 120000, 1000):
        updater.tick(now_ms, True, now_ms % 3000 != 0)
    assert updater.trial
    for now_ms in range(120000, 126000, 1000):
        updater.tick(now_ms, True, True)
    assert not updater.trial


def test_the_failed_image_may_be_sent_again():
    flash = with_good_first()
    send(node(flash, running=1)[1], SECOND)
    for _ in range(4):
        started(flash)
    assert send(node(flash, running=1)[1], SECOND) == 2
    slot, _, _ = started(flash)
    assert contents(flash, slot) == b"second!"


def test_each_wrong_image_is_refused_with_its_reason():
    refusal(image([("a.py", b"")], board="other", signed=False), OTHER_BOARD, -2)
    refusal(image([("a.py", b"")], mpy=5, signed=False), OTHER_RUNTIME, -2)
    refusal(FIRST[:-1], BAD_FORM, -2)
    refusal(FIRST[:300] + b"\0" + FIRST[301:], BAD_SIGNATURE, -2)
    refusal(FIRST[:-1] + b"T", BAD_HASH, -2)
    refusal(b"\0" * 600, BAD_FORM, -2)
    refusal(b"\0" * 300, BAD_FORM, -3)
    refusal(FIRST, OTHER_KIND, -2, kind=2)
    refusal(FIRST, FLASH_FAILED, -1, flash=BrokenFlash())


def test_an_older_security_number_is_refused_also_at_the_start():
    flash = with_good_first()
    send(node(flash, running=1)[1], SECOND)
    proven(started(flash)[2])
    slots, updater = node(flash, running=2)
    assert send(updater, FIRST) == -2
    assert slots.state.reason == TOO_OLD
    flash.files["update.img"] = FIRST
    slot, slots, _ = started(flash)
    assert contents(flash, slot) == b"second!"
    assert slots.state.refusals == 2


def test_what_lies_in_the_flash_as_a_whole_image_is_verified_again():
    for bad in (
        FIRST[:300] + b"\0" + FIRST[301:],
        FIRST[:-1],
        FIRST[:-1] + b"T",
        b"",
        b"\0" * 1000,
        image([("a.py", b"")], board="other", signed=False),
    ):
        flash = CutFlash()
        flash.files["update.img"] = bad
        slot, slots, _ = started(flash)
        assert slot == 0
        assert slots.state.refusals == 1
        assert "update.img" not in flash.files


def test_a_node_without_an_update_key_takes_nothing():
    slots = Slots(CutFlash(), BOARD, 6, 0)
    assert send(Updater(slots, 0), FIRST) == -2
    assert slots.state.reason == NO_KEY
    flash = CutFlash()
    flash.files["update.img"] = FIRST
    slots = Slots(flash, BOARD, 6, 0)
    assert slots.choose() == 0
    assert slots.state.reason == NO_KEY


def test_a_size_beyond_the_bound_is_refused_at_the_first_part():
    slots, updater = node(CutFlash())
    assert updater.file_part(1, 1 << 20, 0, b"TOCSINFW")[0] == -1
    assert slots.state.reason == TOO_LARGE
    assert slots.flash.size("update.part") == -1


def test_a_gap_ends_the_transfer_until_it_begins_again():
    slots, updater = node(CutFlash())
    assert updater.file_part(1, len(FIRST), 0, FIRST[:100])[0] == 0
    assert updater.file_part(1, len(FIRST), 200, FIRST[200:300])[0] == -3
    assert slots.state.reason == OUT_OF_ORDER
    assert updater.file_part(1, len(FIRST), 100, FIRST[100:200])[0] == -3
    assert slots.state.refusals == 1
    assert send(updater, FIRST) == 2


def test_a_repeated_part_is_answered_and_not_written_twice():
    flash = CutFlash()
    _, updater = node(flash)
    for offset in range(0, len(FIRST), 50):
        for _ in range(2):
            status, _ = updater.file_part(1, len(FIRST), offset, FIRST[offset : offset + 50])
    assert status == 2
    assert flash.files["update.img"] == FIRST


def test_the_last_part_repeated_gets_the_same_answer():
    _, updater = node(CutFlash())
    assert send(updater, FIRST) == 2
    last = len(FIRST) - len(FIRST) % 100
    assert updater.file_part(1, len(FIRST), last, FIRST[last:])[0] == 2
    assert updater.file_part(1, len(FIRST), len(FIRST), b"")[0] == 2
    assert updater.file_part(1, len(SECOND), 0, SECOND[:100])[0] == -1


def test_a_transfer_goes_on_after_a_restart_from_what_the_flash_has():
    data = image([("big.py", bytes(range(256)) * 24)])
    flash = CutFlash()
    _, updater = node(flash)
    for offset in range(0, 4800, 96):
        assert updater.file_part(1, len(data), offset, data[offset : offset + 96])[0] == 0
    kept = flash.size("update.part")
    assert 1024 <= kept < 4800
    _, updater = node(flash)
    for offset in range(kept - kept % 96, len(data), 96):
        status, _ = updater.file_part(1, len(data), offset, data[offset : offset + 96])
    assert status == 2
    assert flash.files["update.img"] == data


def test_a_transfer_resumed_beyond_what_the_flash_has_is_refused():
    slots, updater = node(CutFlash())
    assert updater.file_part(1, len(FIRST), 100, FIRST[100:200])[0] == -3
    assert slots.state.reason == OUT_OF_ORDER


def test_no_update_is_taken_while_a_trial_runs():
    flash = CutFlash()
    send(node(flash)[1], FIRST)
    _, slots, updater = started(flash)
    assert send(updater, SECOND) == -1
    assert slots.state.reason == BUSY


def test_a_damaged_slot_is_never_started():
    flash = with_good_first()
    send(node(flash, running=1)[1], SECOND)
    proven(started(flash)[2])
    flash.files["slots/b/main.py"] = b"sEcond!"
    slot, slots, _ = started(flash)
    assert contents(flash, slot) == b"first"
    assert slots.state.reason == SLOT_DAMAGED
    del flash.files["slots/a/node/part.py"]
    assert started(flash)[0] == 0


def test_a_damaged_trial_is_not_started():
    flash = with_good_first()
    send(node(flash, running=1)[1], SECOND)
    started(flash)
    flash.files["slots/b/main.py"] = b"sEcond!"
    assert contents(flash, started(flash)[0]) == b"first"


def test_a_slot_that_was_given_up_is_nothing_to_fall_back_to():
    flash = with_good_first()
    send(node(flash, running=1)[1], SECOND)
    proven(started(flash)[2])
    third = image([("main.py", b"third")], security=3)
    send(node(flash, running=2)[1], third)
    for _ in range(4):
        slot, _, _ = started(flash)
    assert contents(flash, slot) == b"second!"
    flash.files["slots/b/main.py"] = b""
    assert started(flash)[0] == 0


def test_a_trial_whose_starts_cannot_be_counted_is_not_started():
    flash = with_good_first()
    send(node(flash, running=1)[1], SECOND)
    slots = Slots(flash, BOARD, 6, MODULUS)
    slots.install()
    assert slots.state.trial == 2
    slots = Slots(BrokenFlash(flash.files, flash.folders), BOARD, 6, MODULUS)
    assert contents(flash, slots.choose()) == b"first"


def test_one_worn_copy_of_the_record_leaves_the_other():
    flash = with_good_first()
    for copy in ("state0", "state1"):
        worn = flash.copied()
        worn.files[copy] = b"\xff" * len(flash.files[copy])
        assert Slots(worn, BOARD, 6, MODULUS).choose() in (0, 1)
    assert read_state(b"") is None
    good = flash.files["state0"]
    for place in range(len(good)):
        assert read_state(good[:place] + bytes((good[place] ^ 4,)) + good[place + 1 :]) is None


def test_the_running_slot_is_read_from_where_the_code_lies():
    assert running_slot("/x/flash/slots/a/firmware/node/update.mpy") == 1
    assert running_slot("flash/slots/b/firmware/node/update.mpy") == 2
    assert running_slot("/repo/firmware/node/update.py") == 0
