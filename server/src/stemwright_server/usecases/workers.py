"""Who works: the workers seen lately, and what happens to the jobs of one that is gone."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from stemwright_server.domain.lifecycle import WorkerLeft, WorkerLost
from stemwright_server.domain.worker import SeenWorker
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.record import apply
from stemwright_worker.contract.tasks import GpuMemory

_FORGOTTEN_AFTER = 90.0  # seconds of silence; a worker claims, reports or says that it is there far more often
_NOTED_EVERY = 15.0  # seconds; more often would say nothing more


class WorkerRegistry:
    """Who is there. It informs, nothing is decided by it."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._noted: dict[str, float] = {}  # by this process
        self._gone: set[str] = set()  # how ids begin
        self._gpus: dict[tuple[str, int], tuple[float, GpuMemory]] = {}  # by host and index: when it was told, and what

    def note(self, deps: Deps, worker: str, *, device: str, services: Sequence[str]) -> None:
        """It is there now."""
        now = deps.clock()
        with self._lock:
            if self._is_gone(worker) or now - self._noted.get(worker, 0.0) < _NOTED_EVERY:
                return
            self._noted[worker] = now
        seen = SeenWorker(worker=worker, device=device, services=tuple(services), seen_at=now)
        deps.repository.see_worker(seen)

    def note_gpus(self, deps: Deps, gpus: Sequence[GpuMemory]) -> None:
        """A worker tells of the GPUs of its host."""
        now = deps.clock()
        with self._lock:
            self._gpus |= {(gpu.host, gpu.index): (now, gpu) for gpu in gpus}

    def gpus(self, deps: Deps) -> Sequence[GpuMemory]:
        """Those that this process was told of lately."""
        oldest = deps.clock() - _FORGOTTEN_AFTER
        with self._lock:
            self._gpus = {key: told for key, told in self._gpus.items() if told[0] >= oldest}
            return [gpu for _, (_, gpu) in sorted(self._gpus.items())]

    def forget(self, deps: Deps, prefix: str) -> None:
        """Those whose ids begin so are gone for good: ids are never used again."""
        with self._lock:
            self._noted = {worker: at for worker, at in self._noted.items() if not worker.startswith(prefix)}
            self._gone.add(prefix)
        deps.repository.forget_workers(prefix)

    def is_gone(self, worker: str) -> bool:
        """Whether a claim of it is a leftover of a dead connection, or of one that has yet to hear that it is to go."""
        with self._lock:
            return self._is_gone(worker)

    def _is_gone(self, worker: str) -> bool:
        return any(worker.startswith(prefix) for prefix in self._gone)

    def workers(self, deps: Deps) -> Sequence[SeenWorker]:
        """Those that were heard of lately, or run a job now."""
        busy = {job.worker for job in deps.repository.running()}
        oldest = deps.clock() - _FORGOTTEN_AFTER
        known = deps.repository.seen_workers()
        return [each for each in known if each.seen_at >= oldest or each.worker in busy]


def worker_lost(deps: Deps, worker_prefix: str) -> None:
    """Workers whose ids begin so are known to be dead: their jobs are tried again, and it counts."""
    for job in deps.repository.running(worker_prefix=worker_prefix):
        apply(deps, job.id, WorkerLost(worker=job.worker or ""))


def worker_left(deps: Deps, worker_prefix: str) -> None:
    """Workers whose ids begin so were told to go: their jobs are for others, and it does not count."""
    for job in deps.repository.running(worker_prefix=worker_prefix):
        apply(deps, job.id, WorkerLeft(worker=job.worker or ""))
