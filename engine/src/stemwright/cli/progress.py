"""A progress line on a terminal; nothing at all in a pipe."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stemwright.options import Progress

_REDRAW = 0.1  # seconds


class ProgressLine:
    """Redraws one line of stderr: a bar, segments done, and the time left."""

    def __init__(self, name: str, *, enabled: bool = True) -> None:
        self._name = name
        self._enabled = enabled and sys.stderr.isatty()
        self._drawn = False
        self._last = 0.0

    def show(self, progress: Progress) -> None:
        """Draw how far it is."""
        now = time.monotonic()
        last_one = progress.segments_done == progress.segments_total
        if not self._enabled or (now - self._last < _REDRAW and not last_one):
            return
        self._last = now
        self._draw(progress.fraction, f"{progress.segments_done}/{progress.segments_total} {_left(progress.remaining)}")

    def _draw(self, fraction: float, text: str) -> None:
        width = shutil.get_terminal_size().columns
        name = self._name if len(self._name) <= 24 else f"{self._name[:23]}…"
        room = max(5, min(40, width - len(name) - len(text) - 12))
        full = int(fraction * room)
        line = f"{name} {'█' * full}{'░' * (room - full)} {fraction:4.0%} {text}"
        print(f"\r\x1b[2K{line[: width - 1]}", end="", file=sys.stderr, flush=True)
        self._drawn = True

    def clear(self) -> None:
        """Take the line away."""
        if self._drawn:
            print("\r\x1b[2K", end="", file=sys.stderr, flush=True)
            self._drawn = False


def _left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} left"
