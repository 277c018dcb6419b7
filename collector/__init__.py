"""Collector: intake -> dedupe -> verification -> dispatch -> records (ARCHITECTURE.md)."""
