"""The life of a job: ``advance`` is the only place where one changes state.

    queued --Claimed--> running --Completed--> completed
       |                  |  |---Failed------> failed, or queued again while attempts are left; not charged if the store failed
       |                  |  |---WorkerFailed---> queued, not charged, unless that was so often already
       |                  |  |---LeaseExpired, WorkerLost---> the same: a crash
       |                  |  '---WorkerLeft----> queued, not charged
       '---CancelAsked----'-----> canceled

    An ended job keeps its state; Expire says when it is removed. Followed says whom to tell of an end to come.

A report carries the number of its attempt. If that is not the running one, nothing changes: the number is a fence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, assert_never

from stemwright_server.domain.job import WAITING, Artifact, Job, JobError, JobState, Outcome, Webhook
from stemwright_worker.contract.service import Progress
from stemwright_worker.contract.tasks import Completed, Failed, Progressed, Publishing, Report

STORE_UNREACHABLE = "store_unreachable"
"""A worker's code for a store of ours that was away, or let nobody in."""
_STORE_SECONDS = 60.0  # at most, until a job is tried again that the store failed
_UNCHARGED = 6  # attempts: what is no fault of the job's, as it seems, must not be tried for ever


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The limits that decide."""

    lease_seconds: float = 60.0  # silence after which a worker is taken for dead
    max_attempts: int = 3  # charged attempts before a job fails for good
    retry_seconds: float = 2.0  # wait before the second attempt; doubles with each further one
    retry_cap_seconds: float = 300.0

    def backoff(self, failures: int) -> float:
        """Seconds to wait after so many failures."""
        return min(self.retry_cap_seconds, self.retry_seconds * 2.0 ** (failures - 1))

    def heard_at(self, job: Job) -> float | None:
        """When the worker of a running job was heard last: every report of it renews the lease."""
        return None if job.lease_until is None else job.lease_until - self.lease_seconds


@dataclass(frozen=True, kw_only=True)
class Claimed:
    """A worker takes a queued job."""

    worker: str


@dataclass(frozen=True, kw_only=True)
class LeaseExpired:
    """The lease of a running job may be over."""


@dataclass(frozen=True, kw_only=True)
class WorkerLost:
    """A worker process is known to be dead, before its lease is over."""

    worker: str


@dataclass(frozen=True, kw_only=True)
class WorkerLeft:
    """A worker was told to go; what it runs is to be done by another."""

    worker: str


@dataclass(frozen=True, kw_only=True)
class WorkerFailed:
    """An attempt failed by its worker's fault: see ``domain.worker_health``."""

    job_id: str
    attempt: int
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class CancelAsked:
    """The caller does not want the job any more."""


@dataclass(frozen=True, kw_only=True)
class Expire:
    """An ended job and its outputs are to be removed at ``at``, unless that is so earlier already."""

    at: float


@dataclass(frozen=True, kw_only=True)
class Followed:
    """Somebody who joined the job wants to be told of its end, which nobody is so far."""

    webhook: Webhook
    labels: Mapping[str, Any]  # what its body needs


Event = Report | Claimed | LeaseExpired | WorkerLost | WorkerLeft | WorkerFailed | CancelAsked | Expire | Followed


@dataclass(frozen=True, kw_only=True)
class Transition:
    """What an event did to a job."""

    job: Job  # as it is now; the very same object if nothing changed
    accepted: bool  # whether the event held; a repeated one holds and changes nothing
    outcome: Outcome | None = None  # of the attempt, if the event ended it


def advance(job: Job, event: Event, *, now: float, policy: Policy) -> Transition:
    """The job after the event, at ``now`` (unix seconds). Never raises: what does not hold is not accepted."""
    match event:
        case Claimed(worker=worker):
            return _claim(job, worker, now, policy)
        case CancelAsked():
            return _cancel(job, now)
        case Expire(at=at):
            return _expire(job, at)
        case Followed(webhook=webhook, labels=labels):
            return _follow(job, webhook, labels)
        case Completed() if job.state is JobState.COMPLETED and job.attempt == event.attempt:
            return Transition(job=job, accepted=True)  # its first report arrived, our answer did not
    if not _holds(job, event, now):
        return Transition(job=job, accepted=False)
    match event:
        case Progressed(progress=progress):
            return _keep(job, progress, now, policy)
        case Publishing():
            return _keep(job, job.progress, now, policy)
        case Completed():
            return _complete(job, event, now, policy)
        case Failed(code=code, message=message, retryable=retryable):
            error = JobError(code=code, message=message, retryable=retryable)
            if code == STORE_UNREACHABLE and retryable and job.attempt < policy.max_attempts + _UNCHARGED:
                return _postpone(job, error, now, policy)
            return _fail(job, error, Outcome.FAILED, now, policy)
        case WorkerFailed(code=code, message=message):
            error = JobError(code=code, message=message, retryable=True)
            if job.attempt < policy.max_attempts + _UNCHARGED:
                return _release(replace(job, error=error), now)
            return _fail(job, error, Outcome.FAILED, now, policy)
        case WorkerLeft():
            return _release(job, now)
        case LeaseExpired() | WorkerLost():
            message = f"The worker died or fell silent in attempt {job.attempt}."
            return _fail(job, JobError(code="worker_lost", message=message, retryable=True), Outcome.LOST, now, policy)
        case _:
            assert_never(event)


def _holds(job: Job, event: Event, now: float) -> bool:
    """Whether an event about a running attempt is about this one."""
    if job.state is not JobState.RUNNING:
        return False
    match event:
        case LeaseExpired():
            return job.lease_until is not None and job.lease_until <= now
        case WorkerLost(worker=worker) | WorkerLeft(worker=worker):
            return job.worker == worker
        case Progressed() | Publishing() | Completed() | Failed() | WorkerFailed():
            return job.attempt == event.attempt and job.id == event.job_id
    return False


def _claim(job: Job, worker: str, now: float, policy: Policy) -> Transition:
    if job.state is not JobState.QUEUED or job.available_at > now:
        return Transition(job=job, accepted=False)
    claimed = replace(
        job,
        state=JobState.RUNNING,
        attempt=job.attempt + 1,
        worker=worker,
        lease_until=now + policy.lease_seconds,
        started_at=now if job.started_at is None else job.started_at,
        revision=job.revision + 1,
    )
    return Transition(job=claimed, accepted=True)


def _cancel(job: Job, now: float) -> Transition:
    if job.state.final:
        return Transition(job=job, accepted=job.state is JobState.CANCELED)
    outcome = Outcome.CANCELED if job.state is JobState.RUNNING else None
    return Transition(job=_end(job, JobState.CANCELED, now), accepted=True, outcome=outcome)


def _keep(job: Job, progress: Progress, now: float, policy: Policy) -> Transition:
    lease_until = now + policy.lease_seconds
    kept = replace(job, progress=progress, lease_until=lease_until, revision=job.revision + 1)
    return Transition(job=kept, accepted=True)


def _complete(job: Job, report: Completed, now: float, policy: Policy) -> Transition:
    files = {file.name: file for file in report.files}
    missing = [spec.name for spec in job.outputs if spec.name not in files]
    if missing:
        error = JobError(
            code="artifact_missing", message=f"The worker did not upload {', '.join(missing)}.", retryable=True
        )
        return _fail(job, error, Outcome.FAILED, now, policy)
    artifacts = tuple(
        Artifact(
            name=spec.name,
            key="" if spec.name in job.options.upload_urls else job.prefix(job.attempt) + spec.filename,
            content_type=spec.content_type,
            size=files[spec.name].size,
            sha256=files[spec.name].sha256,
            duration=files[spec.name].duration,
            crc32=files[spec.name].crc32,
            role=spec.role,
        )
        for spec in job.outputs
    )
    total = max(job.progress.total, 1)
    done = _end(job, JobState.COMPLETED, now)
    done = replace(
        done,
        artifacts=artifacts,
        report=report.report,
        error=None,
        progress=Progress(done=total, total=total, stage="completed"),
    )
    return Transition(job=done, accepted=True, outcome=Outcome.COMPLETED)


def _fail(job: Job, error: JobError, outcome: Outcome, now: float, policy: Policy) -> Transition:
    failures = job.failures + 1
    if error.retryable and failures < policy.max_attempts:
        again = replace(_requeue(job, now + policy.backoff(failures)), failures=failures, error=error)
        return Transition(job=again, accepted=True, outcome=outcome)
    failed = replace(_end(job, JobState.FAILED, now), failures=failures, error=error)
    return Transition(job=failed, accepted=True, outcome=outcome)


def _postpone(job: Job, error: JobError, now: float, policy: Policy) -> Transition:
    """The store was away, which is no fault of the job's: it is tried again, and not charged."""
    again = replace(_requeue(job, now + min(_STORE_SECONDS, policy.backoff(job.attempt))), error=error)
    return Transition(job=again, accepted=True, outcome=Outcome.RELEASED)


def _release(job: Job, now: float) -> Transition:
    return Transition(job=_requeue(job, now), accepted=True, outcome=Outcome.RELEASED)


def _requeue(job: Job, available_at: float) -> Job:
    return replace(
        job,
        state=JobState.QUEUED,
        available_at=available_at,
        worker=None,
        lease_until=None,
        progress=WAITING,
        revision=job.revision + 1,
    )


def _end(job: Job, state: JobState, now: float) -> Job:
    keep = job.options.keep_seconds
    return replace(
        job,
        state=state,
        worker=None,
        lease_until=None,
        finished_at=now,
        expires_at=None if keep is None else now + keep,
        revision=job.revision + 1,
    )


def _expire(job: Job, at: float) -> Transition:
    if not job.state.final:
        return Transition(job=job, accepted=False)
    if job.expires_at is not None and job.expires_at <= at:
        return Transition(job=job, accepted=True)
    return Transition(job=replace(job, expires_at=at, revision=job.revision + 1), accepted=True)


def _follow(job: Job, webhook: Webhook, labels: Mapping[str, Any]) -> Transition:
    if job.options.webhook is not None or job.state.final:
        return Transition(job=job, accepted=job.options.webhook == webhook)
    options = replace(job.options, webhook=webhook, labels={**job.options.labels, **labels})
    return Transition(job=replace(job, options=options, revision=job.revision + 1), accepted=True)
