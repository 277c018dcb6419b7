"""The phone path: Records owed on it -> calls. Pure."""
