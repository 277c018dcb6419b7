"""Configuration of the collector's chain: where it keeps things and how long it waits."""

from __future__ import annotations

from pathlib import Path

import msgspec

from collector import dedupe as dedupe_stage
from collector import intake as intake_stage


class LimitsConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds of memory and of the work done at a time."""

    queue_messages: int = 20_000
    """Inbound messages waiting; when full the MQTT thread waits (A3)."""
    queue_bytes: int = 64 * 1024 * 1024
    batch_messages: int = 512
    stage_signals: int = 32
    """Signals judged between two batches while messages wait."""
    backlog_signals: int = 20_000
    """Signals not yet judged beyond which judging goes before receiving."""


class PhoneTimes(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A phone report bears no time. What it tells of happened `least_s` to `most_s` before it was
    complete: seizing, dialling, ringing, handshake and its turn in the call, for up to two tries.
    A panel that redials for longer is not covered by that bound; dedupe does not rely on it.
    """

    least_s: float = 4.0
    most_s: float = 90.0
    notice_every_s: float = 3600.0
    """One account is told as unknown or ambiguous this often at most."""


class CollectorConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`ledger_url` empty: SQLite in `data_dir`. `rules`: preset or file; empty: default."""

    data_dir: Path
    ledger_url: str = ""
    rules: str = ""
    limits: LimitsConfig = LimitsConfig()
    intake: intake_stage.Policy = intake_stage.Policy()
    supervision: intake_stage.SupervisionPolicy = intake_stage.SupervisionPolicy()
    dedupe: dedupe_stage.Policy = dedupe_stage.Policy()
    receptions: intake_stage.ReceptionPolicy = intake_stage.ReceptionPolicy()
    phone: PhoneTimes = PhoneTimes()
    store_retry_s: float = 0.5
    """First wait after the ledger refused a commit; doubles up to ten times that."""

    @property
    def url(self) -> str:
        """SQLAlchemy URL of the ledger."""
        return self.ledger_url or f"sqlite:///{self.data_dir / 'ledger.db'}"

    @property
    def control_socket(self) -> Path:
        """Unix socket for operators' tools on this machine."""
        return self.data_dir / "control.sock"
