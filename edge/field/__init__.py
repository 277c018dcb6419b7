"""Level -> Reading: what each point says now, after debounce and end-of-line decoding. Pure."""
