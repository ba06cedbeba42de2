"""The command line."""

from stemwright.cli.main import main

__all__ = ["main"]
