"""A progress line on a terminal; nothing at all in a pipe."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from stemwright.options import Progress

_REDRAW = 0.1  # seconds
_NAME = 24  # columns of a terminal that a song's name takes at most


class ProgressLine:
    """Redraws one line of stderr: a bar, segments done, and the time left."""

    def __init__(self, name: str, *, enabled: bool = True) -> None:
        # What no terminal shows, and what would move its cursor, is written out.
        self._name = "".join(each if each.isprintable() else ascii(each)[1:-1] for each in name)
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
        from wcwidth import clip, wcswidth

        width = shutil.get_terminal_size().columns
        name = self._name if wcswidth(self._name) <= _NAME else f"{clip(self._name, 0, _NAME - 1)}…"
        room = max(5, min(40, width - wcswidth(name) - len(text) - 12))
        full = int(fraction * room)
        line = clip(f"{name} {'█' * full}{'░' * (room - full)} {fraction:4.0%} {text}", 0, width - 1)
        self._print(f"\r\x1b[2K{line}")
        self._drawn = True

    def clear(self) -> None:
        """Take the line away."""
        if self._drawn:
            self._print("\r\x1b[2K")
            self._drawn = False

    def _print(self, text: str) -> None:
        try:
            print(text, end="", file=sys.stderr, flush=True)
        except OSError:  # the terminal is gone
            self._enabled = False


def _left(seconds: float | None) -> str:
    if seconds is None:
        return ""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02d} left"
