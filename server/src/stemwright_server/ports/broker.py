"""The broker: a bell that wakes workers up. What rings may be lost; the repository is the truth."""

from __future__ import annotations

from typing import Protocol

from stemwright_server.domain.job import Job


class Broker(Protocol):
    """Wakes workers up."""

    def ring(self) -> None:
        """Work may be waiting."""
        ...


class Notifier(Protocol):
    """Wakes those up who watch a track."""

    def tell(self, job: Job) -> None:
        """This job has changed."""
        ...
