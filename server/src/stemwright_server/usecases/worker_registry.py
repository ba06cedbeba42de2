"""The workers that were seen lately."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock

from stemwright_server.domain.worker import SeenWorker
from stemwright_server.domain.worker_health import WorkerHealth
from stemwright_server.ports.jobs import JobRepository
from stemwright_worker.contract.tasks import GpuMemory

_FORGOTTEN_AFTER = 90.0  # seconds of silence; a worker claims, reports or says that it is there far more often
_ASKED_EVERY = 2.0  # seconds, which workers are drained: so late a claim may still get a job
_NOTED_EVERY = 15.0  # seconds; more often would say nothing more


class WorkerRegistry:
    """Who is there. It informs, nothing is decided by it."""

    def __init__(self, repository: JobRepository, clock: Callable[[], float]) -> None:
        self._repository = repository
        self._clock = clock
        self._lock = Lock()
        self._noted: dict[str, float] = {}  # by this process
        self._gone: set[str] = set()  # how ids begin
        self._drained: tuple[float, Sequence[str]] = (0.0, ())  # when it was asked last, and how ids begin
        self._paused: tuple[float, Sequence[str]] = (0.0, ())  # the same of services
        self._ailing: tuple[float, Sequence[WorkerHealth]] = (0.0, ())  # when it was asked last, and what was found
        self._gpus: dict[tuple[str, int], tuple[float, GpuMemory]] = {}  # by host and index: when it was told, and what

    def note(self, worker: str, *, device: str, services: Sequence[str]) -> None:
        """It is there now."""
        now = self._clock()
        with self._lock:
            if self._is_gone(worker) or now - self._noted.get(worker, 0.0) < _NOTED_EVERY:
                return
            self._noted[worker] = now
        seen = SeenWorker(worker=worker, device=device, services=tuple(services), seen_at=now)
        self._repository.see_worker(seen)

    def note_gpus(self, gpus: Sequence[GpuMemory]) -> None:
        """A worker tells of the GPUs of its host."""
        now = self._clock()
        with self._lock:
            self._gpus |= {(gpu.host, gpu.index): (now, gpu) for gpu in gpus}

    def gpus(self) -> Sequence[GpuMemory]:
        """Those that this process was told of lately."""
        oldest = self._clock() - _FORGOTTEN_AFTER
        with self._lock:
            self._gpus = {key: told for key, told in self._gpus.items() if told[0] >= oldest}
            return [gpu for _, (_, gpu) in sorted(self._gpus.items())]

    def forget(self, prefix: str) -> None:
        """Those whose ids begin so are gone for good: ids are never used again."""
        with self._lock:
            self._noted = {worker: at for worker, at in self._noted.items() if not worker.startswith(prefix)}
            self._gone.add(prefix)
        self._repository.forget_workers(prefix)

    def is_gone(self, worker: str) -> bool:
        """Whether a claim of it is a leftover of a dead connection, or of one that has yet to hear that it is to go."""
        with self._lock:
            return self._is_gone(worker)

    def is_drained(self, worker: str) -> bool:
        """Whether an operator wants it to get no new job."""
        now = self._clock()
        asked_at, prefixes = self._drained
        if not asked_at <= now < asked_at + _ASKED_EVERY:
            prefixes = self._repository.drained_workers()
            self._drained = (now, prefixes)
        return any(worker.startswith(prefix) for prefix in prefixes)

    def is_aside(self, worker: str) -> bool:
        """Whether it gets no jobs for a while: see ``domain.worker_health``."""
        return any(each.worker == worker and each.is_aside(self._clock()) for each in self.ailing())

    def ailing(self) -> Sequence[WorkerHealth]:
        """Workers at which jobs failed since they completed one, as of two seconds ago or later."""
        now = self._clock()
        asked_at, ailing = self._ailing
        if not asked_at <= now < asked_at + _ASKED_EVERY:
            ailing = self._repository.ailing_workers()
            self._ailing = (now, ailing)
        return ailing

    def keep_health(self, health: WorkerHealth) -> None:
        """Remember it: this process from now on, others within two seconds."""
        self._repository.keep_health(health, self._clock())
        self._ailing = (0.0, ())

    def forget_health(self, worker: str) -> None:
        """It is well."""
        self._repository.forget_health(worker)
        self._ailing = (0.0, ())

    def pause(self, service: str) -> None:
        """No job of it is handed out, by this process from now on, by others within two seconds."""
        self._repository.pause_service(service, self._clock())
        self._paused = (0.0, ())

    def resume(self, service: str) -> bool:
        """Take a pause back. Whether there was one."""
        found = self._repository.resume_service(service)
        self._paused = (0.0, ())
        return found

    def open_services(self, services: Sequence[str]) -> Sequence[str]:
        """Those of the services that no administrator has paused."""
        now = self._clock()
        asked_at, paused = self._paused
        if not asked_at <= now < asked_at + _ASKED_EVERY:
            paused = self._repository.paused_services()
            self._paused = (now, paused)
        return [each for each in services if each not in paused]

    def _is_gone(self, worker: str) -> bool:
        return any(worker.startswith(prefix) for prefix in self._gone)

    def present(self) -> Sequence[SeenWorker]:
        """Those that were heard of lately, or run a job now."""
        busy = {job.worker for job in self._repository.running()}
        oldest = self._clock() - _FORGOTTEN_AFTER
        known = self._repository.seen_workers()
        return [each for each in known if each.seen_at >= oldest or each.worker in busy]
