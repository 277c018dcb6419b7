"""Configuration files: every problem at once, where it is, what is expected, how to mend it."""
