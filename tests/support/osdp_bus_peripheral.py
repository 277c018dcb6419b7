"""libosdp's own peripheral as a station on the bus wire: a node nobody here has written."""

from __future__ import annotations

from typing import Any

import osdp_sys

from protocols.osdp import codes
from protocols.osdp.frame import Frame, FrameReader, build


class _Channel:
    def __init__(self, identity: int) -> None:
        self.id = identity
        self.heard = b""
        self.said = b""

    def read(self, most: int) -> bytes:
        data, self.heard = self.heard[:most], self.heard[most:]
        return data

    def write(self, data: bytes) -> int:
        self.said += bytes(data)
        return len(data)

    def flush(self) -> None:
        self.heard = b""


class LibosdpNode:
    """libosdp's own peripheral."""

    def __init__(
        self,
        address: int,
        key: bytes | None,
        inputs: int = 8,
        serial: int = 7,
    ) -> None:
        self.address = address
        self._channel = _Channel(100 + address)
        info: dict[str, Any] = {
            "name": f"pd-{address}",
            "address": address,
            "flags": osdp_sys.FLAG_INSTALL_MODE if key is None else osdp_sys.FLAG_ENFORCE_SECURE,
            "channel": self._channel,
            "version": 1,
            "model": 2,
            "vendor_code": 0x010203,
            "serial_number": serial,
            "firmware_version": 0x010203,
        }
        if key is not None:
            info["scbk"] = key
        # Without a key: as delivered, open to the default key.
        capabilities = [
            (osdp_sys.CAP_CONTACT_STATUS_MONITORING, 4, inputs),
            (osdp_sys.CAP_OUTPUT_CONTROL, 1, 2),
            (osdp_sys.CAP_READER_LED_CONTROL, 1, 1),
            (osdp_sys.CAP_READER_AUDIBLE_OUTPUT, 1, 1),
            (osdp_sys.CAP_CHECK_CHARACTER_SUPPORT, 1, 0),
            (osdp_sys.CAP_COMMUNICATION_SECURITY, 1, 1),
        ]
        self._device = osdp_sys.PeripheralDevice(
            info,
            capabilities=[
                {"function_code": code, "compliance_level": level, "num_items": items}
                for code, level, items in capabilities
            ],
        )
        self.commands: list[dict[str, Any]] = []
        self._device.set_command_callback(self._commanded)

    def _commanded(self, command: dict[str, Any]) -> tuple[int, None]:
        self.commands.append(command)
        return 0, None

    def tell_inputs(self, states: bytes) -> None:
        event = {
            "event": osdp_sys.EVENT_STATUS,
            "type": osdp_sys.STATUS_REPORT_INPUT,
            "report": states,
        }
        assert self._device.submit_event(event)

    def tick(self, now_ms: int) -> None:
        """Station: nothing to do."""

    def receive(self, data: bytes, now_ms: int) -> bytes:
        """Station."""
        del now_ms
        self._channel.heard += data
        for _ in range(3):
            self._device.refresh()
        said, self._channel.said = self._channel.said, b""
        return said


class PlainNode:
    """A node that has never heard of a secure channel; acknowledges everything."""

    def __init__(self, address: int) -> None:
        self.address = address
        self._reader = FrameReader()

    def tick(self, now_ms: int) -> None:
        """Station: nothing to do."""

    def receive(self, data: bytes, now_ms: int) -> bytes:
        """Station."""
        del now_ms
        said = b""
        for frame in self._reader.feed(data):
            if isinstance(frame, Frame) and not frame.reply and frame.address == self.address:
                said = self._answer(frame)
        return said

    def _answer(self, frame: Frame) -> bytes:
        inputs = bytes([1, 1, 8])
        answers = {
            codes.ID: bytes([codes.PDID]) + bytes(12),
            codes.CAP: bytes([codes.PDCAP]) + inputs,
            codes.POLL: bytes([codes.ISTATR]) + bytes(8),
            codes.CHLNG: bytes([codes.NAK, codes.NAK_NO_SECURE_CHANNEL]),
        }
        data = answers.get(frame.data[0], bytes([codes.ACK]))
        return build(self.address, frame.sequence, data, reply=True)
