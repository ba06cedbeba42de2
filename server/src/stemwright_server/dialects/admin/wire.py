"""What the admin dialect says. Times are ISO 8601."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, Field

from stemwright_server.domain.delivery import Delivery, DeliveryState
from stemwright_server.domain.job import Attempt, Job, JobError, JobState, Outcome
from stemwright_server.domain.worker import SeenWorker
from stemwright_server.domain.worker_health import WorkerHealth
from stemwright_server.http.times import Moment
from stemwright_server.usecases.administration import Cause
from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.timestamp import timestamp


def _moment(seconds: float | None) -> Moment | None:
    return None if seconds is None else timestamp(seconds)


class FailureView(BaseModel):
    """Why a job failed, or its last attempt did."""

    code: str
    message: str
    retryable: bool

    @classmethod
    def of(cls, error: JobError | None) -> FailureView | None:
        """None for none."""
        return None if error is None else cls(code=error.code, message=error.message, retryable=error.retryable)


class AdminJob(BaseModel):
    """A job in a list."""

    job_id: str
    file_id: str | None
    owner: str
    dialect: str = Field(description="The API that it came by.")
    model: str = Field(description="The service, for example demucs.")
    variation: str
    status: JobState
    percent: float
    priority: int
    attempt: int
    failures: int = Field(description="Attempts that were charged.")
    worker: str | None
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    request_id: str
    retry_of: str | None = Field(description="The ended job that this one does once more.")
    error: FailureView | None

    @classmethod
    def of(cls, job: Job) -> AdminJob:
        """What a job is."""
        return cls(**_job(job))


def _job(job: Job) -> dict[str, Any]:
    return {
        "job_id": job.id,
        "file_id": job.track_id or None,
        "owner": job.owner,
        "dialect": job.options.dialect,
        "model": job.service,
        "variation": job.model,
        "status": job.state,
        "percent": job.progress.percent,
        "priority": job.options.priority,
        "attempt": job.attempt,
        "failures": job.failures,
        "worker": job.worker,
        "created_at": timestamp(job.created_at),
        "started_at": _moment(job.started_at),
        "finished_at": _moment(job.finished_at),
        "request_id": job.request_id,
        "retry_of": job.retry_of,
        "error": FailureView.of(job.error),
    }


class AttemptView(BaseModel):
    """One try."""

    number: int
    worker: str
    started_at: Moment
    ended_at: Moment | None
    outcome: Outcome | None

    @classmethod
    def of(cls, attempt: Attempt) -> AttemptView:
        """What became of it."""
        return cls(
            number=attempt.number,
            worker=attempt.worker,
            started_at=timestamp(attempt.started_at),
            ended_at=_moment(attempt.ended_at),
            outcome=attempt.outcome,
        )


class AdminJobDetail(AdminJob):
    """A job, and what is still known of its attempts."""

    params: Mapping[str, Any]
    attempts: list[AttemptView]

    @classmethod
    def with_attempts(cls, job: Job, attempts: Sequence[Attempt]) -> AdminJobDetail:
        """All of it."""
        return cls(**_job(job), params=job.params, attempts=[AttemptView.of(each) for each in attempts])


class JobsPage(BaseModel):
    """Jobs, newest first."""

    jobs: list[AdminJob]
    next: str | None = Field(description="Give it as `before` for the next page; null: there is none.")


class CauseView(BaseModel):
    """Why jobs failed, counted over the newest 1,000 failed ones."""

    model: str
    variation: str
    code: str
    message: str = Field(description="Of the newest one.")
    jobs: int
    newest_job_id: str
    newest_at: Moment | None

    @classmethod
    def of(cls, cause: Cause) -> CauseView:
        """A cause."""
        return cls(
            model=cause.service,
            variation=cause.model,
            code=cause.code,
            message=cause.message,
            jobs=cause.jobs,
            newest_job_id=cause.newest.id,
            newest_at=_moment(cause.newest.finished_at),
        )


class CausesResponse(BaseModel):
    """The commonest cause first."""

    causes: list[CauseView]


class WebhookView(BaseModel):
    """A webhook; never its body."""

    webhook_id: str
    job_id: str
    kind: str
    status: DeliveryState
    tries: int
    answer: int | None = Field(description="The HTTP status of the last try.")
    error: str | None
    created_at: Moment
    next_try_at: Moment | None

    @classmethod
    def of(cls, delivery: Delivery) -> WebhookView:
        """Its URL is left out: callers put secrets there."""
        return cls(
            webhook_id=delivery.id,
            job_id=delivery.job_id,
            kind=delivery.kind,
            status=delivery.state,
            tries=delivery.tries,
            answer=delivery.status,
            error=delivery.error,
            created_at=timestamp(delivery.created_at),
            next_try_at=timestamp(delivery.due_at) if delivery.state is DeliveryState.PENDING else None,
        )


class WebhooksResponse(BaseModel):
    """Newest first."""

    webhooks: list[WebhookView]


class WorkerView(BaseModel):
    """A worker that was heard of lately."""

    worker: str
    device: str
    models: list[str]
    seen_at: Moment
    job_id: str | None = Field(description="What it works on.")
    drained: bool
    set_aside_until: Moment | None = Field(description="It gets no jobs before: they fail there.")
    error: str | None = Field(description="What went wrong there last, if it has completed nothing since.")

    @classmethod
    def of(cls, worker: SeenWorker, *, job_id: str | None, drained: bool, health: WorkerHealth | None) -> WorkerView:
        """A worker."""
        return cls(
            worker=worker.worker,
            device=worker.device,
            models=list(worker.services),
            seen_at=timestamp(worker.seen_at),
            job_id=job_id,
            drained=drained,
            set_aside_until=_moment(health.aside_until) if health is not None and health.on_trial else None,
            error=None if health is None else f"{health.code}: {health.message}",
        )


class WorkersResponse(BaseModel):
    """By id, and how the ids of drained ones begin."""

    workers: list[WorkerView]
    drained: list[str]


class DrainResponse(BaseModel):
    """How many workers there are now whose ids begin so."""

    workers: int


class ServiceView(BaseModel):
    """What workers announced, and whether its jobs are handed out."""

    model: str
    version: str
    variations: list[str]
    paused: bool
    workers: int

    @classmethod
    def of(cls, service: ServiceDescription, *, paused: bool, workers: int) -> ServiceView:
        """A service."""
        variations = [each.name for each in service.models]
        return cls(model=service.name, version=service.version, variations=variations, paused=paused, workers=workers)


class ServicesResponse(BaseModel):
    """By name."""

    services: list[ServiceView]
