"""Names of codes: access."""

TABLE = """
"""
