"""Tones on a telephone line: what is played, what is heard; synthesis and detection (8 kHz PCM)."""
