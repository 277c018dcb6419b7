"""Case -> Handover. Pure."""
