"""Collector: intake -> dedupe -> verification -> dispatch -> records (ARCHITECTURE.md)."""


class CollectorError(Exception):
    """Base of every error the collector raises; its text is fit for the person who started it."""
