"""Detector buses: what a bus driver tells and is told, and what that means for the zones. Pure."""
