"""Handing work out, to one worker at a time."""

from __future__ import annotations

from collections.abc import Iterator

from stemwright_server.domain.inputs import TrackInput
from stemwright_server.domain.job import Job, JobState, least
from stemwright_server.usecases import job_log as job_log
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.record import apply
from stemwright_server.usecases.reuse import reuse
from stemwright_worker.contract.tasks import (
    ClaimRequest,
    Failed,
    MultipartPlan,
    MultipartRequest,
    Task,
    TaskInput,
    TaskOutput,
)
from stemwright_worker.errors import Conflict, Gone, TooLarge

_ONE_IN = 8
_IN_VAIN = 600.0  # seconds
_UPLOAD_SLACK = 120.0  # a worker's URLs outlive its time limit by this, so that the last upload can end


def claim(deps: Deps, request: ClaimRequest) -> Task | None:
    """A task for the worker, or None if nothing waits that it can do, or nothing could be fetched or stored."""
    services = deps.workers.open_services(request.services)
    if not services or (deps.store is not None and deps.store.away is not None):
        return None
    while True:
        now = deps.clock()
        writable_until = now + deps.limits.job_seconds + _UPLOAD_SLACK
        job = deps.repository.claim(
            worker=request.worker,
            services=services,
            now=now,
            lease_until=now + deps.policy.lease_seconds,
            writable_until=writable_until,
            least_priority=request.least_priority,
            priority=_passed_over(deps, request, now),
        )
        if job is None:
            return None
        deps.notifier.tell(job)
        job_log.started(job)
        if reuse(deps, job):  # an equal one may have ended while this one waited
            continue
        try:
            inputs = tuple(_inputs(deps, job, writable_until))
        except Gone as error:
            apply(
                deps,
                job.id,
                Failed(job_id=job.id, attempt=job.attempt, code=error.code, message=str(error), retryable=False),
            )
            continue
        return _task(deps, job, inputs, request.worker, writable_until)


def _passed_over(deps: Deps, request: ClaimRequest, now: float) -> int | None:
    """One claim in a few is for a priority that waits in vain behind higher ones; None: the order is as ever.

    So a flood of urgent jobs slows the others down and does not stop them, and a flood of the others gets no more than
    this share.
    """
    if deps.draw() * _ONE_IN > 1.0:
        return None
    waiting = [each for each in deps.repository.passed_over(now - _IN_VAIN) if each >= request.least_priority]
    return waiting[int(deps.draw() * len(waiting))] if waiting else None


def _inputs(deps: Deps, job: Job, readable_until: float) -> Iterator[TaskInput]:
    """Where each input is. Raises Gone (code ``input_gone``) for one that is not there: submit and sweep see that all are."""
    for number, given in enumerate(job.inputs, 1):
        name = "input" if number == 1 else f"input-{number}"
        if isinstance(given, TrackInput):
            track = deps.repository.track(given.track_id)
            if track is None or (track.sha256 is None and not track.source):
                raise Gone(f"The uploaded bytes of {given.track_id} are not here any more.", code="input_gone")
            yield TaskInput(
                name=name,
                url=track.source_url or _get_url(deps, track.key, readable_until),
                filename=track.filename,
                size=track.size,
                sha256=track.sha256,
                source=track.source,
            )
            continue
        source = deps.repository.job(given.job_id)
        made = next((each for each in source.artifacts if each.name == given.name), None) if source else None
        if made is None or not made.key:
            raise Gone(f"The output {given.name!r} of job {given.job_id} is not here any more.", code="input_gone")
        yield TaskInput(
            name=name,
            url=_get_url(deps, made.key, readable_until),
            filename=made.filename,
            size=made.size,
            sha256=made.sha256,
        )


def _get_url(deps: Deps, key: str, readable_until: float) -> str:
    return deps.blobs.get_url(key, expires_at=readable_until, content_type="", filename="", inside=True)


def _task(deps: Deps, job: Job, inputs: tuple[TaskInput, ...], worker: str, writable_until: float) -> Task:
    # What was waited for a worker is a span of its own, and the worker's parent.
    waited = deps.tracer.begin(
        "queue",
        parent=job.options.traceparent,
        kind="producer",
        began=job.available_at,
        job_id=job.id,
        attempt=job.attempt,
        worker=worker,
    )
    waited.end()
    prefix = job.prefix(job.attempt)
    max_bytes = _most_bytes(deps)
    outputs = tuple(
        TaskOutput(
            name=spec.name,
            filename=spec.filename,
            content_type=spec.content_type,
            url=job.options.upload_urls.get(spec.name)
            or deps.blobs.put_url(prefix + spec.filename, expires_at=writable_until, max_bytes=max_bytes, inside=True),
            external=spec.name in job.options.upload_urls,
        )
        for spec in job.outputs
    )
    return Task(
        job_id=job.id,
        attempt=job.attempt,
        file_id=job.track_id,
        request_id=job.request_id,
        service=job.service,
        model=job.model,
        params=job.params,
        inputs=inputs,
        outputs=outputs,
        lease_seconds=deps.policy.lease_seconds,
        timeout_seconds=deps.limits.job_seconds,
        max_seconds=least(deps.limits.max_seconds, job.options.max_seconds),
        max_bytes=least(deps.limits.max_bytes, job.options.max_bytes),
        multipart_over=deps.blobs.multipart_over,
        correlation_id=job.options.correlation_id,
        traceparent=waited.traceparent or job.options.traceparent,
    )


def begin_multipart(deps: Deps, request: MultipartRequest) -> MultipartPlan:
    """URLs for a large output of a running attempt. Raises Conflict for any other, and TooLarge."""
    job = deps.repository.job(request.job_id)
    if job is None or job.state is not JobState.RUNNING or job.attempt != request.attempt:
        raise Conflict("The attempt does not run any more.")
    spec = next((spec for spec in job.outputs if spec.name == request.name), None)
    if spec is None or spec.name in job.options.upload_urls:
        raise Conflict(f"The job has no output {request.name!r} to upload here.")
    if request.size > _most_bytes(deps):
        raise TooLarge(f"{request.name} has {request.size} bytes; at most {_most_bytes(deps)} are allowed.")
    expires_at = deps.clock() + deps.limits.job_seconds + _UPLOAD_SLACK
    return deps.blobs.begin_multipart(job.prefix(job.attempt) + spec.filename, size=request.size, expires_at=expires_at)


def _most_bytes(deps: Deps) -> int:
    return 64 * max(deps.limits.max_bytes, 1 << 20)  # stems are larger than the mix, but not without end
