"""Reasons of `update_report` in words. Apart from it: a node has no memory for words."""

_REASONS = (
    "",
    "no firmware image, or cut short",
    "for another board",
    "for another MicroPython",
    "its security number is lower than the node's",
    "its signature is not the maker's",
    "its contents do not fit their hash",
    "the node's flash failed",
    "parts out of order",
    "too large",
    "another update is under way",
    "the node has no update key",
    "not a firmware file",
    "it did not prove itself; the node went back to its last good firmware",
    "firmware in the node's flash is damaged",
    "the node has no memory left for it",
)


def in_words(reason: int) -> str:
    """Nothing for no reason."""
    return _REASONS[reason] if 0 <= reason < len(_REASONS) else "unknown reason"
