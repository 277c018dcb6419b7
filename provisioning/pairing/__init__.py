"""Pairing a panel with its centre: certificates now, QR codes later. Pure."""
