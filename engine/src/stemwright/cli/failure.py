"""How a command says what went wrong: one line on stderr, and exit code 2."""

from __future__ import annotations

from stemwright.cli.streams import tell


def fail(message: str) -> int:
    """Say in one line what was wrong; the exit code to return."""
    line = " ".join(message.split("\n"))
    tell(f"stemwright: error: {line}")
    return 2
