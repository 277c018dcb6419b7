"""Settings in flash: two copies, and a power cut at every byte."""

from firmware.node.settings import Settings, SettingsStore, decode
from tests.support.node_board import MemoryFlash, PowerCut
from tests.support.osdp_chance import Chance

OLD_KEY = bytes(range(16))
NEW_KEY = bytes(range(100, 116))


def settings(key=OLD_KEY):
    made = Settings(17, 115200, key)
    made.loops[3].wiring = 1
    made.loops[4].debounce_ms = 77
    made.loops[5].min_pulse_ms = 400
    made.eol_ohm = 2200
    made.pullup_ohm = 2200
    made.silent_s = 20
    return made


def stored(key=OLD_KEY, mirrored=True):
    flash = MemoryFlash()
    store = SettingsStore(flash)
    assert store.load() is None
    assert store.save(settings(key))
    if mirrored:
        store.mirror(settings(key))
    return flash


def test_what_was_saved_comes_back_whole():
    for key in (OLD_KEY, None):
        found = SettingsStore(stored(key)).load()
        assert found is not None
        assert found.encode() == settings(key).encode()
        assert found.key == key


def test_an_empty_flash_is_empty_and_not_damaged():
    store = SettingsStore(MemoryFlash())
    assert store.load() is None
    assert not store.damaged


def test_a_cut_at_every_byte_of_a_key_change_leaves_the_old_key_or_the_new():
    for mirrored in (True, False):
        flash = stored(mirrored=mirrored)
        seen = set()
        budget = 0
        while True:
            cut = flash.copied(budget)
            store = SettingsStore(cut)
            loaded = store.load()
            assert loaded is not None
            loaded.key = NEW_KEY
            try:
                done = store.save(loaded)
            except PowerCut:
                done = False
            after = SettingsStore(cut.restarted())
            found = after.load()
            assert found is not None, "bricked at " + str(budget)
            assert found.key in (OLD_KEY, NEW_KEY)
            assert found.address == 17
            seen.add(found.key)
            if done:
                assert found.key == NEW_KEY
                break
            # And it can still be changed.
            found.key = NEW_KEY
            assert after.save(found)
            last = SettingsStore(cut.restarted()).load()
            assert last is not None
            assert last.key == NEW_KEY
            budget += 1
        assert budget > 100
        assert seen == {OLD_KEY, NEW_KEY}


def test_one_copy_damaged_anywhere_still_gives_the_settings():
    for name in ("settings0", "settings1"):
        length = len(stored().files[name])
        for place in range(0, length, 3):
            flash = stored()
            data = bytearray(flash.files[name])
            data[place] ^= 0x40
            flash.files[name] = bytes(data)
            found = SettingsStore(flash).load()
            assert found is not None
            assert found.key == OLD_KEY


def test_after_a_mirror_no_single_damage_brings_back_an_old_key():
    flash = stored()
    store = SettingsStore(flash)
    loaded = store.load()
    assert loaded is not None
    loaded.key = NEW_KEY
    assert store.save(loaded)
    store.mirror(loaded)
    for name in ("settings0", "settings1"):
        worn = flash.copied()
        worn.files[name] = b"\xff" * len(worn.files[name])
        found = SettingsStore(worn).load()
        assert found is not None
        assert found.key == NEW_KEY


def test_both_copies_gone_bad_is_told_apart_from_an_empty_node():
    flash = stored()
    for name in ("settings0", "settings1"):
        flash.files[name] = flash.files[name][:-1]
    store = SettingsStore(flash)
    assert store.load() is None
    assert store.damaged


def test_a_flash_that_takes_nothing_refuses_the_key():
    flash = stored()
    flash.broken = True
    store = SettingsStore(flash)
    loaded = store.load()
    assert loaded is not None
    loaded.key = NEW_KEY
    assert not store.save(loaded)
    found = SettingsStore(flash).load()
    assert found is not None
    assert found.key == OLD_KEY


def test_settings_a_node_cannot_work_with_are_never_stored_or_loaded():
    store = SettingsStore(MemoryFlash())
    for field, value in (
        ("address", 127),
        ("baud", 1200),
        ("key", b"short"),
        ("eol_ohm", 1),
        ("silent_s", 0),
        ("low_mv", 12000),
        ("loops", []),
    ):
        bad = settings()
        setattr(bad, field, value)
        assert bad.refusal()
        assert not store.save(bad)
    bad = settings()
    bad.eol_ohm, bad.pullup_ohm = 100000, 100
    assert not store.save(bad)
    chance = Chance(3)
    for _ in range(200):
        found = decode(chance.data(len(settings().encode())))
        assert found is None or not found.refusal()
