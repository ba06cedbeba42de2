"""Who works: the workers seen lately, and what happens to the jobs of one that is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from threading import Lock

from stemwright_server.domain.lifecycle import WorkerLeft, WorkerLost
from stemwright_server.usecases.parts import Parts
from stemwright_server.usecases.record import apply

_FORGOTTEN_AFTER = 90.0  # seconds of silence; a worker claims or reports far more often


@dataclass(frozen=True, kw_only=True)
class SeenWorker:
    """A worker that claimed lately."""

    worker: str
    device: str
    models: tuple[str, ...]
    seen_at: float


class Presence:
    """Remembers who claimed, in this process only: it informs, nothing is decided by it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._seen: dict[str, SeenWorker] = {}
        self._gone: set[str] = set()

    def note(self, worker: SeenWorker) -> None:
        """It claims now."""
        with self._lock:
            self._seen[worker.worker] = worker

    def forget(self, worker: str) -> None:
        """It is gone for good: ids are never used again."""
        with self._lock:
            self._seen.pop(worker, None)
            self._gone.add(worker)

    def is_gone(self, worker: str) -> bool:
        """Whether a claim of it is a leftover of a dead connection."""
        with self._lock:
            return worker in self._gone

    def workers(self, parts: Parts) -> Sequence[SeenWorker]:
        """Those that claimed lately, or run a job now."""
        busy = {job.worker for job in parts.repository.running()}
        oldest = parts.clock() - _FORGOTTEN_AFTER
        with self._lock:
            self._seen = {
                name: each for name, each in self._seen.items() if each.seen_at >= oldest or each.worker in busy
            }
            return sorted(self._seen.values(), key=lambda each: each.worker)


def worker_lost(parts: Parts, worker_prefix: str) -> None:
    """Workers whose ids begin so are known to be dead: their jobs are tried again, and it counts."""
    for job in parts.repository.running(worker_prefix=worker_prefix):
        apply(parts, job.id, WorkerLost(worker=job.worker or ""))


def worker_left(parts: Parts, worker_prefix: str) -> None:
    """Workers whose ids begin so were told to go: their jobs are for others, and it does not count."""
    for job in parts.repository.running(worker_prefix=worker_prefix):
        apply(parts, job.id, WorkerLeft(worker=job.worker or ""))
