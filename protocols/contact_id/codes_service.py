"""Names of codes: service."""

TABLE = """
"""
