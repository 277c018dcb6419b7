"""I/O of the installer's tools."""
