"""One file for each board the node runs on; `board` says what they must offer."""
