"""Handing work out, to one worker at a time."""

from __future__ import annotations

from stemwright_server.domain.job import Job, JobState
from stemwright_server.usecases import job_log as job_log
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.reuse import reuse
from stemwright_worker.contract.tasks import ClaimRequest, MultipartPlan, MultipartRequest, Task, TaskOutput
from stemwright_worker.errors import Conflict, TooLarge

_UPLOAD_SLACK = 120.0  # a worker's URLs outlive its time limit by this, so that the last upload can end


def claim(deps: Deps, request: ClaimRequest) -> Task | None:
    """A task for the worker, or None if nothing waits that it can do."""
    while True:
        now = deps.clock()
        writable_until = now + deps.limits.job_seconds + _UPLOAD_SLACK
        job = deps.repository.claim(
            worker=request.worker,
            services=request.services,
            now=now,
            lease_until=now + deps.policy.lease_seconds,
            writable_until=writable_until,
            least_priority=request.least_priority,
        )
        if job is None:
            return None
        deps.notifier.tell(job)
        job_log.started(job)
        if not reuse(deps, job):  # an equal one may have ended while this one waited
            return _task(deps, job, request.worker, writable_until)


def _task(deps: Deps, job: Job, worker: str, writable_until: float) -> Task:
    # What was waited for a worker is a span of its own, and the worker's parent.
    waited = deps.tracer.begin(
        "queue",
        parent=job.extras.traceparent,
        kind="producer",
        began=job.available_at,
        job_id=job.id,
        attempt=job.attempt,
        worker=worker,
    )
    waited.end()
    track = deps.repository.track(job.track_id)
    if track is None or (track.sha256 is None and not track.source):
        raise RuntimeError(f"job {job.id} was queued for a track without bytes")  # submit and expire_tracks forbid it
    prefix = job.prefix(job.attempt)
    max_bytes = _most_bytes(deps)
    outputs = tuple(
        TaskOutput(
            name=spec.name,
            filename=spec.filename,
            content_type=spec.content_type,
            url=job.extras.upload_urls.get(spec.name)
            or deps.blobs.put_url(prefix + spec.filename, expires_at=writable_until, max_bytes=max_bytes, inside=True),
            external=spec.name in job.extras.upload_urls,
        )
        for spec in job.outputs
    )
    return Task(
        job_id=job.id,
        attempt=job.attempt,
        file_id=track.id,
        filename=track.filename,
        request_id=job.request_id,
        service=job.service,
        model=job.model,
        params=job.params,
        input_url=track.source_url
        or deps.blobs.get_url(track.key, expires_at=writable_until, content_type="", filename="", inside=True),
        input_size=track.size,
        input_sha256=track.sha256,
        outputs=outputs,
        lease_seconds=deps.policy.lease_seconds,
        timeout_seconds=deps.limits.job_seconds,
        max_seconds=_least(deps.limits.max_seconds, job.extras.max_seconds),
        max_bytes=min(deps.limits.max_bytes, job.extras.max_bytes or deps.limits.max_bytes),
        multipart_over=deps.blobs.multipart_over,
        source=track.source,
        correlation_id=job.extras.correlation_id,
        traceparent=waited.traceparent or job.extras.traceparent,
    )


def begin_multipart(deps: Deps, request: MultipartRequest) -> MultipartPlan:
    """URLs for a large output of a running attempt. Raises Conflict for any other, and TooLarge."""
    job = deps.repository.job(request.job_id)
    if job is None or job.state is not JobState.RUNNING or job.attempt != request.attempt:
        raise Conflict("The attempt does not run any more.")
    spec = next((spec for spec in job.outputs if spec.name == request.name), None)
    if spec is None or spec.name in job.extras.upload_urls:
        raise Conflict(f"The job has no output {request.name!r} to upload here.")
    if request.size > _most_bytes(deps):
        raise TooLarge(f"{request.name} has {request.size} bytes; at most {_most_bytes(deps)} are allowed.")
    expires_at = deps.clock() + deps.limits.job_seconds + _UPLOAD_SLACK
    return deps.blobs.begin_multipart(job.prefix(job.attempt) + spec.filename, size=request.size, expires_at=expires_at)


def _most_bytes(deps: Deps) -> int:
    return 64 * max(deps.limits.max_bytes, 1 << 20)  # stems are larger than the mix, but not without end


def _least(*caps: float | None) -> float | None:
    return min((cap for cap in caps if cap is not None), default=None)
