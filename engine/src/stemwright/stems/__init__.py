"""Stems into files, while the separation still runs."""
