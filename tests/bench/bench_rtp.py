"""P11: lines a core from RTP packet to digit, against the bare packet receiver, interleaved.

Both take 172-byte packets (12 of header, 160 of mu-law) from a UDP socket that was filled before
the clock starts, so that CPU time is that of receiving alone. JSON on standard output.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import time

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # one core is measured; before numpy is loaded

import numpy as np

from protocols.tones import g711
from protocols.tones.bank import ToneBank
from protocols.tones.elements import DigitHeard, Digits
from protocols.tones.listening import Listen
from protocols.tones.synthesis import Player

FRAME = 160
MU = g711.Law.MU
HEARD = Listen(digits=True, tones_hz=(1400, 2300))
"""What P11 asks for; `CENTRE` listens for pulses and FSK as well."""


def packets(lines: int, frames: int) -> list[list[bytes]]:
    """By frame, then line. Every line plays digits, each at a shift of its own."""
    player = Player()
    player.play([Digits("1234567890ABCD*#" * 8)])
    wave = player.read(FRAME * (frames + 64))
    rows = []
    for frame in range(frames):
        row = []
        for line in range(lines):
            at = frame * FRAME + (line * 37) % (FRAME * 60)
            head = b"\x80\x00" + frame.to_bytes(2, "big") + (frame * FRAME).to_bytes(4, "big")
            row.append(
                head + line.to_bytes(4, "big") + g711.encode(wave[at : at + FRAME], MU).tobytes()
            )
        rows.append(row)
    return rows


class Ring:
    """Where packets land: a row a line, and how much of it is filled."""

    def __init__(self, lines: int) -> None:
        self.audio = np.zeros((lines, FRAME), np.int16)


def run(rows: list[list[bytes]], lines: int, bank: ToneBank | None) -> tuple[float, int, int]:
    """(CPU seconds of receiving, packets, digits)."""
    table = g711.decode(np.arange(256, dtype=np.uint8), MU)
    ring = Ring(lines)
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
    receiver.bind(("127.0.0.1", 0))
    receiver.setblocking(False)
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    where = receiver.getsockname()
    cpu, taken, digits = 0.0, 0, 0
    buffer = bytearray(2048)
    view = memoryview(buffer)
    for row in rows:
        for packet in row:
            sender.sendto(packet, where)
        began = time.thread_time()
        while True:
            try:
                size = receiver.recv_into(buffer)
            except BlockingIOError:
                break
            if size < 12 or buffer[0] >> 6 != 2:
                continue
            line = int.from_bytes(view[8:12], "big")
            ring.audio[line] = table[np.frombuffer(buffer, np.uint8, size - 12, 12)]
            taken += 1
        if bank is not None:
            for _, heard in bank.feed(ring.audio):
                digits += isinstance(heard, DigitHeard)
        cpu += time.thread_time() - began
    receiver.close()
    sender.close()
    return cpu, taken, digits


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=150)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    lines = options.lines
    rows = packets(lines, options.frames)
    bare, whole, ratios, digits = [], [], [], 0
    for _ in range(options.pairs):
        spent, taken, _none = run(rows, lines, None)
        bare.append(taken / spent / 50)
        spent, taken, digits = run(rows, lines, ToneBank(lines, HEARD))
        whole.append(taken / spent / 50)
        ratios.append(whole[-1] / bare[-1])
    print(
        json.dumps(
            {
                "bench": "P11 RTP packet to digit",
                "lines": lines,
                "packets_a_run": lines * options.frames,
                "digits_a_run": digits,
                "bare_lines_per_core": round(statistics.median(bare)),
                "whole_lines_per_core": round(statistics.median(whole)),
                "ratio_median": round(statistics.median(ratios), 3),
                "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
                "aim": 0.5,
            }
        )
    )


if __name__ == "__main__":
    main()
