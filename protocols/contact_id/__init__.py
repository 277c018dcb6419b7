"""SIA DC-05 Contact ID: messages, codes, mapping from and to PanelEvent (protocols.md 1)."""
