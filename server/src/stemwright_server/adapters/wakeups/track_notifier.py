"""The notifier of event streams: those that follow a track hear of its jobs at once."""

from __future__ import annotations

from stemwright_server.domain.job import Job
from stemwright_server.ports.wakeups import WakeUps, of_track


class TrackNotifier:
    """Implements ports.notifier.Notifier."""

    def __init__(self, wakeups: WakeUps) -> None:
        self._wakeups = wakeups

    def tell(self, job: Job) -> None:
        self._wakeups.wake(of_track(job.track_id))
