"""LedgerEntry, hash chain, plain sentences. Pure."""
