"""Dedupe: Signals -> Occurrences. Joining needs proof, doubt leaves two (DESIGN rule 4)."""

from collector.dedupe.joining import Effect, Joined, Joiner, Opened, Policy, joined, opened

__all__ = ["Effect", "Joined", "Joiner", "Opened", "Policy", "joined", "opened"]
