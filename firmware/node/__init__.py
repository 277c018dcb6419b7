"""The zone node's parts, the same under MicroPython and CPython."""
