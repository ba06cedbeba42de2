"""A watchdog between a worker and its parent: a model that holds the interpreter for good is ended from outside.

Code in C can keep every thread of its process from running, so no thread of it can watch over it. The worker says how
long it may go unheard; the parent ends it when that time is over. Both count by the machine's monotonic clock.
"""

from __future__ import annotations

import math
import os
import time
from contextlib import suppress


class Watchdog:
    """The worker's end."""

    def __init__(self, descriptor: int | None) -> None:
        """``descriptor``: of the pipe to the parent; None if nobody watches."""
        self._descriptor = descriptor
        if descriptor is not None:
            os.set_blocking(descriptor, False)

    def arm(self, seconds: float) -> None:
        """The parent may end this process in ``seconds``, unless it hears something else before."""
        if self._descriptor is not None:
            with suppress(
                BlockingIOError, BrokenPipeError
            ):  # the parent does not read now: it will have enough to read
                os.write(self._descriptor, f"{time.monotonic() + seconds:.3f}\n".encode())

    def disarm(self) -> None:
        """Nothing runs that could go on for ever."""
        self.arm(math.inf)


class WatchdogMonitor:
    """The parent's end."""

    def __init__(self) -> None:
        self._ours, self.theirs = os.pipe()
        os.set_blocking(self._ours, False)
        self._open = {self._ours, self.theirs}
        self._rest = b""
        self._until = math.inf
        self.heard = False  # whether the worker ever said anything, as it does with its first task

    def expired(self) -> bool:
        """Whether the worker's time is over."""
        with suppress(BlockingIOError):
            while heard := os.read(self._ours, 65536):
                self.heard = True
                *lines, self._rest = (self._rest + heard).split(b"\n")
                self._until = float(lines[-1]) if lines else self._until
        return time.monotonic() > self._until

    def started(self) -> None:
        """The worker has its end now."""
        self._open.discard(self.theirs)
        os.close(self.theirs)

    def close(self) -> None:
        """The worker is gone, or never came."""
        while self._open:
            os.close(self._open.pop())
