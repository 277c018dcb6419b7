"""Occurrence -> Case: confirmation rules as data. Pure."""
