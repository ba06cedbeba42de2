"""What an administrator does: to anybody's jobs, to webhooks, workers and services. Each act is a line in the log."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from stemwright_server.domain.job import Job, JobState
from stemwright_server.ports.auth import Principal
from stemwright_server.ports.jobs import JobFilter, Waiting
from stemwright_server.usecases import job_log
from stemwright_server.usecases.cancel import call_off
from stemwright_server.usecases.deps import Deps
from stemwright_worker.errors import Conflict, InvalidRequest, NotFound

_log = structlog.get_logger(__name__)
_LOOKED_AT = 1000  # failed jobs that are counted by cause


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Why jobs failed."""

    service: str
    model: str
    code: str
    message: str  # of the newest one
    jobs: int
    newest: Job


def any_job(deps: Deps, job_id: str) -> Job:
    """A job, whoever owns it. Raises NotFound."""
    job = deps.repository.job(job_id)
    if job is None:
        raise NotFound(f"There is no job {job_id!r}.", code="job_not_found")
    return job


def causes(deps: Deps) -> Sequence[Cause]:
    """Why the newest failed jobs failed, the commonest cause first."""
    failed = deps.repository.search(JobFilter(states=[JobState.FAILED]), limit=_LOOKED_AT)
    counted = Counter(_cause(job) for job in failed)
    newest = {_cause(job): job for job in reversed(failed)}
    return [
        Cause(
            service=service,
            model=model,
            code=code,
            message=(error.message if (error := newest[service, model, code].error) else ""),
            jobs=count,
            newest=newest[service, model, code],
        )
        for (service, model, code), count in counted.most_common()
    ]


def _cause(job: Job) -> tuple[str, str, str]:
    return job.service, job.model, job.error.code if job.error else ""


def retry(deps: Deps, admin: Principal, job_id: str, *, request_id: str) -> Job:
    """Do a failed or canceled job once more: a new job of the same owner, which names the old one. That one stays as it is.

    If equal work is under way or done, that is the answer.

    Raises:
        NotFound: there is no such job.
        Conflict: it goes on by itself, or is completed.
        Gone: its input is not here any more.
        StorageFull: there is no room for what would be made.
    """
    old = any_job(deps, job_id)
    if old.state not in (JobState.FAILED, JobState.CANCELED):
        raise Conflict(
            f"Job {job_id} is {old.state}: only a failed or canceled one can be done again.", code="not_failed"
        )
    deps.blobs.check_room()
    now = deps.clock()
    new = Job(
        id=uuid.uuid4().hex,
        inputs=old.inputs,
        owner=old.owner,
        service=old.service,
        model=old.model,
        params=old.params,
        outputs=old.outputs,
        work_key=old.work_key,
        created_at=now,
        available_at=now,
        request_id=request_id,
        options=old.options,
        retry_of=old.id,
    )
    submission = deps.repository.submit(new, key=None)
    if submission.created:
        job_log.created(submission.job)
        deps.broker.wake(Waiting.of(submission.job))
        deps.notifier.tell(submission.job)
    _note(admin, "retry", job_id=job_id, new_job_id=submission.job.id)
    return submission.job


def cancel_any(deps: Deps, admin: Principal, job_id: str) -> Job:
    """Call a job off, whoever owns it. Raises NotFound, or Conflict for one that is completed or failed."""
    job = call_off(deps, any_job(deps, job_id))
    _note(admin, "cancel", job_id=job_id)
    return job


def replay(deps: Deps, admin: Principal, delivery_id: str) -> None:
    """Send a webhook again, from the first try: the same bytes under the same id.

    Raises:
        NotFound: there is none of this id.
        Conflict: it is under way.
    """
    if not deps.repository.replay_delivery(delivery_id, deps.clock()):
        if deps.repository.delivery(delivery_id) is None:
            raise NotFound(f"There is no webhook {delivery_id!r}.", code="webhook_not_found")
        raise Conflict(f"Webhook {delivery_id} is under way already.", code="under_way")
    _note(admin, "replay", webhook=delivery_id)


def drain(deps: Deps, admin: Principal, prefix: str) -> int:
    """Workers whose ids begin so get no new jobs, those that are yet to come included. How many there are now."""
    deps.repository.drain_workers(prefix, deps.clock())
    _note(admin, "drain", workers=prefix)
    return sum(each.worker.startswith(prefix) for each in deps.workers.present())


def undrain(deps: Deps, admin: Principal, prefix: str) -> None:
    """Take a drain back. Raises NotFound if there is none of this very word."""
    if not deps.repository.resume_workers(prefix):
        drained = ", ".join(deps.repository.drained_workers()) or "none"
        raise NotFound(f"{prefix!r} is not drained; drained: {drained}.", code="not_drained")
    _note(admin, "undrain", workers=prefix)


def pause(deps: Deps, admin: Principal, service: str) -> None:
    """Hand out no job of a service until ``resume``; jobs are taken in, and those that run go on.

    Raises:
        InvalidRequest: nobody offers such a service.
    """
    known = [each.name for each in deps.planner.services()]
    if service not in known:
        raise InvalidRequest(
            f"There is no service {service!r}; there are: {', '.join(known) or 'none'}.", code="unknown_service"
        )
    deps.workers.pause(service)
    _note(admin, "pause", service=service)


def resume(deps: Deps, admin: Principal, service: str) -> None:
    """Take a pause back. Raises NotFound if there is none."""
    if not deps.workers.resume(service):
        raise NotFound(f"The service {service!r} is not paused.", code="not_paused")
    waiting = deps.repository.waiting(deps.clock(), limit=_LOOKED_AT)
    deps.broker.remind([each for each in waiting if each.service == service])
    _note(admin, "resume", service=service)


def _note(admin: Principal, act: str, **what: str) -> None:
    _log.info("admin_acted", act=act, by=admin.subject, **what)
