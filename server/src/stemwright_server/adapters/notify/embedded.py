"""The notifier of one process: event streams of a track hear of its jobs at once."""

from __future__ import annotations

from contextlib import AbstractContextManager

from stemwright_server.adapters.bell import Bell, Listener
from stemwright_server.domain.job import Job


class EmbeddedNotifier:
    """Implements ports.broker.Notifier."""

    def __init__(self, bell: Bell) -> None:
        self._bell = bell

    def tell(self, job: Job) -> None:
        self._bell.ring(f"track:{job.track_id}")

    def listen(self, track_id: str) -> AbstractContextManager[Listener]:
        """Listen for changes of a track's jobs."""
        return self._bell.listen(f"track:{track_id}")
