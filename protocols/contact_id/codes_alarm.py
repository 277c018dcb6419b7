"""Names of codes: alarm."""

TABLE = """
"""
