"""I/O of the collector; each adapter to the outside has its simulator beside it."""
