"""`[phone]` of the panel file: the second way in, which shares nothing with the first (R84)."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import msgspec
from msgspec import Meta

PhoneNumber = Annotated[str, Meta(pattern=r"^[0-9*#,]{1,32}$")]


class LineDriver(Enum):
    """What the line is."""

    MODEM = "modem"
    """A USB or serial voice modem (AT commands)."""
    SOCKET = "socket"
    """Whoever holds a line and speaks AudioSocket: SIP agent, simulated exchange."""


class DialToneWait(Enum):
    """What is done about the dial tone."""

    NEEDED = "needed"
    """No dial tone: no call, and the line is taken as cut."""
    BLIND = "blind"
    """Dial after `dial_tone_s` whether it is heard or not (PBX, foreign tones)."""


class PolicyKind(Enum):
    """Which Records go by phone (R102)."""

    DUAL = "dual"
    """All that a phone message can tell, always."""
    FALLBACK = "fallback"
    """What MQTT has not acknowledged in the time its priority has."""
    PHONE_ONLY = "phone-only"


class PhoneLineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[phone.line]`. `device`: the modem's port. `address`: "host:port" or "unix:PATH" (relative
    paths start at the data directory).
    """

    driver: LineDriver
    device: str = ""
    address: str = ""
    baud: Annotated[int, Meta(ge=1200, le=921_600)] = 115_200
    """Serial speed of the modem."""
    init: tuple[str, ...] = ()
    """AT commands sent after the adapter's own start-up, for the odd modem."""
    duplex: bool = True
    """False: never +VTR, for modems that offer it but do it badly."""
    dtmf_by_modem: bool = True
    """Let the modem make the digits (+VTS) where it can; else they are played as audio."""
    level_dbm0: Annotated[float, Meta(ge=-30, le=0)] = -9.0
    microphone: tuple[str, ...] = ()
    """For listen-in: a command that records the premises to its output, raw, 8 kHz, 16 bit, mono,
    as ["arecord", "-q", "-t", "raw", "-f", "S16_LE", "-r", "8000", "-c", "1"]. Empty: none."""
    plan: Annotated[str, Meta(pattern="^(CN|EU|US)$")] = "CN"
    """Whose dial and busy tones to listen for."""


class PhoneConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The phone path."""

    account: Annotated[str, Meta(pattern="^([0-9B-F]{4}|[0-9B-F]{10})$")]
    """As the centre knows this panel on the phone: 4 digits, or 10 for 22-digit messages."""
    numbers: Annotated[tuple[PhoneNumber, ...], Meta(min_length=1, max_length=4)]
    """Main number first, then back-ups."""
    line: PhoneLineConfig
    policy: PolicyKind = PolicyKind.FALLBACK
    wait_holdup_s: Annotated[float, Meta(ge=0, le=60)] = 3
    """`fallback`: how long MQTT has. Hold-up and duress."""
    wait_fire_s: Annotated[float, Meta(ge=0, le=60)] = 3
    """Fire, gas, water, medical."""
    wait_burglary_s: Annotated[float, Meta(ge=0, le=60)] = 10
    """Burglary; tampers too. A call takes 15 to 25 s more, and an alarm has 90 s (users.md M1)."""
    wait_trouble_s: Annotated[float, Meta(ge=1, le=3600)] | None = 60
    """None: troubles never go by phone."""
    wait_open_close_s: Annotated[float, Meta(ge=1, le=3600)] | None = None
    """None, the default: openings and closings never go by phone."""
    marks: bool = True
    """Send the sequence mark (D12). Off for receivers that are not Tocsin's."""
    mark_code: Annotated[int, Meta(ge=750, le=789)] = 780
    pulse: bool = False
    """Loop-disconnect dialling."""
    dial_tone: DialToneWait = DialToneWait.NEEDED
    dial_tone_s: Annotated[float, Meta(ge=0.5, le=30)] = 5
    answer_s: Annotated[float, Meta(ge=10, le=120)] = 45
    """From dialling to the handshake."""
    digit_ms: Annotated[int, Meta(ge=40, le=200)] = 50
    gap_ms: Annotated[int, Meta(ge=40, le=200)] = 50
    test_s: Annotated[float, Meta(ge=60, le=7 * 86_400)] = 86_400
    """A test call (602) so often, whatever MQTT says (users.md M2)."""
    redial_s: Annotated[float, Meta(ge=1, le=60)] = 5
    """After the first failed call; doubles with each."""
    redial_max_s: Annotated[float, Meta(ge=30, le=900)] = 900
    """Retries slow down to this, and never stop (users.md L4)."""
    failed_calls_per_hour: Annotated[int, Meta(ge=12, le=120)] = 32
    """No redial storm: not more calls in any hour that deliver nothing, a quarter of it in any 15
    minutes; two of these are kept for hold-ups, two more for other alarms."""
    line_check_s: Annotated[float, Meta(ge=60, le=86_400)] | None = None
    """Listen for the dial tone so often, for lines that do not tell their voltage. None: every
    120 s on a modem whose dial tone is needed (users.md M2), never on a socket, which tells by
    itself."""
    listen_in_s: Annotated[float, Meta(ge=0, le=600)] = 0
    """0: no listen-in. Else code 606 ends a call with an alarm, and the line stays up so long at
    most, or until # is pressed, `tocsin-edge phone release`, or an alarm. Needs a microphone."""
