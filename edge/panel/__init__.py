"""Reading -> PanelEvent: zones, areas, users, CP-01 rules. Pure."""
