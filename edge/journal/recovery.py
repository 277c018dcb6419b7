"""What the files say was lost, and which panel state can be trusted.

Two side files stand beside the database, because SQLite drops a damaged end of its log silently:
`journal.head` names the newest Record (overwritten in place, not synced: it may be older than the
database after a power cut, never newer), `state.bak` holds the state of the last arming change.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from edge.journal.chain import ChainHead
from edge.journal.record_types import Loss
from protocols.panel_event import Code, PanelEvent, Qualifier

HEAD_BYTES: Final = 512
"""One sector: an overwrite is the old or the new one, or fails its check."""
_HEAD: Final = struct.Struct(">8s32sQQ32s?QQ")
_HEAD_MAGIC: Final = b"TOCSINH1"
_STATE: Final = struct.Struct(">8s32s36sQQI")
_STATE_MAGIC: Final = b"TOCSINS1"
_CRC: Final = struct.Struct(">I")
_DETAIL_CHARS: Final = 400


def _sealed(body: bytes) -> bytes:
    return body + _CRC.pack(zlib.crc32(body))


def _opened(block: bytes) -> bytes | None:
    body, seal = block[:-4], block[-4:]
    return body if len(seal) == 4 and _CRC.unpack(seal)[0] == zlib.crc32(body) else None


@dataclass(frozen=True, slots=True)
class HeadNote:
    """Content of `journal.head`."""

    panel: str
    head: ChainHead
    recorded: bool = True
    rotated: tuple[int, int] = (0, 0)
    """Rotation had removed up to this (epoch, seq)."""

    def encode(self) -> bytes:
        """One sector."""
        body = _HEAD.pack(
            _HEAD_MAGIC,
            self.panel.encode(),
            self.head.epoch,
            self.head.seq,
            bytes.fromhex(self.head.digest),
            self.recorded,
            *self.rotated,
        )
        return _sealed(body.ljust(HEAD_BYTES - 4, b"\0"))

    @staticmethod
    def decode(block: bytes) -> HeadNote | None:
        """None when the bytes are not what was written."""
        body = _opened(block) if len(block) == HEAD_BYTES else None
        if body is None or not body.startswith(_HEAD_MAGIC):
            return None
        _, panel, epoch, seq, digest, recorded, *rotated = _HEAD.unpack_from(body)
        name = panel.rstrip(b"\0").decode("ascii", "replace")
        head = ChainHead(epoch, seq, digest.hex())
        return HeadNote(name, head, recorded, (rotated[0], rotated[1]))


@dataclass(frozen=True, slots=True)
class KeptState:
    """A panel snapshot, the boot that made it and the newest Record at that moment."""

    boot: str
    epoch: int
    seq: int
    snapshot: bytes

    def encode(self, panel: str) -> bytes:
        """Content of `state.bak`."""
        head = _STATE.pack(
            _STATE_MAGIC,
            panel.encode(),
            self.boot.encode()[:36],
            self.epoch,
            self.seq,
            len(self.snapshot),
        )
        return _sealed(head + self.snapshot)

    @staticmethod
    def decode(block: bytes, panel: str) -> KeptState | None:
        """None when garbled, or another panel's."""
        body = _opened(block)
        if body is None or len(body) < _STATE.size or not body.startswith(_STATE_MAGIC):
            return None
        _, name, boot, epoch, seq, size = _STATE.unpack_from(body)
        snapshot = body[_STATE.size :]
        if len(snapshot) != size or name.rstrip(b"\0") != panel.encode():
            return None
        return KeptState(boot.rstrip(b"\0").decode("ascii", "replace"), epoch, seq, snapshot)


LOST: Final = KeptState("", 0, 0, b"")
"""Kept in place of a state that could not be restored, until the panel has made a new one."""


def _is_lost(state: KeptState | None) -> bool:
    return state is not None and not state.boot and not state.snapshot


_ARMING: Final = frozenset(
    {Code.ALARM_MEMORY, Code.PANEL_ON_TEST, Code.WALK_TEST, Code.STATE_LOST, Code.RECENT_CLOSE}
)


def changes_arming(event: PanelEvent) -> bool:
    """Whether the panel's modes, bypasses or memory may differ after this event."""
    return 400 <= event.code < 500 or 570 <= event.code < 580 or event.code in _ARMING


@dataclass(frozen=True, slots=True)
class Trust:
    """The state to restore. `lost`: one existed and none can be trusted."""

    state: KeptState | None
    lost: bool


def trusted_state(
    kept: KeptState | None,
    copy: KeptState | None,
    note: HeadNote | None,
    newest_arming: tuple[int, int],
    *,
    damaged: bool,
    existed: bool,
) -> Trust:
    """Choose between the database's state and `state.bak`.

    A sound database is believed. A damaged one is believed as far as another witness confirms it:
    the head note (nothing newer existed) or the copy, which is rewritten at every arming change
    before the change is told to anyone. `newest_arming` is the newest such Record still readable.
    """
    if not damaged:
        return Trust(None, lost=True) if _is_lost(kept) else Trust(kept, lost=False)
    witnesses = [each for each in (kept, copy) if each is not None]
    best = max(witnesses, key=lambda each: (each.epoch, each.seq), default=None)
    if best is None:
        return Trust(None, lost=existed)
    if _is_lost(best):
        return Trust(None, lost=True)
    at = (best.epoch, best.seq)
    if at < newest_arming:
        return Trust(None, lost=True)
    if copy is not None:
        return Trust(best, lost=False)
    if note is not None and at >= (note.head.epoch, note.head.seq):
        return Trust(best, lost=False)
    return Trust(None, lost=True)


def fault(*tokens: str) -> PanelEvent:
    """The journal is damaged or refuses writes."""
    return PanelEvent(Code.JOURNAL_FAULT, detail=_joined(tokens))


def fault_over(*tokens: str) -> PanelEvent:
    """The journal works again."""
    return PanelEvent(Code.JOURNAL_FAULT, Qualifier.RESTORE, detail=_joined(tokens))


def epoch_opened(after: ChainHead | None, losses: Iterable[Loss], *tokens: str) -> PanelEvent:
    """A new epoch follows a damaged one; says which Records are gone."""
    told = [f"after={after.epoch}:{after.seq}"] if after is not None else []
    gone = [str(each) for each in losses]
    if gone:
        count = f"lost_ranges={len(gone)}"
        told += [count, "lost=" + ",".join(gone[:8])]
    return PanelEvent(Code.EPOCH_OPENED, detail=_joined([*told, *tokens]))


def _joined(tokens: Iterable[str]) -> str:
    return ";".join(each for each in tokens if each)[:_DETAIL_CHARS]
