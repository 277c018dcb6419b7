"""Panel bridge: field -> panel -> journal -> reporting (ARCHITECTURE.md)."""
