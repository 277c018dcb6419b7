"""Record -> bytes owed on a path. Pure."""
