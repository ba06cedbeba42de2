"""Spleeter's two-stem network."""
