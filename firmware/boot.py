"""Chooses what starts: the trial, the last good slot, or the built-in files. [both runtimes]

Never replaced by an update. On the board `main.py` calls `run()`; elsewhere this file is the
program. The slot goes first on sys.path and `firmware.main` is imported from there.
"""

import gc
import os
import sys
import time

EXIT_RESET = 75
TRIAL_WATCHDOG_MS = 8000
"""From before a trial's first import, which may hang; its main loop shortens it."""
CRASH_PAUSE_S = 1
"""Before the reset after a crash of what is not on trial: no storm of resets."""


def place() -> "tuple[str, str]":
    """Root of the flash, and the board's name as images call it."""
    if sys.platform == "rp2":
        return "", "rp2040"
    return (os.getenv("NODE_DIR") or ".") + "/flash", "unix"


def choose(root: str, board: str) -> "tuple[str, bool]":
    """Folder of the slot to start, and whether it is on trial; ("", False): the built-in files.

    A fault in here starts the built-in files. Imports are inside, so that `forget` frees it all.
    """
    try:
        from firmware.node.flash import Flash
        from firmware.node.slots import KEY_FILE, NAMES, Slots, runtime
        from firmware.node.verify import read_key

        flash = Flash(root)
        slots = Slots(flash, board, runtime(), read_key(flash.read(KEY_FILE, 512) or b""))
        slot = slots.choose()
        return NAMES[slot], NAMES[slot] != "" and slot == slots.state.trial
    except Exception as error:
        tell(error)
        return "", False


def forget() -> None:
    """Unloads what the choice needed: the slot brings its own. (The built-in's are its own.)"""
    for name in list(sys.modules):
        if name.split(".")[0] in ("firmware", "protocols"):
            del sys.modules[name]


def tell(error: Exception) -> None:
    """On the console."""
    show = getattr(sys, "print_exception", None)
    if show is not None:
        show(error)
    else:
        print(repr(error))


def arm() -> None:
    """The board's watchdog; a board of files has its own in the node's loop only."""
    if sys.platform == "rp2":
        from machine import WDT

        WDT(timeout=TRIAL_WATCHDOG_MS)


def reset() -> None:
    """Starts the node again."""
    if sys.platform == "rp2":
        import machine

        machine.reset()
    with open((os.getenv("NODE_DIR") or ".") + "/reset", "wb") as file:
        file.write(b"1")
    sys.exit(EXIT_RESET)


def run() -> None:
    """Starts the firmware; when it ends, for whatever reason, the node resets."""
    root, board = place()
    slot, trial = choose(root, board)
    if slot:
        sys.path.insert(0, root + "/slots/" + slot)
        forget()
    gc.collect()
    if trial:
        arm()
    try:
        from firmware.main import main

        main()
    except Exception as error:
        tell(error)
    if not trial:
        time.sleep(CRASH_PAUSE_S)
    reset()


if __name__ == "__main__":
    run()
