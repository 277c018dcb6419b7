"""A tiny model of the collector, written from protocols/mqtt/payloads.py alone.

Keeps what arrives and answers as the rules of `Ack` say: everything it names it holds.
"""

from __future__ import annotations

import msgspec

from protocols.mqtt.payloads import Ack, Heartbeat, Held, Record, Report, digest_of


class AckModel:
    """Records of one panel by epoch and seq; the first of two claims to a number is kept there,
    the other one beside it.
    """

    def __init__(self) -> None:
        self.held: dict[int, dict[int, str]] = {}
        self.conflicts: dict[int, dict[int, str]] = {}
        self.received = 0
        """Records that came, the repeated ones too."""
        self.malformed = 0

    def report(self, payload: bytes) -> Ack | None:
        """Take a Report; the answer comes after it is kept. None: it was none."""
        try:
            report = msgspec.json.decode(payload, type=Report)
            records = [
                (msgspec.json.decode(raw, type=Record), digest_of(bytes(raw)))
                for raw in report.records
            ]
        except msgspec.DecodeError:
            self.malformed += 1
            return None
        for record, digest in records:
            self.received += 1
            held = self.held.setdefault(record.epoch, {})
            if held.setdefault(record.seq, digest) != digest:
                self.conflicts.setdefault(record.epoch, {})[record.seq] = digest
        return self.ack(records[-1][0].epoch)

    def heartbeat(self, payload: bytes) -> Ack:
        """Answer a Heartbeat for the epoch named in it."""
        return self.ack(msgspec.json.decode(payload, type=Heartbeat).epoch)

    def ack(self, epoch: int) -> Ack:
        """What is held of an epoch."""
        held = self.held.get(epoch, {})
        upto = 0
        while upto + 1 in held:
            upto += 1
        also = [Held(seq, held[seq]) for seq in sorted(held) if seq > upto]
        also += [Held(seq, digest) for seq, digest in self.conflicts.get(epoch, {}).items()]
        return Ack(epoch, upto, held.get(upto, ""), also[:1024])

    def holds(self, epoch: int, seq: int, digest: str) -> bool:
        """Whether this very Record is here."""
        return digest in (
            self.held.get(epoch, {}).get(seq),
            self.conflicts.get(epoch, {}).get(seq),
        )
