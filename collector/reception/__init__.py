"""Reception: what is heard on one line -> reports, kiss-off, or an unrecognised call. Pure."""
