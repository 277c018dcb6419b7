"""Ways to spoil a frame; runs on both runtimes."""

from protocols.osdp.frame import close
from tests.support.osdp_chance import Chance


def mutated(chance: Chance, frame: bytes) -> bytes:
    """Bits turned, bytes cut out, put in or moved; half the time with a check that fits again."""
    body = frame[:-2]
    for _ in range(1 + chance.below(3)):
        place = chance.below(len(body)) if body else 0
        kind = chance.below(5)
        if kind == 0 and body:
            body = body[:place] + bytes((body[place] ^ 1 << chance.below(8),)) + body[place + 1 :]
        elif kind == 1:
            body = body[:place] + body[place + 1 :]
        elif kind == 2:
            body = body[:place] + chance.data(1 + chance.below(4)) + body[place:]
        elif kind == 3:
            body = body[:place] + bytes(reversed(body[place:]))
        elif body:
            body = body[:place] + bytes((chance.below(256),)) + body[place + 1 :]
    if chance.below(2) and len(body) > 5:
        # The length too: otherwise most would fall at the first gate.
        length = len(body) + 2
        return close(body[:2] + bytes((length & 0xFF, length >> 8)) + body[4:])
    return body + frame[-2:]
