"""Who a node says it is, and what it counts. [both runtimes]"""


class Identity:
    """What PDID tells. Vendor 3 bytes, serial 4, others one."""

    def __init__(
        self, vendor: int, model: int, version: int, serial: int, firmware: "tuple[int, int, int]"
    ) -> None:
        self.vendor = vendor
        self.model = model
        self.version = version
        self.serial = serial
        self.firmware = firmware

    def vendor_bytes(self) -> bytes:
        """Least significant first."""
        return self.vendor.to_bytes(3, "little")

    def encode(self) -> bytes:
        """Payload of PDID."""
        return (
            self.vendor_bytes()
            + bytes((self.model & 0xFF, self.version & 0xFF))
            + self.serial.to_bytes(4, "little")
            + bytes([part & 0xFF for part in self.firmware])
        )


class Counts:
    """Since the start."""

    def __init__(self) -> None:
        self.commands = 0
        self.malformed = 0
        self.foreign = 0
        self.repeats = 0
        self.naks = 0
        self.bad_macs = 0
        self.refused_clear = 0
        self.sessions = 0
        self.failed_handshakes = 0
