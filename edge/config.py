"""Panel configuration as frozen types. Reading and checking the TOML: adapters/config_file.py."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

import msgspec
from msgspec import Meta

from edge.config_bus import BusConfig, BusKeys, ModbusMap, Sabotage
from edge.config_phone import PhoneConfig

Name = Annotated[str, Meta(min_length=1, max_length=80)]
Seconds = Annotated[float, Meta(ge=0, le=86_400)]
Millis = Annotated[int, Meta(ge=1, le=60_000)]
AreaNumber = Annotated[int, Meta(ge=1, le=99)]
ZoneNumber = Annotated[int, Meta(ge=1, le=999)]
UserNumber = Annotated[int, Meta(ge=1, le=999)]


class ZoneType(Enum):
    """How a zone's activation is judged."""

    INSTANT = "instant"
    ENTRY_EXIT = "entry_exit"
    FOLLOWER = "follower"
    PERIMETER = "perimeter"
    INTERIOR = "interior"
    TWENTY_FOUR_HOUR = "24h"
    HOLDUP_SILENT = "holdup_silent"
    HOLDUP_AUDIBLE = "holdup_audible"
    TAMPER = "tamper"
    FIRE = "fire"
    GAS = "gas"
    WATER = "water"
    MEDICAL = "medical"
    KEYSWITCH = "keyswitch"


class Wiring(Enum):
    """How the loop is wired. NO/NC stand on a pin; the EOL kinds need the converter."""

    NC = "nc"
    NO = "no"
    SINGLE_EOL = "single_eol"
    DOUBLE_EOL = "double_eol"
    TRIPLE_EOL = "triple_eol"
    """Double EOL with the third resistor of an anti-masking detector."""


class Loop(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a point is wired: `input` is "gpio:<BCM number>", "adc:<chip>.<channel>", or on a bus
    "bus:<bus>.<address>.<1..32, tamper or power>", where the node itself decodes and debounces.
    """

    input: Annotated[
        str,
        Meta(
            pattern=r"^(gpio:\d{1,2}|adc:\d\.[0-7]"
            r"|bus:[a-z][a-z0-9]{0,11}\.\d{1,3}\.(\d{1,2}|tamper|power))$"
        ),
    ]
    wiring: Wiring = Wiring.NC
    debounce_ms: Millis = 50
    min_pulse_ms: Millis = 300


class ZoneConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One zone."""

    number: ZoneNumber
    name: Name
    area: AreaNumber
    type: ZoneType
    loop: Loop
    pair: Loop | None = None
    """A second detector of another kind on the same zone: active only when both are inside
    `timers.pair_s` (dual technology from two detectors, R103). Trouble of either is the zone's.
    """
    name_zh: str = ""
    technology: str = ""
    detector: str = ""
    overlaps: tuple[int, ...] = ()
    outside: bool = False
    bypassable: bool = True
    stay: bool | None = None
    """Watched in stay mode; None: by type (interior and follower are not)."""
    night: bool | None = None
    cross_zone: tuple[int, ...] = ()
    """Alarm only when one of these trips too inside `timers.cross_zone_s` (CP-01)."""
    swinger_limit: Annotated[int, Meta(ge=0, le=6)] = 2
    """Trips per armed period before shutdown; 0: never. Ignored on fire and hold-up."""


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """When an area should be opened and closed (R27). Times are local "HH:MM"."""

    days: tuple[Annotated[int, Meta(ge=1, le=7)], ...]
    """ISO weekdays, 1 = Monday."""
    open_at: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    close_at: Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
    early_min: Annotated[int, Meta(ge=0, le=720)] = 30
    late_min: Annotated[int, Meta(ge=0, le=720)] = 30


class AreaConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One area and its CP-01 times (standards.md 3.5)."""

    number: AreaNumber
    name: Name
    name_zh: str = ""
    exit_delay_s: Annotated[float, Meta(ge=45, le=255)] = 60
    entry_delay_s: Annotated[float, Meta(ge=30, le=240)] = 30
    final_door_s: Annotated[float, Meta(ge=2, le=30)] | None = None
    """Shutting the entry door after leaving completes arming this much later (final-door setting);
    None: the exit delay always runs its time."""
    schedules: tuple[Schedule, ...] = ()


class UserConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One user. Hashes come from `tocsin-edge hash-code`; the code itself is nowhere stored."""

    number: UserNumber
    name: Name
    code_hash: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
    duress_hash: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    card_hash: Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")] | None = None
    """From `tocsin-edge hash-code --card`: a card at a bus reader stands for the code."""
    areas: tuple[AreaNumber, ...] = ()
    """Empty: all areas."""
    may_test: bool = False


class Timers(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """CP-01 and house rules common to all areas."""

    abort_window_s: Annotated[float, Meta(ge=15, le=45)] = 30
    cancel_window_s: Annotated[float, Meta(ge=300, le=3600)] = 300
    siren_s: Annotated[float, Meta(ge=30, le=1200)] = 300
    cross_zone_s: Annotated[float, Meta(ge=10, le=3600)] = 120
    pair_s: Annotated[float, Meta(ge=1, le=60)] = 10
    swinger_quiet_s: Annotated[float, Meta(ge=60, le=86_400)] = 8 * 3600
    recent_close_s: Annotated[float, Meta(ge=0, le=600)] = 120
    power_up_ignore_s: Annotated[float, Meta(ge=0, le=120)] = 60
    walk_test_s: Annotated[float, Meta(ge=60, le=3600)] = 3600
    panel_test_s: Annotated[float, Meta(ge=60, le=3600)] = 3600
    lockout_s: Annotated[float, Meta(ge=30, le=3600)] = 90
    lockout_after: Annotated[int, Meta(ge=3, le=21)] = 5
    periodic_test_s: Annotated[float, Meta(ge=60, le=86_400)] = 86_400


class SystemPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A point that is no zone: its role says what ALARM means there. `phone_line`: a monitor of the
    line's voltage, whose ALARM is "no voltage"; it must hold down to 3 V, as a line in use has few.
    """

    role: Annotated[
        str, Meta(pattern=r"^(enclosure|mains|battery_low|battery_missing|siren|phone_line)$")
    ]
    loop: Loop


class OutputConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An output: `role` siren, strobe, relay:<name>, or armed:<area>."""

    role: Annotated[str, Meta(pattern=r"^(siren|strobe|relay:[a-z0-9_]+|armed:\d{1,2})$")]
    gpio: Annotated[int, Meta(ge=0, le=27)]
    active_high: bool = True


class Hardware(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`driver` sim: gpiozero's mock pins, moved through `control_socket` (in data_dir)."""

    driver: Annotated[str, Meta(pattern="^(gpio|sim)$")] = "gpio"
    control_socket: str = "pins.sock"
    supply_mv: Annotated[int, Meta(ge=1000, le=5500)] = 3300
    eol_ohm: Annotated[int, Meta(ge=100, le=100_000)] = 4700
    """End-of-line resistor; the alarm resistor of double EOL is the same, the mask one doubled."""
    pullup_ohm: Annotated[int, Meta(ge=100, le=100_000)] = 4700
    adc_sample_ms: Annotated[int, Meta(ge=5, le=100)] = 20


class MqttConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The MQTT path. File names are relative to the configuration file."""

    host: Name
    ca: str
    cert: str
    key: str
    port: Annotated[int, Meta(ge=1, le=65535)] = 8883
    server_name: str | None = None
    heartbeat_s: Annotated[float, Meta(ge=1, le=60)] = 30
    keepalive_s: Annotated[int, Meta(ge=5, le=300)] = 20
    ack_timeout_s: Annotated[float, Meta(ge=0.5, le=60)] = 5
    window: Annotated[int, Meta(ge=1, le=1024)] = 128
    """Records sent and not yet acknowledged, at most."""
    reconnect_max_s: Annotated[float, Meta(ge=1, le=300)] = 30


class ClockConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """chronyc to ask. Empty: the clock is taken as unsynchronised, and said so."""

    chronyc: tuple[str, ...] = ("chronyc", "-c", "tracking")
    poll_s: Annotated[float, Meta(ge=1, le=3600)] = 16
    step_ms: Annotated[int, Meta(ge=10, le=60_000)] = 500
    """A jump of wall against monotonic time larger than this is a step."""
    drift_ppm: Annotated[float, Meta(ge=1, le=500)] = 100
    smear_bound_ms: Annotated[int, Meta(ge=0, le=2000)] = 0
    """Added to the error bound within 24 h of a possible leap second, for smearing servers."""


class JournalConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The journal under `data_dir`."""

    max_records: Annotated[int, Meta(ge=1000, le=10_000_000)] = 200_000
    reserve_bytes: Annotated[int, Meta(ge=65_536, le=1 << 30)] = 8 << 20
    """Kept aside so that alarms still commit on a full disk."""
    fsync_delay_ms: Annotated[int, Meta(ge=0, le=1000)] = 0
    """Bench only: sleeps this long at each commit, as an SD card would."""


class PanelConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The whole file."""

    id: Annotated[str, Meta(pattern="^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")]
    name: Name
    areas: Annotated[tuple[AreaConfig, ...], Meta(min_length=1)]
    zones: Annotated[tuple[ZoneConfig, ...], Meta(min_length=1)]
    mqtt: MqttConfig | None = None
    """Absent only under `phone.policy = "phone-only"`."""
    phone: PhoneConfig | None = None
    name_zh: str = ""
    site_class: Annotated[
        str,
        Meta(pattern="^(finance|industry|shop|warehouse|hotel|leisure|home|vehicle|other)$"),
    ] = "other"
    important: bool = False
    """As strict as a bank, whatever its class (R100, R102: banks and other important sites)."""
    timezone: str = "Asia/Shanghai"
    data_dir: str = "data"
    code_salt: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")] = "00" * 16
    code_digits: Annotated[int, Meta(ge=6, le=8)] = 6
    users: tuple[UserConfig, ...] = ()
    points: tuple[SystemPoint, ...] = ()
    outputs: tuple[OutputConfig, ...] = ()
    timers: Timers = Timers()
    hardware: Hardware = Hardware()
    clock: ClockConfig = ClockConfig()
    journal: JournalConfig = JournalConfig()
    buses: tuple[BusConfig, ...] = ()
    modbus_maps: tuple[ModbusMap, ...] = ()
    bus_keys: BusKeys = BusKeys()
    sabotage: Sabotage = Sabotage()
