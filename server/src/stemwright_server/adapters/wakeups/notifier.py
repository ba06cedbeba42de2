"""The notifier of one process: event streams of a track hear of its jobs at once."""

from __future__ import annotations

from contextlib import AbstractContextManager

from stemwright_server.adapters.wakeups.in_process import InProcessWakeUps, Listener
from stemwright_server.domain.job import Job


class InProcessNotifier:
    """Implements ports.broker.Notifier."""

    def __init__(self, wakeups: InProcessWakeUps) -> None:
        self._wakeups = wakeups

    def tell(self, job: Job) -> None:
        self._wakeups.wake(f"track:{job.track_id}")

    def listen(self, track_id: str) -> AbstractContextManager[Listener]:
        """Listen for changes of a track's jobs."""
        return self._wakeups.listen(f"track:{track_id}")
