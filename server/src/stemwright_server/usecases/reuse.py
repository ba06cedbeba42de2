"""Work that is done already: a job of its own gets copies of what an equal one made."""

from __future__ import annotations

from stemwright_server.domain.errors import NotFound, StorageFull, Unavailable
from stemwright_server.domain.job import Job, JobState
from stemwright_server.domain.lifecycle import WorkerLeft
from stemwright_server.domain.report import Completed, UploadedFile
from stemwright_server.usecases.parts import Parts
from stemwright_server.usecases.record import apply, record

_WORKER = "reuse"  # stands for the worker of an attempt that copies


def reuse_at_once(parts: Parts, job: Job) -> Job | None:
    """Complete a queued job by copies, if an equal one is completed. None: it waits for a worker."""
    if _equal(parts, job) is None:
        return None
    now = parts.clock()
    claimed = parts.repository.claim(
        worker=_WORKER,
        models=(job.model,),
        now=now,
        lease_until=now + parts.policy.lease_seconds,
        writable_until=now,  # nobody else writes there
        job_id=job.id,
    )
    if claimed is None:
        return None
    if not reuse(parts, claimed):
        apply(parts, job.id, WorkerLeft(worker=_WORKER))
        return None
    return parts.repository.job(job.id)


def reuse(parts: Parts, job: Job) -> bool:
    """Complete a running job by copies, if it asks for that and an equal one is completed."""
    done = _equal(parts, job) if job.extras.reuse else None
    if done is None:
        return False
    files = []
    try:
        for spec, made in zip(job.outputs, done.artifacts, strict=True):
            parts.blobs.copy(made.key, job.prefix(job.attempt) + spec.filename)
            files.append(
                UploadedFile(
                    name=made.name, size=made.size, sha256=made.sha256, duration=made.duration, crc32=made.crc32
                )
            )
        report = Completed(job_id=job.id, attempt=job.attempt, files=tuple(files), report=done.report)
        return record(parts, report).accepted
    except (NotFound, StorageFull, Unavailable):
        return False  # it was just removed; or the worker will say that there is no room, or wait for the store


def _equal(parts: Parts, job: Job) -> Job | None:
    """A completed job on the same track whose files are all here and that makes the same."""
    work = (job.model, job.variation, job.params, job.outputs)
    for other in reversed(parts.repository.jobs_of(job.track_id)):
        here = other.expires_at is None or other.expires_at > parts.clock()
        if other.state is not JobState.COMPLETED or not here or other.extras.upload_urls:
            continue
        if (other.model, other.variation, other.params, other.outputs) == work:
            return other
    return None
