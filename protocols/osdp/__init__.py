"""OSDP v2.2 (IEC 60839-11-5), peripheral side; every file here runs on CPython and MicroPython."""
