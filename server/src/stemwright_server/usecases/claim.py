"""Handing work out, to one worker at a time."""

from __future__ import annotations

from stemwright_server.domain.errors import Conflict, TooLarge
from stemwright_server.domain.job import Job, JobState
from stemwright_server.domain.report import ClaimRequest, PartsPlan, PartsRequest, Task, TaskOutput
from stemwright_server.usecases import journal
from stemwright_server.usecases.parts import Parts
from stemwright_server.usecases.reuse import reuse

_UPLOAD_SLACK = 120.0  # a worker's URLs outlive its time limit by this, so that the last upload can end


def claim(parts: Parts, request: ClaimRequest) -> Task | None:
    """A task for the worker, or None if nothing waits that it can do."""
    while True:
        now = parts.clock()
        writable_until = now + parts.limits.job_seconds + _UPLOAD_SLACK
        job = parts.repository.claim(
            worker=request.worker,
            models=request.models,
            now=now,
            lease_until=now + parts.policy.lease_seconds,
            writable_until=writable_until,
            least_priority=request.least_priority,
        )
        if job is None:
            return None
        parts.notifier.tell(job)
        journal.started(job)
        if not reuse(parts, job):  # an equal one may have ended while this one waited
            return _task(parts, job, request.worker, writable_until)


def _task(parts: Parts, job: Job, worker: str, writable_until: float) -> Task:
    # What was waited for a worker is a span of its own, and the worker's parent.
    waited = parts.tracer.begin(
        "queue",
        parent=job.extras.traceparent,
        kind="producer",
        began=job.available_at,
        job_id=job.id,
        attempt=job.attempt,
        worker=worker,
    )
    waited.end()
    track = parts.repository.track(job.track_id)
    if track is None or (track.sha256 is None and not track.source):
        raise RuntimeError(f"job {job.id} was queued for a track without bytes")  # submit and expire_tracks forbid it
    prefix = job.prefix(job.attempt)
    max_bytes = _most_bytes(parts)
    outputs = tuple(
        TaskOutput(
            name=spec.name,
            filename=spec.filename,
            content_type=spec.content_type,
            url=job.extras.upload_urls.get(spec.name)
            or parts.blobs.put_url(prefix + spec.filename, expires_at=writable_until, max_bytes=max_bytes, inside=True),
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
        model=job.model,
        variation=job.variation,
        params=job.params,
        input_url=track.source_url
        or parts.blobs.get_url(track.key, expires_at=writable_until, content_type="", filename="", inside=True),
        input_size=track.size,
        input_sha256=track.sha256,
        outputs=outputs,
        lease_seconds=parts.policy.lease_seconds,
        timeout_seconds=parts.limits.job_seconds,
        max_seconds=_least(parts.limits.max_seconds, job.extras.max_seconds),
        max_bytes=min(parts.limits.max_bytes, job.extras.max_bytes or parts.limits.max_bytes),
        parts_over=parts.blobs.parts_over,
        source=track.source,
        correlation_id=job.extras.correlation_id,
        traceparent=waited.traceparent or job.extras.traceparent,
    )


def begin_parts(parts: Parts, request: PartsRequest) -> PartsPlan:
    """URLs for a large output of a running attempt. Raises Conflict for any other, and TooLarge."""
    job = parts.repository.job(request.job_id)
    if job is None or job.state is not JobState.RUNNING or job.attempt != request.attempt:
        raise Conflict("The attempt does not run any more.")
    spec = next((spec for spec in job.outputs if spec.name == request.name), None)
    if spec is None or spec.name in job.extras.upload_urls:
        raise Conflict(f"The job has no output {request.name!r} to upload here.")
    if request.size > _most_bytes(parts):
        raise TooLarge(f"{request.name} has {request.size} bytes; at most {_most_bytes(parts)} are allowed.")
    expires_at = parts.clock() + parts.limits.job_seconds + _UPLOAD_SLACK
    return parts.blobs.begin_parts(job.prefix(job.attempt) + spec.filename, size=request.size, expires_at=expires_at)


def _most_bytes(parts: Parts) -> int:
    return 64 * max(parts.limits.max_bytes, 1 << 20)  # stems are larger than the mix, but not without end


def _least(*caps: float | None) -> float | None:
    return min((cap for cap in caps if cap is not None), default=None)
