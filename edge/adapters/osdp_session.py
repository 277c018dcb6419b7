"""One node's libosdp controller context, driven one exchange at a time.

libosdp waits 200 ms for a reply, 800 ms before a retry and 300 s after any failure. None of that
may hold the bus, so the context is only ever refreshed to make its next command, and to take a
reply that is already there. A context that failed is disabled and enabled again, which begins anew
with sequence number 0.
"""

from __future__ import annotations

import contextlib
import ctypes
import secrets
import sys
from collections.abc import Callable
from typing import Any, Final

import osdp_sys

_REFRESHES: Final = 4
"""Enough for libosdp to leave any state and hand over a frame."""
FIRMWARE_FILE: Final = 1
"""File transfer type: opaque."""
FILE_CHUNK_BYTES: Final = 180
"""12 AES blocks with the 11 bytes of header; libosdp's own choice overflows its buffer."""

osdp_sys.set_loglevel(osdp_sys.LOG_EMERG)


class FreshChance:
    """Makes libosdp's challenges new ones.

    It draws them from the C library's rand() and never seeds it: each start of the panel would
    repeat the challenges of the last, and a recorded session could be played back whole, with all
    its MACs right. The state of glibc's generator is therefore filled anew before every handshake.
    """

    WORDS: Final = 31
    """Of state of glibc's default generator, after one word that describes it."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(None)
        self._state = ctypes.create_string_buffer(4 * (self.WORDS + 1))
        with contextlib.suppress(AttributeError):  # another C library: its seed must do
            self._library.initstate(1, self._state, len(self._state))

    def renew(self) -> None:
        """The next challenge has not been seen before."""
        self._library.srand(secrets.randbits(32))
        ctypes.memmove(ctypes.addressof(self._state) + 4, secrets.token_bytes(4 * self.WORDS), 124)


_CHANCE: Final = FreshChance()


class FileSource:
    """What libosdp reads a file transfer from. Offsets and sizes in bytes."""

    def __init__(self) -> None:
        self.image = b""
        self.offset = 0
        self.closed = False

    def operations(self) -> dict[str, Callable[..., Any]]:
        """For register_file_ops."""
        return {"open": self._open, "read": self._read, "write": self._write, "close": self._close}

    def _open(self, _file_id: int, _size: int) -> int:
        self.offset, self.closed = 0, False
        return len(self.image)

    def _read(self, size: int, offset: int) -> bytes:
        self.offset = offset
        # Nothing at all would be an error set in the binding and raised somewhere else.
        return self.image[offset : offset + min(FILE_CHUNK_BYTES, size)] or b"\0"

    def _write(self, _data: bytes, _offset: int) -> int:
        return 0

    def _close(self, _file_id: int) -> int:
        self.closed = True
        return 0


class Session:
    """One context: a node with one key, or in clear text (`key` None)."""

    def __init__(self, address: int, key: bytes | None, *, enforce: bool = True) -> None:
        self.address = address
        self.key = key or b""
        """The node's own key, as libosdp has it: a new one after KEYSET."""
        self.secure = False
        """Secure channel with the node's own key."""
        self.default_key = False
        self.online = False
        self.fell = False
        """libosdp gave the node up since the last `answer`."""
        self.id = 1
        self.file = FileSource()
        self._event: dict[str, Any] | None = None
        self._events: list[dict[str, Any]] = []
        self._inbox = b""
        self._outbox = b""
        flags = osdp_sys.FLAG_ENABLE_NOTIFICATION | osdp_sys.FLAG_IGN_UNSOLICITED
        if key is not None and enforce:
            flags |= osdp_sys.FLAG_ENFORCE_SECURE
        info: dict[str, Any] = {
            "name": f"node-{address}",
            "address": address,
            "flags": flags,
            "channel": self,
        }
        if key is not None:
            info["scbk"] = key
        self._panel = osdp_sys.ControlPanel([info])
        self._panel.set_event_callback(self._heard)
        self._panel.register_file_ops(0, self.file.operations())

    # --- libosdp's channel ---

    def read(self, most: int) -> bytes:
        """Channel: what the node answered."""
        data, self._inbox = self._inbox[:most], self._inbox[most:]
        return data

    def write(self, data: bytes) -> int:
        """Channel: the next command. It is only kept here; who holds the bus sends it."""
        self._outbox = bytes(data)
        return len(data)

    def flush(self) -> None:
        """Channel: libosdp begins anew."""
        self._inbox = b""

    # --- one exchange ---

    def command(self) -> bytes:
        """The frame to send now; b"": nothing yet (libosdp polls every 50 ms at most).

        Until `answer` or `reset`, the same frame again: a retry keeps its sequence number (J5).
        """
        for _ in range(_REFRESHES):
            if self._outbox:
                break
            self._panel.refresh()
        return self._outbox

    def answer(self, reply: bytes) -> list[dict[str, Any]]:
        """What the node said, as libosdp's events. Afterwards look at `fell` and the states."""
        self.fell = False
        self._inbox = reply
        self._outbox = b""
        self._events = []
        _CHANCE.renew()
        self._panel.refresh()
        self._release_event()
        return self._events

    def reset(self) -> None:
        """Begin anew at once, whatever libosdp is waiting for."""
        self._panel.disable_pd(0)
        for _ in range(2 * _REFRESHES):
            if self._outbox:
                # Out of its wait for a reply libosdp comes at once only by a broken one.
                self._inbox = _broken_reply(self.address)
                self._outbox = b""
            self._panel.refresh()
            if not self._panel.is_pd_enabled(0):
                break
        self._outbox = b""
        self._inbox = b""
        self._panel.flush_commands(0)
        self._panel.enable_pd(0)
        self._panel.refresh()
        self._release_event()
        self._events = []
        self.online = self.secure = self.default_key = False
        self.fell = False

    def submit(self, command: dict[str, Any]) -> bool:
        """Next after the exchange under way. False: not online, or libosdp refuses it."""
        return bool(self._panel.submit_command(0, command))

    def abort_file(self) -> bool:
        """Give a transfer up; ABORT is the next command. False: none was under way."""
        cancel = osdp_sys.CMD_FILE_TX_FLAG_CANCEL & 0xFFFFFFFF
        return self.submit({"command": osdp_sys.CMD_FILE_TX, "id": FIRMWARE_FILE, "flags": cancel})

    def enforce(self) -> None:
        """From now on nothing but the secure channel."""
        self._panel.set_flag(0, osdp_sys.FLAG_ENFORCE_SECURE)

    def identity(self) -> dict[str, int]:
        """As the node told it: vendor_code, model, version, serial_number, firmware_version."""
        return dict(self._panel.get_pd_id(0))

    def file_status(self) -> dict[str, int] | None:
        """Of a transfer; None: at its end the node still works on it, or there was none."""
        status = self._panel.get_file_tx_status(0)
        return None if status is None else dict(status)

    def _heard(self, _place: int, event: dict[str, Any]) -> int:
        self._release_event()
        if event["event"] == osdp_sys.EVENT_NOTIFICATION:
            if event["type"] == osdp_sys.EVENT_NOTIFICATION_PD_STATUS:
                self.online = bool(event["arg0"])
                self.fell = self.fell or not self.online
            elif event["type"] == osdp_sys.EVENT_NOTIFICATION_SC_STATUS:
                active = bool(event["arg0"])
                self.online = self.online and (active or not self.key)
                self.default_key = active and bool(event["arg1"])
                self.secure = active and not self.default_key
        else:
            self._events.append(dict(event))
        self._event = event
        return 0

    def _release_event(self) -> None:
        # The binding never gives up its own reference to an event: some hundred bytes a report,
        # for years. Compared with a dict held in the same way, one too many is that reference.
        event, self._event = self._event, None
        if event is None:
            return
        own: dict[str, Any] = {}
        if sys.getrefcount(event) == sys.getrefcount(own) + 1:
            ctypes.pythonapi.Py_DecRef(ctypes.py_object(event))


def _broken_reply(address: int) -> bytes:
    body = bytes([0x53, address | 0x80, 7, 0, 0, 0x40])
    return b"\xff" + body + bytes([(1 - sum(body)) & 0xFF])
