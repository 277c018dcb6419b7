"""A scenario file as typed steps. Pure."""

from __future__ import annotations

import msgspec


class _Step(msgspec.Struct, frozen=True, tag_field="do", kw_only=True, forbid_unknown_fields=True):
    tell: str = ""


class Arm(_Step, frozen=True, tag="arm"):
    """The user arms and leaves."""


class Disarm(_Step, frozen=True, tag="disarm"):
    """The user disarms."""


class Press(_Step, frozen=True, tag="press"):
    """The owner's code and these keys at the keypad on the bus: "#" arms or disarms."""

    keys: str = "#"


class Zone(_Step, frozen=True, tag="zone"):
    """A detector's loop changes; `seen_within_s`: and stays until the panel shows it."""

    zone: int
    state: str
    seen_within_s: float = 0


class Cut(_Step, frozen=True, tag="cut"):
    """The `adsl` line goes silent, or the `phone` line or the `bus` cable is cut."""

    what: str = "adsl"


class Heal(_Step, frozen=True, tag="heal"):
    """The line or cable works again."""

    what: str = "adsl"


class Kill(_Step, frozen=True, tag="kill"):
    """SIGKILL."""

    what: str


class Start(_Step, frozen=True, tag="start"):
    """Start again."""

    what: str


class UntilZone(_Step, frozen=True, tag="until_zone"):
    """Wait until the panel shows a zone so."""

    zone: int
    state: str
    within_s: float


class UntilMode(_Step, frozen=True, tag="until_mode"):
    """Wait until area 1 stands so."""

    mode: str
    within_s: float
    or_mode: str = ""


class UntilCase(_Step, frozen=True, tag="until_case"):
    """Wait until the centre shows exactly one such case in one of these states."""

    kind: str
    state: list[str]
    within_s: float


class UntilArrived(_Step, frozen=True, tag="until_arrived"):
    """Wait until the zone's alarm is one Occurrence, told by exactly these paths."""

    zone: int
    paths: list[str]
    within_s: float


class UntilRecorded(_Step, frozen=True, tag="until_recorded"):
    """Wait until the panel's journal holds an alarm of this zone."""

    zone: int
    within_s: float


class UntilNothingOwed(_Step, frozen=True, tag="until_nothing_owed"):
    """Wait until the collector has acknowledged all."""

    within_s: float


Step = (
    Arm
    | Disarm
    | Press
    | Zone
    | Cut
    | Heal
    | Kill
    | Start
    | UntilZone
    | UntilMode
    | UntilCase
    | UntilArrived
    | UntilRecorded
    | UntilNothingOwed
)


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is played, in order."""

    name: str
    title: str
    steps: list[Step]
    title_zh: str = ""
    phone: bool = False
    """With a phone line, a telephone exchange and a phone receiver at the centre."""
    bus: bool = False
    """With an RS-485 bus, and on it the office detector's node running its own firmware."""


def parse(text: str) -> Scenario:
    """Read scenario TOML. Raises msgspec.MsgspecError naming the field that is wrong."""
    import tomllib

    return msgspec.convert(tomllib.loads(text), Scenario)
