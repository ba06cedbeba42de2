"""What happens to the jobs of workers that are gone."""

from __future__ import annotations

from stemwright_server.domain.lifecycle import WorkerLeft, WorkerLost
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.record import apply


def worker_lost(deps: Deps, worker_prefix: str) -> None:
    """Workers whose ids begin so are known to be dead: their jobs are tried again, and it counts."""
    for job in deps.repository.running(worker_prefix=worker_prefix):
        apply(deps, job.id, WorkerLost(worker=job.worker or ""))


def worker_left(deps: Deps, worker_prefix: str) -> None:
    """Workers whose ids begin so were told to go: their jobs are for others, and it does not count."""
    for job in deps.repository.running(worker_prefix=worker_prefix):
        apply(deps, job.id, WorkerLeft(worker=job.worker or ""))
