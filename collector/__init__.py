"""Collector: intake -> dedupe -> verification -> dispatch -> records (ARCHITECTURE.md)."""

import os

# Tone detection multiplies small matrices: BLAS threads cost twenty times what they bring (P11).
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


class CollectorError(Exception):
    """Base of every error the collector raises; its text is fit for the person who started it."""
