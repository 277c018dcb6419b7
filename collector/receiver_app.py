"""The phone receiver as one process: lines -> calls -> spool -> collector (R92)."""
