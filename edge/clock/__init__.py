"""Clock truth: source, offset, error bound (D16). Pure."""
