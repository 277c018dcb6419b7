"""Chance that falls the same on both runtimes, from a seed."""


class Chance:
    """A 31-bit xorshift; enough for tests, for nothing else."""

    def __init__(self, seed: int) -> None:
        self._state = (seed * 2654435761 + 12345) & 0x7FFFFFFF or 1

    def below(self, limit: int) -> int:
        """0 <= result < limit."""
        state = self._state
        state ^= (state << 13) & 0x7FFFFFFF
        state ^= state >> 17
        state ^= (state << 5) & 0x7FFFFFFF
        self._state = state or 1
        return (state >> 3) % limit

    def data(self, count: int) -> bytes:
        return bytes([self.below(256) for _ in range(count)])
