"""I/O of the panel bridge; each adapter to the outside has its simulator beside it."""
