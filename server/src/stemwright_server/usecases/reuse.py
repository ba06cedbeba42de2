"""Work that is done already: a job of its own gets copies of what an equal one made."""

from __future__ import annotations

from contextlib import suppress

import structlog

from stemwright_server.domain.job import Job, JobState
from stemwright_server.domain.lifecycle import Expire, WorkerLeft
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.record import apply, record
from stemwright_worker.contract.tasks import Completed, UploadedFile
from stemwright_worker.errors import NotFound, StorageFull, Unavailable

_log = structlog.get_logger(__name__)
_WORKER = "reuse"  # stands for the worker of an attempt that copies


def reuse_at_once(deps: Deps, job: Job) -> Job | None:
    """Complete a queued job by copies, if an equal one is completed. None: it waits for a worker."""
    if _equal(deps, job) is None:
        return None
    now = deps.clock()
    claimed = deps.repository.claim(
        worker=_WORKER,
        services=(job.service,),
        now=now,
        lease_until=now + deps.policy.lease_seconds,
        writable_until=now,  # nobody else writes there
        job_id=job.id,
    )
    if claimed is None:
        return None
    if not reuse(deps, claimed):
        apply(deps, job.id, WorkerLeft(worker=_WORKER))
        return None
    return deps.repository.job(job.id)


def reuse(deps: Deps, job: Job) -> bool:
    """Complete a running job by copies, if it asks for that and an equal one is completed."""
    done = _equal(deps, job) if job.options.sharing == "copy" else None
    if done is None:
        return False
    files = []
    try:
        for spec, made in zip(job.outputs, done.artifacts, strict=True):
            deps.blobs.copy(made.key, job.prefix(job.attempt) + spec.filename)
            files.append(
                UploadedFile(
                    name=made.name, size=made.size, sha256=made.sha256, duration=made.duration, crc32=made.crc32
                )
            )
        report = Completed(job_id=job.id, attempt=job.attempt, files=tuple(files), report=done.report)
        return record(deps, report).accepted
    except (NotFound, StorageFull, Unavailable):
        return False  # it was just removed; or the worker will say that there is no room, or wait for the store


def drop_lost(deps: Deps, work_key: str) -> None:
    """Let no submit find a completed job whose outputs are not in the store any more: a rule of the bucket's, or a hand.

    It expires, so that nobody is shown what cannot be fetched.
    """
    now = deps.clock()
    done = deps.repository.equal_work(work_key, now)
    if done is None or done.state is not JobState.COMPLETED:
        return
    with suppress(Unavailable):  # a store that is away has lost nothing
        lost = [each.name for each in done.artifacts if each.key and deps.blobs.size(each.key) != each.size]
        if lost:
            _log.warning("outputs_lost", job_id=done.id, outputs=lost)
            apply(deps, done.id, Expire(at=now))


def _equal(deps: Deps, job: Job) -> Job | None:
    """A completed job on the same inputs whose files are all here and that makes the same."""
    if not job.track_id:
        return None  # no track lists such jobs
    work = (job.inputs, job.service, job.model, job.params, job.outputs)
    for other in reversed(deps.repository.jobs_of(job.track_id)):
        here = other.expires_at is None or other.expires_at > deps.clock()
        if other.state is not JobState.COMPLETED or not here or other.options.upload_urls:
            continue
        if (other.inputs, other.service, other.model, other.params, other.outputs) == work:
            return other
    return None
