"""Who hears of every change of a job."""

from __future__ import annotations

from typing import Protocol

from stemwright_server.domain.job import Job


class Notifier(Protocol):
    """Told of a change once it is stored. Neither raises nor takes long."""

    def tell(self, job: Job) -> None:
        """This job has changed."""
        ...
