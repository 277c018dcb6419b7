"""`receiver.toml`: what a phone receiver answers, how, and whom it tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Final, Literal

import msgspec

from collector.reception.formats import Format
from collector.reception.formats_dtmf import DtmfFamily
from collector.reception.formats_fsk import Answer, SiaLevel
from collector.reception.formats_pulse import DEFAULT as PULSE_DEFAULT
from collector.reception.formats_pulse import NAMES as PULSE_NAMES
from collector.reception.formats_pulse import PulseFamily
from collector.reception.profile import ASTERISK, HANDSHAKES, Handshake, Profile
from protocols import phone_batch
from protocols.contact_id import dc03
from protocols.contact_id.profile import EventRule
from protocols.contact_id.profile import Profile as EventProfile
from protocols.panel_event import Qualifier
from protocols.tones.elements import Tone

Seconds = Annotated[float, msgspec.Meta(ge=0, le=3600)]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
_Q: Final = {"new": Qualifier.NEW, "restore": Qualifier.RESTORE, "status": Qualifier.STATUS}
PRESETS: Final = {"tocsin": Profile(), "asterisk": ASTERISK}


class SiaConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What of SIA DC-03 on a phone line is not public: see formats_fsk.Answer and dc03.Setting."""

    answer: Literal["block", "tone", "none"] = "block"
    answer_hz: Annotated[float, msgspec.Meta(ge=300, le=3400)] | None = None
    answer_ms: Annotated[int, msgspec.Meta(ge=0, le=5000)] = 200
    accepted: Annotated[str, msgspec.Meta(pattern="^[!-~]$")] = "8"
    functions: Annotated[str, msgspec.Meta(pattern="^[!-~]+$")] = dc03.Setting().functions
    flags: tuple[Literal[0x00, 0x40, 0x80, 0xC0], ...] = (0x00, 0x40, 0x80, 0xC0)
    parity: Annotated[int, msgspec.Meta(ge=0, le=255)] = 0xFF

    @property
    def reader(self) -> SiaLevel:
        """Their recogniser."""
        setting = dc03.Setting(
            self.functions, frozenset(self.flags), parity=self.parity, accepted=self.accepted
        )
        return SiaLevel(setting, Answer(self.answer, self.answer_hz, self.answer_ms))


class ProfileConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How calls are answered. What is absent is as in the preset."""

    preset: Literal["tocsin", "asterisk"] = "tocsin"
    handshakes: list[str] | None = None
    answer_silence_s: Annotated[float, msgspec.Meta(ge=0.5, le=10)] | None = None
    first_digit_s: Annotated[float, msgspec.Meta(ge=1, le=10)] | None = None
    kiss_off_ms: Annotated[int, msgspec.Meta(ge=500, le=2000)] | None = None
    kiss_off_hz: Annotated[float, msgspec.Meta(ge=1000, le=3000)] | None = None
    rounds: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None
    next_block_s: Seconds | None = None
    max_call_s: Annotated[float, msgspec.Meta(ge=10, le=3600)] | None = None
    max_blocks: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    listen_in_s: Seconds | None = None
    late_digit_s: Annotated[float, msgspec.Meta(ge=0.3, le=10)] | None = None
    short_twice: bool | None = None
    sia: SiaConfig = SiaConfig()
    pulse: list[str] | None = None
    """Pulse formats of this line, such as "4+2 parity"; absent: 3+1, 4+1 and 4+2 by two rounds."""


class LineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One AudioSocket listener: `lines` calls at once from `allow`."""

    name: Name
    listen: str = "127.0.0.1:9092"
    lines: Annotated[int, msgspec.Meta(ge=1, le=4000)] = 64
    per_peer: Annotated[int, msgspec.Meta(ge=1, le=4000)] | None = None
    allow: tuple[str, ...] = ("127.0.0.0/8", "::1/128")
    profile: str = "default"
    listen_in: Literal["stay", "release"] = "stay"
    """After code 606: stay silent on the line, or hand the call back to the exchange."""


class ModemConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One voice modem that answers calls. `rings`: the caller's number comes after the first, so 2
    are needed to have it. `duplex` False: never +VTR, for modems that offer it but do it badly.
    `init`: commands of this make of modem, last before the first call.
    """

    name: Name
    device: Annotated[str, msgspec.Meta(min_length=1)]
    baud: Annotated[int, msgspec.Meta(ge=9600, le=921_600)] = 115_200
    rings: Annotated[int, msgspec.Meta(ge=1, le=10)] = 2
    duplex: bool = True
    init: tuple[Annotated[str, msgspec.Meta(pattern="^AT[ -~]*$")], ...] = ()
    profile: str = "default"


class HardwareConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One hardware receiver: `device` (serial), `connect` or `listen` (host:port)."""

    name: Name
    dialect: str
    device: str = ""
    connect: str = ""
    listen: str = ""
    baud: Annotated[int, msgspec.Meta(ge=300, le=921_600)] = 9600
    mode: Annotated[str, msgspec.Meta(pattern="^[78][NEO][12]$")] = "8N1"
    allow: tuple[str, ...] = ()
    """With `listen`: addresses and networks that may connect, for there is no other guard. None
    named: any, and then `listen` must be on this machine alone.
    """
    silent_s: Annotated[float, msgspec.Meta(ge=5, le=86_400)] = 95.0
    """Silence after which the receiver is told lost: three of its heartbeats and a little."""
    ack_s: Annotated[float, msgspec.Meta(ge=0.5, le=60)] | None = None
    """Within it an answer finds the receiver waiting; absent: as is usual for its make."""


class EventConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Meaning of an event digit or a channel of an account."""

    code: Annotated[int, msgspec.Meta(ge=1, le=999)]
    q: Literal["new", "restore", "status"] = "new"
    by_user: bool = False
    number: Annotated[int, msgspec.Meta(ge=0, le=999)] | None = None


class AccountConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`format` pins the account: its messages in any other are not kissed off."""

    format: str = ""
    events: dict[str, EventConfig] = {}
    channels: dict[str, EventConfig] = {}


class MqttConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`identity`: the folder made by `tocsin-collector receiver add --out`; its mqtt.toml names
    broker and files. What stands here goes before it.
    """

    identity: str = ""
    host: str = ""
    port: Annotated[int, msgspec.Meta(ge=0, le=65_535)] = 0
    ca: str = ""
    cert: str = ""
    key: str = ""


class LimitsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is kept on disk."""

    recordings: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 500
    recordings_mb: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 500
    acknowledged: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] = 10_000


class ReceiverConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file. Without `mqtt` everything is kept and nobody is told."""

    id: str
    mqtt: MqttConfig | None = None
    line: tuple[LineConfig, ...] = ()
    modem: tuple[ModemConfig, ...] = ()
    hardware: tuple[HardwareConfig, ...] = ()
    profile: dict[str, ProfileConfig] = {}
    account: dict[str, AccountConfig] = {}
    limits: LimitsConfig = LimitsConfig()
    mark_code: Annotated[int, msgspec.Meta(ge=1, le=999)] = phone_batch.MARK_CODE
    plugins: bool = True
    """Load recognisers of the entry point group `tocsin.phone_formats`."""

    @property
    def pins(self) -> dict[str, str]:
        """Format by account."""
        return {name.upper(): each.format for name, each in self.account.items() if each.format}

    @property
    def events(self) -> dict[str, EventProfile]:
        """Meaning of event digits and channels by account."""
        return {
            name.upper(): EventProfile(
                {digits.upper(): _rule(rule) for digits, rule in each.events.items()},
                {int(number): _rule(rule) for number, rule in each.channels.items()},
            )
            for name, each in self.account.items()
            if each.events or each.channels
        }


def address(text: str) -> tuple[str, int] | None:
    """(host, port) of `host:port`, `[v6]:port`; None for anything else."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65_535:
        return None
    return host.strip("[]"), int(port)


def profile_of(config: ReceiverConfig, name: str, more: dict[str, Handshake]) -> Profile:
    """The call machine's profile; `more` are handshakes that plug-ins brought. A handshake that
    nobody brought is left out: receiver_checks refuses it.
    """
    given = config.profile.get(name, ProfileConfig())
    profile = replace(PRESETS[given.preset], name=name)
    known = HANDSHAKES | more
    if given.handshakes is not None:
        named = tuple(known[each] for each in given.handshakes if each in known)
        profile = replace(profile, handshakes=named)
    if given.first_digit_s is not None:
        dual = replace(known["dual"], wait_s=given.first_digit_s)
        changed = tuple(dual if each.name == "dual" else each for each in profile.handshakes)
        profile = replace(profile, handshakes=changed)
    if given.kiss_off_ms is not None or given.kiss_off_hz is not None:
        kiss = Tone(given.kiss_off_hz or 1400, given.kiss_off_ms or 850)
        profile = replace(profile, kiss_off=(kiss,))
    same = (
        "answer_silence_s",
        "rounds",
        "next_block_s",
        "max_call_s",
        "max_blocks",
        "listen_in_s",
        "late_digit_s",
        "short_twice",
    )
    set_here = {each: getattr(given, each) for each in same if getattr(given, each) is not None}
    return replace(profile, **set_here)


def readers_of(
    config: ReceiverConfig, profile: str, pins: Mapping[str, str], more: Sequence[Format]
) -> list[Format]:
    """The recognisers of a line with that profile and those pins; `more` are plug-ins."""
    given = config.profile.get(profile, ProfileConfig())
    asked = given.pulse
    pulse = PULSE_DEFAULT if asked is None else tuple(PULSE_NAMES[each] for each in asked)
    return [
        DtmfFamily(pins=pins, events=config.events, mark_code=config.mark_code),
        PulseFamily(pulse, pins=pins, profiles=config.events),
        given.sia.reader,
        *more,
    ]


def _rule(given: EventConfig) -> EventRule:
    return EventRule(given.code, _Q[given.q], given.by_user, given.number)
