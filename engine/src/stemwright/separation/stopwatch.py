"""Time that several threads spend at the same thing."""

from __future__ import annotations

import threading
import time
from types import TracebackType


class Stopwatch:
    """Counts the seconds in which at least one thread was inside; never more than have passed."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()
        self._inside = 0
        self._began = 0.0

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0:
                self._began = time.monotonic()
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self.seconds += time.monotonic() - self._began
