"""Run a program that dies with its parent: `broker_leash.py <parent pid> <program> <words>...`.

The kernel sends SIGKILL when the thread that started us ends (Linux prctl(2) PR_SET_PDEATHSIG);
that survives execve. Elsewhere nothing is set; the next start clears away what was left running.
Imports only what is built in, since it stands between the collector and its broker.
"""

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def main() -> None:
    """Tie this process to its parent, then become the program."""
    parent, program, *words = sys.argv[1:]
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != int(parent):
            raise SystemExit(1)  # the parent died before the leash was on
    os.execv(program, [program, *words])  # noqa: S606 - a fixed list, no shell


if __name__ == "__main__":
    main()
