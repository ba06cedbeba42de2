"""What a failure says of the worker at which it happened."""

from __future__ import annotations

import structlog

from stemwright_server.domain.job import Job, JobState
from stemwright_server.domain.lifecycle import STORE_UNREACHABLE, WorkerFailed
from stemwright_server.domain.worker_health import OWN_FAULTS, WorkerHealth, after_failure
from stemwright_server.usecases.deps import Deps
from stemwright_worker.contract.tasks import Failed

_log = structlog.get_logger(__name__)


def judged(deps: Deps, report: Failed) -> Failed | WorkerFailed:
    """The report; or a failure that is not charged to the job, since it is the worker's fault, or the worker is on trial.

    A failure that no repeat would mend is the input's fault, and says nothing of the worker.
    """
    job = deps.repository.job(report.job_id)
    known = job is not None and job.state is JobState.RUNNING and job.attempt == report.attempt and job.worker
    if job is None or not known or not report.retryable or report.code == STORE_UNREACHABLE:
        return report
    before = next(
        (each for each in deps.repository.ailing_workers() if each.worker == known), WorkerHealth(worker=known)
    )
    after = after_failure(
        before,
        job.id,
        code=report.code[:100],
        message=report.message[:1000],
        now=deps.clock(),
        others_are_well=_others_are_well(deps, job),
    )
    deps.workers.keep_health(after)
    if after.times > before.times:
        seconds = round(after.aside_until - deps.clock())
        _log.error("worker_set_aside", worker=known, seconds=seconds, code=report.code, error=report.message)
    if report.code not in OWN_FAULTS and not before.on_trial:
        return report
    return WorkerFailed(job_id=job.id, attempt=report.attempt, code=report.code, message=report.message)


def completed(deps: Deps, worker: str) -> None:
    """A worker has completed a job: it is well."""
    if any(each.worker == worker for each in deps.repository.ailing_workers()):
        deps.workers.forget_health(worker)
        _log.info("worker_is_well", worker=worker)


def _others_are_well(deps: Deps, job: Job) -> bool:
    ailing = {each.worker for each in deps.repository.ailing_workers() if each.on_trial}
    others = (each for each in deps.workers.present() if each.worker not in (job.worker, *ailing))
    return any(job.service in each.services for each in others)
