"""Firmware of the zone node: MicroPython on RP2040, and the same files on CPython."""
