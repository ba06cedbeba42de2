"""Taking a worker's report."""

from __future__ import annotations

from contextlib import suppress

from stemwright_server.domain.job import Job, JobState, Outcome
from stemwright_server.domain.lifecycle import Event, Transition, advance
from stemwright_server.ports.jobs import Waiting
from stemwright_server.usecases import job_log as job_log
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.metadata import write_metadata
from stemwright_server.usecases.worker_health import completed, judged
from stemwright_worker.contract.tasks import Completed, Failed, Report, ReportAnswer
from stemwright_worker.errors import NotFound, StorageFull, Unavailable


def record(deps: Deps, report: Report) -> ReportAnswer:
    """Apply a report. A stale attempt changes nothing and is told to stop."""
    event: Event = report
    if isinstance(report, Completed):
        event = _with_artifacts_there(deps, report)
        _describe(deps, report)
    if isinstance(event, Failed):
        event = judged(deps, event)
    worker = _worker_of(deps, report) if isinstance(event, Completed) else None
    transition = apply(deps, report.job_id, event)
    if transition is None:
        return ReportAnswer(accepted=False, stop=True)
    if transition.outcome is Outcome.COMPLETED:
        if worker is not None:
            completed(deps, worker)
        track_id = transition.job.track_id  # "": there is no track to write it for
        with suppress(StorageFull, Unavailable):  # the job is done all the same; sweep writes it when it can
            write_metadata(deps, track_id)
    return ReportAnswer(accepted=transition.accepted, stop=not transition.accepted)


def _worker_of(deps: Deps, report: Report) -> str | None:
    """Who runs the attempt; None if it does not run any more."""
    job = deps.repository.job(report.job_id)
    return None if job is None or job.attempt != report.attempt else job.worker


def apply(deps: Deps, job_id: str, event: Event) -> Transition | None:
    """Advance a stored job and wake those whom it concerns. None if there is no such job."""
    before: list[Job] = []

    def step(job: Job) -> Transition:
        before.append(job)
        return advance(job, event, now=deps.clock(), policy=deps.policy)

    transition = deps.repository.change(job_id, step)
    if transition is not None and transition.job is not before[-1]:
        job_log.changed(before[-1], transition)
        deps.notifier.tell(transition.job)
        if transition.job.state is JobState.QUEUED:
            deps.broker.wake(Waiting.of(transition.job))
    return transition


def _with_artifacts_there(deps: Deps, report: Completed) -> Completed | Failed:
    """The report, or a failure if a file it names is not in the blob store with that size."""
    job = deps.repository.job(report.job_id)
    if job is None:
        return report
    prefix = job.prefix(report.attempt)
    if job.state is JobState.RUNNING and job.attempt == report.attempt:
        _put_together(deps, job, report)
    said = {file.name: file.size for file in report.files}
    ours = [spec for spec in job.outputs if spec.name not in job.options.upload_urls]
    wrong = [spec.name for spec in ours if said.get(spec.name) != deps.blobs.size(prefix + spec.filename)]
    if not wrong or job.state is not JobState.RUNNING:
        return report
    message = f"The upload of {', '.join(wrong)} is missing or incomplete."
    return Failed(
        job_id=report.job_id, attempt=report.attempt, code="artifact_missing", message=message, retryable=True
    )


def _describe(deps: Deps, report: Completed) -> None:
    """What decoding told of the track: before the job counts as completed, for who sees that reads this next."""
    job = deps.repository.job(report.job_id)
    alone = job is not None and len(job.inputs) == 1  # of several, the report says nothing of one
    if job is not None and alone and job.state is JobState.RUNNING and job.attempt == report.attempt:
        deps.repository.describe_track(
            job.track_id, duration=report.duration, sample_rate=report.sample_rate, filename=report.filename
        )


def _put_together(deps: Deps, job: Job, report: Completed) -> None:
    """Outputs that came in parts: nothing of them is seen before an attempt that still counts says that all is there."""
    files = {file.name: file for file in report.files if file.upload_id}
    for spec in job.outputs:
        if (file := files.get(spec.name)) is not None:
            with suppress(NotFound):  # the report came before, and its answer was lost; the size is looked at next
                deps.blobs.finish_multipart(job.prefix(report.attempt) + spec.filename, file.upload_id, file.etags)
