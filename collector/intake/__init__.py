"""Bytes -> Signal: identity, gaps, acknowledgement, supervision. Pure."""
