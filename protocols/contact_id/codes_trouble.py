"""Names of codes: trouble."""

TABLE = """
"""
