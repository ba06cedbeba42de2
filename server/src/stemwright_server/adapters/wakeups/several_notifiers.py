"""Several who want to hear of a job's change."""

from __future__ import annotations

from stemwright_server.domain.job import Job
from stemwright_server.ports.notifier import Notifier


class SeveralNotifiers:
    """Implements ports.notifier.Notifier."""

    def __init__(self, *notifiers: Notifier) -> None:
        self._notifiers = notifiers

    def tell(self, job: Job) -> None:
        for notifier in self._notifiers:
            notifier.tell(job)
