"""The alarm panel: zones, areas, users and the CP-01 rules, as one pure machine (README.md)."""

from edge.panel.panel import Panel

__all__ = ["Panel"]
