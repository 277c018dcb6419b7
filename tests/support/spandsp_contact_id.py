"""libspandsp2's Contact ID sender and receiver as ends of a call (ctypes; protocols.md 5.4)."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
from numpy.typing import NDArray

from protocols.contact_id.message import Message, encode
from protocols.tones.elements import FRAME_SAMPLES
from tests.support.tone_peers import spandsp

Samples = NDArray[np.int16]


class _Report(ctypes.Structure):
    """Its fields are hex digits read as numbers."""

    _fields_ = [(name, ctypes.c_int) for name in ("acct", "mt", "q", "xyz", "gg", "ccc")]


_Told = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.POINTER(_Report))
_Tone = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int, ctypes.c_int, ctypes.c_int)


def _library() -> ctypes.CDLL:
    library = spandsp()
    pointer, whole = ctypes.c_void_p, ctypes.c_int
    for which, callback in (("receiver", _Told), ("sender", _Tone)):
        init = getattr(library, f"ademco_contactid_{which}_init")
        init.restype, init.argtypes = pointer, (pointer, callback, pointer)
        for way in ("tx", "rx"):
            function = getattr(library, f"ademco_contactid_{which}_{way}")
            function.restype, function.argtypes = whole, (pointer, pointer, whole)
        getattr(library, f"ademco_contactid_{which}_free").argtypes = (pointer,)
    library.ademco_contactid_sender_put.restype = whole
    library.ademco_contactid_sender_put.argtypes = (pointer, ctypes.POINTER(_Report))
    return library


class _SpandspEnd:
    which: str

    def __init__(self, callback: Any) -> None:
        self._library = _library()
        self._callback = callback  # kept alive as long as it may be called
        self._state: int = getattr(self._library, f"ademco_contactid_{self.which}_init")(
            None, callback, None
        )
        self._tx = getattr(self._library, f"ademco_contactid_{self.which}_tx")
        self._rx = getattr(self._library, f"ademco_contactid_{self.which}_rx")

    over = False

    def frame(self, heard: Samples) -> Samples:
        heard = np.ascontiguousarray(heard)
        self._rx(self._state, heard.ctypes.data, FRAME_SAMPLES)
        out = np.zeros(FRAME_SAMPLES, np.int16)
        count = self._tx(self._state, out.ctypes.data, FRAME_SAMPLES)
        out[max(0, count) :] = 0
        return out

    def hung_up(self) -> None:
        if self._state:
            getattr(self._library, f"ademco_contactid_{self.which}_free")(self._state)
        self._state = 0


class SpandspReceives(_SpandspEnd):
    """Answers, sounds the handshake, kisses off; `digits` are the messages it took."""

    which = "receiver"

    def __init__(self) -> None:
        self.digits: list[str] = []
        super().__init__(_Told(self._told))

    def _told(self, _: Any, report: Any) -> None:
        it = report.contents
        fields = (f"{it.acct:04X}", f"{it.q:X}", f"{it.xyz:03X}", f"{it.gg:02X}", f"{it.ccc:03X}")
        self.digits.append(encode(Message(*fields, f"{it.mt:02X}")))


class SpandspSends(_SpandspEnd):
    """Waits for the handshake and sends its messages one after the other; hangs up when all have
    been kissed off. `acknowledged` counts them.
    """

    which = "sender"

    def __init__(self, messages: list[Message]) -> None:
        self.acknowledged = 0
        self._messages = messages
        self._put = 0
        self._quiet = 0
        super().__init__(_Tone(self._tone))

    def _tone(self, _: Any, code: int, level: int, delay: int) -> None:
        # -1: it heard the handshake; 1: it heard the kiss-off
        self.acknowledged += code == 1

    @property
    def over(self) -> bool:  # type: ignore[override]
        return self.acknowledged >= len(self._messages)

    def frame(self, heard: Samples) -> Samples:
        if self._put < len(self._messages) and self._put == self.acknowledged:
            it = self._messages[self._put]
            report = _Report(
                *(int(text, 16) for text in (it.account, it.mt, it.q, it.code, it.area, it.number))
            )
            if self._library.ademco_contactid_sender_put(self._state, ctypes.byref(report)) >= 0:
                self._put += 1
        return super().frame(heard)
