"""Drivers of the rig, simulated and real."""
