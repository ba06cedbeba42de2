"""How a moment is written, wherever a program or a person reads it."""

from __future__ import annotations

from datetime import UTC, datetime


def timestamp(seconds: float) -> str:
    """``seconds`` since 1970 by RFC 3339, in UTC: ``2026-11-21T10:00:23.000Z``.

    Always to the millisecond, rounded down: all time stamps have one length and sort as strings.
    """
    written = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    return written.removesuffix("+00:00") + "Z"
