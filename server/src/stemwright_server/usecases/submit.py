"""Asking for work on what is here, comes along, or lies elsewhere."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from stemwright_server.domain.inputs import ArtifactInput, Input, TrackInput
from stemwright_server.domain.job import DEFAULT_PRIORITY, Artifact, Job, JobOptions, JobState, least
from stemwright_server.domain.track import Track, TrackState
from stemwright_server.domain.work import Work
from stemwright_server.ports.auth import ANONYMOUS, RESERVED, Principal
from stemwright_server.ports.blobs import Part
from stemwright_server.ports.jobs import IdempotencyKey, Submission, Waiting
from stemwright_server.usecases import job_log as job_log
from stemwright_server.usecases.access import owned_job, owned_track
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.reuse import drop_lost, reuse_at_once
from stemwright_server.usecases.upload import receive, take
from stemwright_worker.errors import Conflict, Forbidden, Gone, InvalidRequest, TooManyRequests
from stemwright_worker.ports.tracing import current_traceparent

_RETRY_AFTER = 30  # seconds


@dataclass(frozen=True, kw_only=True)
class Stored:
    """Inputs that are here already: none, one or several."""

    inputs: Sequence[Input]


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A file that came whole with the request, for which there was room."""

    part: Part
    filename: str
    media_type: str | None = None  # by its content, if somebody looked already
    transient: bool = False  # it goes with the last of its jobs


@dataclass(frozen=True, kw_only=True)
class Linked:
    """A file elsewhere: its worker fetches it with ``source``, and nothing of it is kept here."""

    url: str
    source: str
    filename: str


Source = Stored | Sent | Linked


@dataclass(frozen=True, kw_only=True)
class SubmitRequest:
    """What a request says beside its input and its work."""

    request_id: str
    options: JobOptions
    key: str | None = None  # its Idempotency-Key
    meant: Any = (
        None  # what it asks, as JSON values: the same where the key comes again; what is here or sent goes without
    )


def submit(deps: Deps, caller: Principal, source: Source, work: Work, submit_request: SubmitRequest) -> Submission:
    """Queue a job; or find the one that the idempotency key stands for, or, where jobs are shared, equal work.

    Raises:
        NotFound, Conflict, Gone: an input is not here, not yet or not any more.
        UnusableInput, TooLarge: it is nothing to work on.
        InvalidRequest: too few or too many inputs, or what the model cannot take; or the key stands for another request.
        StorageFull: there is no room for what would be made.
        TooManyRequests: as many of the caller's jobs wait as may.
        Forbidden: the caller may not ask for this priority.
    """
    _check_place(deps, caller, submit_request.options)
    match source:
        case Stored(inputs=inputs):
            work.check_count(len(inputs))
            for each in inputs:
                _check_input(deps, caller, each, work)
            deps.blobs.check_room()
            meant = [_identity(inputs), *submit_request.meant]
            return _queue(deps, caller, tuple(inputs), work, submit_request, meant=meant)
        case Sent():
            work.check_count(1)
            work.check_input(source.filename, size=source.part.size)
            track = take(
                deps,
                caller,
                source.part,
                filename=source.filename,
                media_type=source.media_type,
                request_id=submit_request.request_id,
                max_seconds=submit_request.options.max_seconds,
                transient=source.transient,
            )
            work.check_input(source.filename, seconds=track.duration)
            return _queue(
                deps,
                caller,
                (TrackInput(track_id=track.id),),
                work,
                submit_request,
                meant=[track.id, *submit_request.meant],
            )
        case Linked():
            work.check_count(1)
            deps.blobs.check_room()
            link = _link(deps, caller, source, submit_request)
            return _queue(
                deps,
                caller,
                (TrackInput(track_id=link.id),),
                work,
                submit_request,
                meant=submit_request.meant,
                link=link,
            )


def _check_place(deps: Deps, caller: Principal, options: JobOptions) -> None:
    limits, own = deps.limits, (ANONYMOUS, *deps.limits.urgent_subjects)  # where nobody signs in, all are one
    trusted = caller.subject in own or "*" in own or caller.subject.startswith(RESERVED)
    if options.priority > DEFAULT_PRIORITY and not trusted:
        raise Forbidden(
            f"Priority {options.priority} is over {DEFAULT_PRIORITY}, and the operator has not allowed that to "
            f"{caller.subject!r}; ask for {DEFAULT_PRIORITY} or less.",
            code="priority_not_allowed",
        )
    if limits.max_queued is not None and deps.repository.queued_of(caller.subject) >= limits.max_queued:
        raise TooManyRequests(
            f"{limits.max_queued} of your jobs wait already; send more when some of them are done.",
            code="too_many_queued",
            retry_after=_RETRY_AFTER,
        )


def _queue(
    deps: Deps,
    caller: Principal,
    inputs: tuple[Input, ...],
    work: Work,
    submit_request: SubmitRequest,
    *,
    meant: Any,
    link: Track | None = None,
) -> Submission:
    now = deps.clock()
    options = submit_request.options
    job = Job(
        id=uuid.uuid4().hex,
        inputs=inputs,
        owner=caller.subject,
        service=work.service,
        model=work.model,
        params=work.params,
        outputs=work.outputs,
        work_key=_work_key(caller, inputs, work, alone="" if options.sharing == "join" else uuid.uuid4().hex),
        created_at=now,
        available_at=now,
        request_id=submit_request.request_id,
        options=replace(
            options,
            max_bytes=least(options.max_bytes, work.limits.max_bytes),
            max_seconds=least(options.max_seconds, work.limits.max_seconds),
            traceparent=current_traceparent.get() or options.traceparent,
        ),
    )
    key = (
        IdempotencyKey(owner=caller.subject, key=submit_request.key, fingerprint=_hash(meant))
        if submit_request.key
        else None
    )
    if options.sharing == "join":
        drop_lost(deps, job.work_key)
    submission = deps.repository.submit(job, key=key, track=link)
    if not submission.created:
        return submission
    job_log.created(submission.job)
    if options.sharing == "copy" and (done := reuse_at_once(deps, submission.job)) is not None:
        return Submission(job=done, created=True)
    deps.broker.wake(Waiting.of(submission.job))
    deps.notifier.tell(submission.job)
    return submission


def _check_input(deps: Deps, caller: Principal, given: Input, work: Work) -> None:
    """Raise for one that is not the caller's, not here, or nothing for the model."""
    if isinstance(given, TrackInput):
        track = _track(deps, caller, given)
        work.check_input(track.filename, size=track.size, seconds=track.duration)
        return
    artifact = _artifact(deps, caller, given)
    if work.inputs.kind == "audio" and not artifact.content_type.startswith(("audio/", "video/")):
        raise InvalidRequest(
            f"The output {given.name!r} of job {given.job_id} is {artifact.content_type}; the model {work.model!r} takes "
            "audio.",
            code="bad_inputs",
        )
    work.check_input(artifact.filename, size=artifact.size, seconds=artifact.duration)


def _track(deps: Deps, caller: Principal, given: TrackInput) -> Track:
    track = owned_track(deps, caller, given.track_id)
    if track.state is TrackState.PENDING:
        track = receive(deps, track.id)
    if track.state is TrackState.EXPIRED:
        raise Gone(f"The bytes of {track.filename!r} were removed after their retention time; upload the song again.")
    return track


def _artifact(deps: Deps, caller: Principal, given: ArtifactInput) -> Artifact:
    job = owned_job(deps, caller, given.job_id)
    if job.state is not JobState.COMPLETED:
        raise Conflict(f"Job {job.id} is {job.state}: it has no outputs to take.", code="not_completed")
    artifact = next((each for each in job.artifacts if each.name == given.name), None)
    if artifact is None:
        known = ", ".join(each.name for each in job.artifacts)
        raise InvalidRequest(f"Job {job.id} has no output {given.name!r}; it has: {known}.", code="unknown_output")
    if not artifact.key:
        raise InvalidRequest(f"The output {given.name!r} of job {job.id} was put elsewhere.", code="output_elsewhere")
    return artifact


def _link(deps: Deps, caller: Principal, source: Linked, submit_request: SubmitRequest) -> Track:
    now = deps.clock()
    return Track(
        id=uuid.uuid4().hex,
        owner=caller.subject,
        filename=source.filename,
        key="",
        created_at=now,
        upload_until=now,
        request_id=submit_request.request_id,
        source=source.source,
        source_url=source.url,
        state=TrackState.REMOTE,
        used_at=now,
    )


def _identity(inputs: Sequence[Input]) -> Any:
    """Which inputs these are, as a JSON value; one track by its id alone, as the version before has it."""
    if len(inputs) == 1 and isinstance(inputs[0], TrackInput):
        return inputs[0].track_id
    return [[each.track_id] if isinstance(each, TrackInput) else [each.job_id, each.name] for each in inputs]


def _work_key(caller: Principal, inputs: Sequence[Input], work: Work, *, alone: str) -> str:
    """``alone``: something that no other job says, for one that is not shared."""
    what = [_identity(inputs), work.service, work.model, work.params, alone]
    track = len(inputs) == 1 and isinstance(inputs[0], TrackInput)  # it is its owner's alone
    return _hash(what if track else [caller.subject, *what])


def _hash(values: Any) -> str:
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
