"""Hardware receivers speaking to automation: Sur-Gard, Ademco 685, Bosch (protocols.md 3).

`machine.Automation(dialect, policy)` is one sans-IO machine; a dialect is only framing and fields.
"""
