"""Installer's tools."""
