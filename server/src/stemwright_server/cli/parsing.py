"""What the parsers share."""

from __future__ import annotations

import argparse
from typing import Any

Subparsers = Any  # argparse's own type for it is private


def add_log_level(parser: argparse.ArgumentParser) -> None:
    """Add ``--log-level``."""
    parser.add_argument(
        "--log-level", type=str.upper, choices=("DEBUG", "INFO", "WARNING", "ERROR"), help="default: INFO"
    )
