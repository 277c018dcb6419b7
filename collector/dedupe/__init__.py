"""Signal -> Occurrence: joins only on proof. Pure."""
