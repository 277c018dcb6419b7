"""What goes into the journal and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from protocols.instants import Instant, UtcTime
from protocols.panel_event import PanelEvent


@dataclass(frozen=True, slots=True)
class Stamped:
    """A PanelEvent with its times; `utc` absent before the first synchronisation (D16)."""

    event: PanelEvent
    mono: Instant
    utc: UtcTime | None = None
    err_us: int | None = None


class OwedKey(NamedTuple):
    """All the reporter knows of a Record not yet acknowledged on one path."""

    epoch: int
    seq: int
    digest: str
    priority: int
    zone: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A Record as appended: `raw` is what is reported, byte for byte."""

    key: OwedKey
    raw: bytes


@dataclass(frozen=True, slots=True)
class Loss:
    """Records `first`..`last` of `epoch` that once existed and are gone (both inclusive)."""

    epoch: int
    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.epoch}:{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Opened:
    """What a start found. `faults` must be appended as the first Records of this run."""

    epoch: int
    seq: int
    head: str
    snapshot: bytes | None
    snapshot_lost: bool
    """A panel state existed and none can be trusted: arm, do not guess (STATE_LOST)."""
    same_boot: bool
    """The snapshot was taken in this boot: monotonic times in it are comparable."""
    faults: tuple[PanelEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class Rollback:
    """Answer to an acknowledgement of Records this journal does not have.

    `reissued` are Records of the new epoch that repeat what the centre could not take under
    its old number; they are owed on every path.
    """

    faults: tuple[PanelEvent, ...]
    reissued: tuple[Stored, ...]
