"""How a command says what went wrong: one line on stderr, and exit code 2."""

from __future__ import annotations

import sys


def fail(message: str) -> int:
    """Say in one line what was wrong; the exit code to return."""
    line = " ".join(message.split("\n"))
    print(f"stemwright: error: {line}", file=sys.stderr)
    return 2
