"""Wake-ups within this process: any thread wakes, coroutines wait."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock

from stemwright_server.ports.wakeups import WORK


class Listener:
    """Implements ports.wakeups.Listener."""

    def __init__(self, wakeups: InProcessWakeUps) -> None:
        self._wakeups = wakeups
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def wake(self) -> None:
        """Called from any thread."""
        with suppress(RuntimeError):  # the loop of a listener on its way out is closed
            self._loop.call_soon_threadsafe(self._event.set)

    @property
    def closed(self) -> bool:
        return self._wakeups.closed

    async def wait(self, seconds: float) -> None:
        if not self._wakeups.closed:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._event.wait(), seconds)
        self._event.clear()


class InProcessWakeUps:
    """Implements ports.wakeups.WakeUps."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._listeners: defaultdict[str, set[Listener]] = defaultdict(set)
        self.closed = False

    def wake(self, name: str = WORK) -> None:
        with self._lock:
            listeners = list(self._listeners.get(name, ()))
        for listener in listeners:
            listener.wake()

    def close(self) -> None:
        """Wake everybody for the last time."""
        with self._lock:
            self.closed = True
            listeners = [listener for each in self._listeners.values() for listener in each]
        for listener in listeners:
            listener.wake()

    @contextmanager
    def listen(self, name: str = WORK) -> Iterator[Listener]:
        listener = Listener(self)
        with self._lock:
            self._listeners[name].add(listener)
        try:
            yield listener
        finally:
            with self._lock:
                self._listeners[name].discard(listener)
                if not self._listeners[name]:
                    del self._listeners[name]
