"""What becomes of jobs, in the log: one line for each step, with the ids that lead to it."""

from __future__ import annotations

from typing import Any

import structlog

from stemwright_server.domain.counters import processing_seconds
from stemwright_server.domain.job import Job, JobState
from stemwright_server.domain.lifecycle import Transition
from stemwright_worker.contract.service import Progress
from stemwright_worker.ports.tracing import trace_id

_log = structlog.get_logger(__name__)


def created(job: Job) -> None:
    """A job is new."""
    _log.info("job_created", **_names(job), priority=job.options.priority)


def started(job: Job) -> None:
    """A worker has it."""
    _log.info("job_processing_started", **_names(job), worker=job.worker)


def changed(before: Job, transition: Transition) -> None:
    """A report or a decision changed it; of progress, each stage and each tenth is a step."""
    job = transition.job
    if job.state is before.state:
        if job.state is JobState.RUNNING and _step(job.progress) != _step(before.progress):
            _progressed(job)
        return
    names = _names(job)
    match job.state:
        case JobState.COMPLETED:
            _log.info("job_processing_completed", **names, duration=round(processing_seconds(job), 3))
        case JobState.FAILED:
            _log.error("job_processing_failed", **names, **_why(job))
        case JobState.CANCELED:
            _log.info("job_canceled", **names)
        case JobState.QUEUED:
            _log.warning("job_queued_again", **names, outcome=transition.outcome, **_why(job))


def _step(progress: Progress) -> tuple[str, int]:
    """What is worth a line when it changes."""
    return progress.stage, 10 * progress.done // progress.total if progress.total > 0 else 0


def _progressed(job: Job) -> None:
    progress = job.progress
    count = {"segments_done": progress.done, "segments_total": progress.total} if progress.total > 0 else {}
    left = {} if progress.eta_seconds is None else {"eta_seconds": progress.eta_seconds}
    _log.info("job_progress", **_names(job), stage=progress.stage, **count, **left)


def _names(job: Job) -> dict[str, Any]:
    names = {
        "job_id": job.id,
        "file_id": job.track_id or None,
        "user_id": job.owner,
        "model": job.model,
        "service": job.service,
        "dialect": job.options.dialect,
        "attempt": job.attempt,
        "request_id": job.request_id,
        "correlation_id": job.options.correlation_id,
        "trace_id": trace_id(job.options.traceparent),
    }
    return {name: value for name, value in names.items() if value is not None}


def _why(job: Job) -> dict[str, Any]:
    return {} if job.error is None else {"code": job.error.code, "error": job.error.message}
