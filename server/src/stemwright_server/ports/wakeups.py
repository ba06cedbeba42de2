"""Wake-ups by name: whoever waits for something hears that it may be there. One can be lost; the job store is the truth."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

WORK = ""  # a job waits for a worker


def of_track(track_id: str) -> str:
    """A job of the track has changed."""
    return f"track:{track_id}"


class Listener(Protocol):
    """One who waits. Begin to listen, look whether it is there, then wait: no wake-up is missed in between."""

    @property
    def closed(self) -> bool:
        """Whether no wake-up will ever come again and the listener should go."""
        ...

    async def wait(self, seconds: float) -> None:
        """Return after a wake-up since the last wait, after ``seconds``, or once there will be none."""
        ...


class WakeUps(Protocol):
    """Both halves: waking, from any thread, and waiting, in an event loop."""

    def wake(self, name: str = WORK) -> None:
        """Wake all who listen for ``name``."""
        ...

    def listen(self, name: str = WORK) -> AbstractContextManager[Listener]:
        """Listen for ``name`` within a running event loop."""
        ...
