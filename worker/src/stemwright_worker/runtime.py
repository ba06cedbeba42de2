"""The worker's loop: claim, fetch, run, upload, report; one task at a time."""

from __future__ import annotations

import errno
import re
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import Protocol

import structlog

from stemwright_worker.client import ApiClient
from stemwright_worker.contract.codec import described
from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.contract.tasks import Completed, Failed, Report, ReportAnswer, Task
from stemwright_worker.control import Control, Pace
from stemwright_worker.errors import AnnounceFirst, Unavailable
from stemwright_worker.gpu_faults import is_gpu_lost
from stemwright_worker.ports.tracing import NO_TRACER, Tracer
from stemwright_worker.process.disk_cap import DiskCap, WorkFolderFull
from stemwright_worker.process.gpu_memory import GpuMeter
from stemwright_worker.process.watchdog import Watchdog
from stemwright_worker.service import LoadedModel, RunRequest, Service, Stopped
from stemwright_worker.transfers import Transfers

_CLAIM_WAIT = 20.0
_INPUTS = "in"  # the folder of the inputs in a work folder
# An absolute path of at least two folders, but no part of a URL; what is kept of it is its last name.
_PATH = re.compile(r"(?<![\w:/.~%-])/(?:[\w.@+~-]+/)+([\w.@+~-]*)")
_BROKEN_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)  # the next task would fail of it as well
_log = structlog.get_logger(__name__)


GPU_LOST = "gpu_lost"


class GpuLost(Exception):
    """The GPU is gone, or this process's hold on it: a new process may do better."""


class Services(Protocol):
    """The whole models at hand, by name."""

    def all(self) -> Sequence[Service]:
        """All of them."""
        ...

    def get(self, name: str) -> Service | None:
        """One by its name. None if there is none."""
        ...

    def descriptions(self) -> tuple[ServiceDescription, ...]:
        """What they offer, as it is now."""
        ...


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Which worker this is."""

    worker: str  # unique for each process ever started
    device: str
    work_dir: Path  # this worker's alone
    work_bytes: int | None = None  # cap on what one task keeps there
    least_priority: int = 0  # it takes no job below this


class Runtime:
    """Runs tasks until told to leave."""

    def __init__(
        self,
        client: ApiClient,
        transfers: Transfers,
        services: Services,
        identity: Identity,
        pace: Pace,
        *,
        watchdog: Watchdog | None = None,
        tracer: Tracer = NO_TRACER,
    ) -> None:
        self._client = client
        self._transfers = transfers
        self._services = services
        self._identity = identity
        self._pace = pace
        self._watchdog = watchdog
        self._tracer = tracer
        self._gpus = GpuMeter()
        self._leaving = Event()
        self._finishing = Event()
        self._idle = False
        self._loaded: tuple[str, str, LoadedModel] | None = None
        self._broken: set[str] = set()  # services that could not be prepared

    def leave(self, *_: object) -> None:
        """Go as soon as possible, giving back what is held. Fit to be a signal handler of the main thread."""
        self._leaving.set()
        if self._idle:
            raise Stopped("leaving")  # out of the wait for a task

    def finish(self, *_: object) -> None:
        """Take nothing more, and go when the task at hand is done. Fit to be a signal handler of the main thread."""
        self._finishing.set()
        if self._idle:
            raise Stopped("finished")  # out of the wait for a task

    def run(self) -> None:
        """The loop. Returns after ``leave``, or ``finish``.

        Raises:
            ContractMismatch: the API speaks another version of the contract.
            GpuLost: this process can compute no more; what it ran is with the API again.
            Unavailable: no service here could be prepared.
        """
        try:
            self.prepare()
            while not self._going():
                self.once(wait_seconds=_CLAIM_WAIT)
        except Stopped:
            pass
        finally:
            self._go()

    def once(self, *, wait_seconds: float, service: str | None = None, least_priority: int = 0) -> bool:
        """Take one task, if there is one for this service (None: for any), and run it.

        Raises:
            Stopped: after ``leave``.
            ContractMismatch: the API speaks another version of the contract.
            GpuLost: see ``run``.
        """
        if service in self._broken:
            return False
        task = self._claim(service, wait_seconds, max(least_priority, self._identity.least_priority))
        if task is not None:
            self._isolate(task)
        return task is not None

    def prepare(self) -> None:
        """Make the work folder, and import what is slow. A service that fails at that is left out.

        Raises:
            Unavailable: all of them did.
        """
        shutil.rmtree(self._identity.work_dir, ignore_errors=True)  # of attempts that died
        self._identity.work_dir.mkdir(parents=True)
        for service in self._services.all():
            if not self._leaving.is_set():
                self._prepare(service)
        if self._broken and not self._offered():
            raise Unavailable(f"No service here can be prepared: {', '.join(sorted(self._broken))}; the log says why.")

    def _prepare(self, service: Service) -> None:
        try:
            service.prepare(self._identity.device)
        except Exception as error:  # its own; the others must still serve
            if isinstance(error, Stopped):
                raise
            _log.exception("service_not_prepared", service=service.name)
            self._broken.add(service.name)

    def _offered(self) -> tuple[ServiceDescription, ...]:
        """As it is now: weights may have come or changed."""
        return tuple(each for each in self._services.descriptions() if each.name not in self._broken)

    def _going(self) -> bool:
        return self._leaving.is_set() or self._finishing.is_set()

    def _claim(self, service: str | None, wait_seconds: float, least_priority: int) -> Task | None:
        try:
            self._idle = True
            if self._going():
                return None
            offered = self._offered()
            claim = partial(
                self._client.claim,
                worker=self._identity.worker,
                device=self._identity.device,
                services=tuple(each.name for each in offered) if service is None else (service,),
                described=described(offered),
                wait_seconds=wait_seconds,
                least_priority=least_priority,
            )
            try:
                return claim()
            except AnnounceFirst:
                self._client.announce(worker=self._identity.worker, services=offered, described=described(offered))
                return claim()
        except (AnnounceFirst, Unavailable) as error:
            _log.warning("claim_failed", error=str(error))
            time.sleep(1.0)
            return None
        finally:
            self._idle = False

    def _go(self) -> None:
        self._idle = False
        shutil.rmtree(self._identity.work_dir, ignore_errors=True)
        try:
            self._client.leave(self._identity.worker)
        except Unavailable as error:
            _log.warning("leave_failed", error=str(error))
        self._client.close()
        self._tracer.close()

    # One attempt, from the outside in: ``_isolate`` gives it a folder, a log context and a lease, ``_trace`` makes it a
    # span, ``_catch`` makes a failure of every exception, ``_attempt`` does the work.

    def _isolate(self, task: Task) -> None:
        names = {"job_id": task.job_id, "attempt": task.attempt, "request_id": task.request_id, "file_id": task.file_id}
        if task.correlation_id is not None:
            names["correlation_id"] = task.correlation_id
        workdir = self._identity.work_dir / f"{task.job_id}-{task.attempt}"
        with structlog.contextvars.bound_contextvars(**names, service=task.service, model=task.model):
            tempfile.tempdir = str(workdir)
            self._client.correlate(task.request_id)
            try:
                with Control(
                    task,
                    self._client.report,
                    leaving=self._leaving,
                    pace=self._pace,
                    watchdog=self._watchdog,
                    gpus=self._gpus,
                ) as control:
                    over = partial(_give_up, control)
                    with DiskCap(workdir, self._identity.work_bytes, over) as disk:
                        report = self._trace(task, workdir, control, disk)
                if report is not None:
                    self._finish(task, report)
                if isinstance(report, Failed) and report.code == GPU_LOST:
                    raise GpuLost(report.message)
            finally:
                self._client.correlate(None)
                tempfile.tempdir = None
                shutil.rmtree(workdir, ignore_errors=True)

    def _trace(self, task: Task, workdir: Path, control: Control, disk: DiskCap) -> Report | None:
        """What to report at the end; None if the attempt was stopped. All of it is a span, each stage a part of it."""
        span = self._tracer.begin(
            "attempt", parent=task.traceparent, kind="consumer", job_id=task.job_id, attempt=task.attempt
        )
        report = self._catch(task, workdir, control, disk)
        for stage, began, ended in control.stages():
            span.part(stage, began=began, ended=ended)
        error = "stopped" if report is None else report.code if isinstance(report, Failed) else None
        span.end(error=error, service=task.service, model=task.model, device=self._identity.device)
        return report

    def _catch(self, task: Task, workdir: Path, control: Control, disk: DiskCap) -> Report | None:
        began = time.monotonic()
        try:
            report = self._attempt(task, workdir, control, disk)
        except Exception as error:
            if control.stopped is not None:  # however a model words it
                _log.info("attempt_stopped", reason=control.stopped)
                return None
            _log.warning("attempt_failed", exc_info=True)
            return _failed(task, error, workdir)
        _log.info("attempt_done", seconds=round(time.monotonic() - began, 3))
        return report

    def _attempt(self, task: Task, workdir: Path, control: Control, disk: DiskCap) -> Completed:
        _make(workdir)
        inputs, title = self._transfers.fetch(task, workdir / _INPUTS, control)
        disk.check()
        control.stage("loading")
        loaded = self._load(task)
        results = workdir / "out"
        results.mkdir()
        request = RunRequest(
            inputs=inputs,
            workdir=results,
            model=task.model,
            params=task.params,
            max_seconds=task.max_seconds,
        )
        result = loaded.run(request, control.on_progress)
        disk.check()
        return Completed(
            job_id=task.job_id,
            attempt=task.attempt,
            files=self._transfers.upload(task, result, control),
            report={"device": self._identity.device, **result.report, "stage_seconds": control.stage_seconds()},
            duration=result.duration,
            sample_rate=result.sample_rate,
            filename=title,
        )

    def _load(self, task: Task) -> LoadedModel:
        """The model in memory; the last one is kept, the one before is let go first."""
        if self._loaded is not None and self._loaded[:2] == (task.service, task.model):
            return self._loaded[2]
        self._loaded = None
        service = self._services.get(task.service)
        if service is None:
            raise Unavailable(f"This worker has no service {task.service!r}.")
        loaded = service.load(task.model, self._identity.device)
        self._loaded = (task.service, task.model, loaded)
        return loaded

    def _finish(self, task: Task, report: Report) -> None:
        """Say the last word, as long as the lease may hold."""
        deadline = time.monotonic() + task.lease_seconds
        while True:
            try:
                answer: ReportAnswer = self._client.report(report)
                if not answer.accepted:
                    _log.info("report_refused", kind=report.kind)  # the attempt is stale, another one counts
                return
            except Unavailable as error:
                _log.warning("report_failed", error=str(error))
                if time.monotonic() > deadline:
                    return
                time.sleep(0.5)


def _make(workdir: Path) -> None:
    """Its parent may be gone as well: some machines tidy up what is old. Raises Unavailable."""
    try:
        workdir.mkdir(mode=0o700, parents=True)
    except OSError as error:
        raise Unavailable(f"The worker cannot make a folder to work in: {error.strerror}.") from error


def _give_up(control: Control, error: WorkFolderFull) -> None:
    control.fail(error.code, str(error))


def _failed(task: Task, error: Exception, workdir: Path) -> Failed:
    code = getattr(error, "code", None)
    words = " ".join(str(error).split()) or type(error).__name__
    # A caller knows the file by its name; where it lay here is nobody's business.
    for given in task.inputs:
        words = words.replace(str(workdir / _INPUTS / given.name), given.filename)
    words = _PATH.sub(r"\1", words.replace(f"{workdir}/", ""))  # nor where anything else lies on this machine
    if is_gpu_lost(error):
        code, error = GPU_LOST, Unavailable(words)
    elif isinstance(error, OSError) and error.errno in _BROKEN_DISK:
        code, error = "worker_disk_full", Unavailable(words)
    if not isinstance(code, str):
        return Failed(
            job_id=task.job_id,
            attempt=task.attempt,
            code="crashed",
            message=f"{type(error).__name__}: {words}"[:1000],
            retryable=True,
        )
    retryable = bool(getattr(error, "retryable", False))
    return Failed(job_id=task.job_id, attempt=task.attempt, code=code, message=words[:1000], retryable=retryable)
