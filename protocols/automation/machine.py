"""One receiver's link: frames in, ACK only for what is stored, heartbeat, supervision."""

from __future__ import annotations

from dataclasses import dataclass

from protocols.automation.effects import Effect
from protocols.instants import Instant


@dataclass(frozen=True, slots=True)
class Policy:
    """Waiting times of a link, protocols.md 3.1.

    `lost_s`: silence after which the receiver is lost (its heartbeat comes every 30 s).
    `ack_s`: how long it waits for an ACK before it repeats; an ACK later than that is not sent,
    for the receiver may already be sending something else. `repeat_s`: the same bytes within this
    time of their ACK are taken for a repeat. `frame_s`: a frame not whole by then is dropped.
    `naks`: that many NAKs in a row, then silence (a Bosch skips a message at the third).
    """

    lost_s: float = 95.0
    ack_s: float = 4.0
    repeat_s: float = 20.0
    frame_s: float = 2.0
    naks: int = 2


class Automation:
    """`receive(data, now)`, `stored(token, now)`, `connected(now)`, `disconnected(cause, now)`,
    `tick(now)`, `deadline()`. Nothing raises for any bytes.
    """

    def receive(self, data: bytes, now: Instant) -> list[Effect]:
        """Bytes from the receiver, in any pieces."""
        raise NotImplementedError

    def stored(self, token: int, now: Instant) -> list[Effect]:
        """What arrived with `token` is durable: its ACK may go."""
        raise NotImplementedError

    def tick(self, now: Instant) -> list[Effect]:
        """The deadline has come."""
        raise NotImplementedError

    def deadline(self) -> Instant | None:
        """When to call `tick`."""
        raise NotImplementedError
