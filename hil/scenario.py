"""A scenario file as typed steps. Pure."""

from __future__ import annotations

import msgspec


class _Step(msgspec.Struct, frozen=True, tag_field="do", kw_only=True, forbid_unknown_fields=True):
    tell: str = ""


class Arm(_Step, frozen=True, tag="arm"):
    """The user arms and leaves."""


class Disarm(_Step, frozen=True, tag="disarm"):
    """The user disarms."""


class Zone(_Step, frozen=True, tag="zone"):
    """A detector's loop changes; `seen_within_s`: and stays until the panel shows it."""

    zone: int
    state: str
    seen_within_s: float = 0


class Cut(_Step, frozen=True, tag="cut"):
    """The line goes silent."""


class Heal(_Step, frozen=True, tag="heal"):
    """The line works again."""


class Kill(_Step, frozen=True, tag="kill"):
    """SIGKILL."""

    what: str


class Start(_Step, frozen=True, tag="start"):
    """Start again."""

    what: str


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
    | Zone
    | Cut
    | Heal
    | Kill
    | Start
    | UntilMode
    | UntilCase
    | UntilRecorded
    | UntilNothingOwed
)


class Scenario(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is played, in order."""

    name: str
    title: str
    steps: list[Step]
    title_zh: str = ""


def parse(text: str) -> Scenario:
    """Read scenario TOML. Raises msgspec.MsgspecError naming the field that is wrong."""
    import tomllib

    return msgspec.convert(tomllib.loads(text), Scenario)
