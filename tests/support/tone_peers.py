"""Other people's tone decoders: each takes int16 at 8 kHz and gives the digits it heard.

multimon-ng, minimodem and PyDTMF are GPL and only ever run as processes; libspandsp2 (LGPL) by
ctypes, in tests and benches alone.
"""

from __future__ import annotations

import ctypes
import io
import subprocess
import sys
import tempfile
import wave
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.int16]
LIMIT_S = 600.0


def multimon(samples: Samples) -> str:
    """Digits by multimon-ng, resampled to its 22,050 Hz by sox as everybody does."""
    return digits_of_multimon(multimon_process(resampled(samples)))


def resampled(samples: Samples) -> bytes:
    """To 22,050 Hz by sox."""
    form = ["-t", "raw", "-e", "signed", "-b", "16", "-c", "1"]
    command = ["sox", *form, "-r", "8000", "-", *form, "-r", "22050", "-"]
    return _piped(command, samples.astype("<i2").tobytes())


def coded(samples: Samples, codec: str, mode: int | None = None) -> Samples:
    """Through sox's `gsm` or `amr-nb` (mode 0: 4.75 kbit/s .. 7: 12.2) and back."""
    form = ["-t", "raw", "-r", "8000", "-e", "signed", "-b", "16", "-c", "1", "-"]
    wanted = ["-t", codec, "-"] if mode is None else ["-t", codec, "-C", str(mode), "-"]
    packed = _piped(["sox", *form, *wanted], samples.astype("<i2").tobytes())
    return np.frombuffer(_piped(["sox", "-t", codec, "-", *form], packed), "<i2").astype(np.int16)


def multimon_process(raw: bytes) -> str:
    """What multimon-ng prints about raw audio at its own rate."""
    return _piped(["multimon-ng", "-q", "-t", "raw", "-a", "DTMF", "-"], raw).decode()


def digits_of_multimon(text: str) -> str:
    """`DTMF: 5` lines to `5...`."""
    return "".join(line.split()[1] for line in text.splitlines() if line.startswith("DTMF:"))


def pydtmf(samples: Samples) -> str:
    """Digits by PyDTMF's command line."""
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        file.write(wav(samples))
        file.flush()
        text = _piped([sys.executable, "-m", "PyDTMF", file.name], b"").decode()
    found = text.partition("DTMF numbers:")[2].strip().splitlines()[0].strip()
    return "" if found == "none" else found


def wav(samples: Samples) -> bytes:
    """A WAV file in memory."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(samples.astype("<i2").tobytes())
    return out.getvalue()


@cache
def spandsp() -> ctypes.CDLL:
    """libspandsp2 with the signatures used here."""
    library = ctypes.CDLL("libspandsp.so.2")
    pointer, whole = ctypes.c_void_p, ctypes.c_int
    for name, result, arguments in (
        ("dtmf_rx_init", pointer, (pointer, pointer, pointer)),
        ("dtmf_rx", whole, (pointer, pointer, whole)),
        ("dtmf_rx_get", ctypes.c_size_t, (pointer, pointer, whole)),
        ("dtmf_rx_free", whole, (pointer,)),
        ("dtmf_tx_init", pointer, (pointer, pointer, pointer)),
        ("dtmf_tx_put", ctypes.c_size_t, (pointer, ctypes.c_char_p, whole)),
        ("dtmf_tx", whole, (pointer, pointer, whole)),
        ("dtmf_tx_set_timing", None, (pointer, whole, whole)),
        ("dtmf_tx_set_level", None, (pointer, whole, whole)),
        ("dtmf_tx_free", whole, (pointer,)),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


class SpandspReceiver:
    """One line of spandsp's DTMF receiver."""

    def __init__(self) -> None:
        self._library = spandsp()
        self.state = self._library.dtmf_rx_init(None, None, None)
        self._buffer = ctypes.create_string_buffer(128)

    def feed(self, samples: Samples) -> None:
        """Samples must be contiguous."""
        self._library.dtmf_rx(self.state, samples.ctypes.data, len(samples))

    def take(self) -> str:
        """Digits since the last call, at most 128."""
        count = self._library.dtmf_rx_get(self.state, self._buffer, 128)
        return self._buffer.raw[:count].decode()

    def close(self) -> None:
        """Give the memory back."""
        self._library.dtmf_rx_free(self.state)


def spandsp_digits(samples: Samples) -> str:
    """Digits by spandsp, fed in 20 ms frames."""
    receiver = SpandspReceiver()
    samples = np.ascontiguousarray(samples)
    found: list[str] = []
    for at in range(0, len(samples), 160):
        receiver.feed(samples[at : at + 160])
        if at % 1600 == 0:
            found.append(receiver.take())
    found.append(receiver.take())
    receiver.close()
    return "".join(found)


def spandsp_sends(keys: str, on_ms: int = 50, off_ms: int = 55, level_dbm0: int = -10) -> Samples:
    """`keys` as spandsp's sender plays them, with 200 ms of silence at both ends."""
    library = spandsp()
    state = library.dtmf_tx_init(None, None, None)
    library.dtmf_tx_set_timing(state, on_ms, off_ms)
    library.dtmf_tx_set_level(state, level_dbm0, 0)
    parts = [np.zeros(1600, np.int16)]
    for at in range(0, len(keys), 16):
        some = keys[at : at + 16].encode()
        library.dtmf_tx_put(state, some, len(some))
        while True:
            part = np.zeros(160, np.int16)
            count = library.dtmf_tx(state, part.ctypes.data, 160)
            parts.append(part[:count])
            if count < 160:
                break
    library.dtmf_tx_free(state)
    parts.append(np.zeros(1600, np.int16))
    return np.concatenate(parts)


def minimodem_hears(samples: Samples, mark_hz: int, space_hz: int, baud: int) -> bytes:
    """Bytes that minimodem takes from samples."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "heard.wav"
        path.write_bytes(wav(samples))
        return _piped(
            [*_minimodem("--rx", mark_hz, space_hz), "-q", "-f", str(path), str(baud)], b""
        )


def minimodem_sends(data: bytes, mark_hz: int, space_hz: int, baud: int) -> Samples:
    """Samples of bytes as minimodem plays them."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sent.wav"
        command = [*_minimodem("--tx", mark_hz, space_hz), "-R", "8000", "-f", str(path), str(baud)]
        _piped(command, data)
        with wave.open(str(path), "rb") as file:
            return np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)


def _minimodem(way: str, mark_hz: int, space_hz: int) -> list[str]:
    return ["minimodem", way, "-8", "-M", str(mark_hz), "-S", str(space_hz)]


def _piped(command: list[str], data: bytes) -> bytes:
    done = subprocess.run(command, input=data, capture_output=True, timeout=LIMIT_S, check=False)
    if done.returncode and not done.stdout:
        raise RuntimeError(f"{command[0]}: {done.stderr.decode(errors='replace')}")
    return done.stdout
