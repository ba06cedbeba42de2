"""What the stemify dialect says and hears. These shapes stay here; the core knows nothing of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from stemwright_server.domain.counters import processing_seconds
from stemwright_server.domain.job import Artifact, Job, JobState
from stemwright_server.domain.track import Track
from stemwright_server.http.ids import shown_id
from stemwright_server.http.times import Moment
from stemwright_server.usecases.estimate import Estimate
from stemwright_worker.timestamp import timestamp

FILENAME = "filename"  # a job's label: the same song may have been here under another name
Status = Literal["pending", "processing", "completed", "failed"]

_STATUS: Mapping[JobState, Status] = {
    JobState.QUEUED: "pending",
    JobState.RUNNING: "processing",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELED: "failed",  # the document has no word of its own; the error's code is "canceled"
}


class ErrorDetail(BaseModel):
    """What was wrong."""

    code: str = Field(description="A stable word for programs.")
    message: str = Field(description="What was wrong, with which input, and what to do.")
    status_code: int = Field(
        description="The HTTP status; of a failed job: the one a request with that fault would get."
    )
    context: dict[str, Any] = Field(default_factory=dict, description="Values that a program may need.")


class ErrorBody(BaseModel):
    """The answer to a request that failed."""

    error: ErrorDetail


def error_body(status: int, code: str, message: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """An error of a request in this dialect's shape."""
    detail = ErrorDetail(code=code, message=message, status_code=status, context=dict(context))
    return ErrorBody(error=detail).model_dump()


class StemifyResponse(BaseModel):
    """The job that was made."""

    job_id: str = Field(description="A UUID with its hyphens; the routes take it without them too.")
    status: Status
    estimated_duration: float | None = Field(
        description="Seconds that the separation will take by what jobs of this model took here so far, from the moment "
        "a worker takes it. null: see estimate_note."
    )
    estimate_note: str | None = Field(description="Why there is no estimate.")
    message: str

    @classmethod
    def of(cls, job: Job, expected: Estimate) -> StemifyResponse:
        """A job, new or found by its idempotency key."""
        return cls(
            job_id=shown_id(job),
            status=_STATUS[job.state],
            estimated_duration=expected.seconds,
            estimate_note=expected.note,
            message="Job created successfully",
        )


class StemView(BaseModel):
    """A finished stem."""

    url: str = Field(description="GET, until it expires; ask again for a fresh one.")
    size: int = Field(description="Bytes.")
    duration: float | None = Field(description="Seconds.")
    sha256: str
    content_type: str


class MetadataView(BaseModel):
    """What went in, and what was asked."""

    original_filename: str = Field(description="As the caller named the file; of a link: the video's title.")
    duration: float | None = Field(description="Of the input, seconds.")
    format: str = Field(description="Of the stems: wav, mp3, flac ...")
    model: str


class ResultView(BaseModel):
    """What a completed job made."""

    stems: dict[str, StemView]
    metadata: MetadataView
    processing_time: float = Field(description="Seconds that the worker spent on it.")


class JobResponse(BaseModel):
    """A job as it is now."""

    job_id: str = Field(description="A UUID with its hyphens; the routes take it without them too.")
    status: Status
    progress: int = Field(description="0 to 100: segments done of all.")
    result: ResultView | None
    error: str | None = Field(description="Why a failed job failed, for people.")
    error_detail: ErrorDetail | None = Field(
        description="The same for programs. A canceled job is failed with the code `canceled`."
    )
    created_at: Moment
    updated_at: Moment

    @classmethod
    def of(
        cls, job: Job, track: Track | None, *, heard_at: float | None, link: Callable[[Artifact], str]
    ) -> JobResponse:
        """``heard_at``: when its worker was heard last; ``link`` makes a fresh download URL."""
        failure = _job_error(job)
        updated = job.finished_at or heard_at or job.started_at or job.created_at
        return cls(
            job_id=shown_id(job),
            status=_STATUS[job.state],
            progress=int(job.progress.percent),
            result=_result(job, track, link) if job.state is JobState.COMPLETED else None,
            error=failure.message if failure is not None else None,
            error_detail=failure,
            created_at=timestamp(job.created_at),
            updated_at=timestamp(max(updated, job.created_at)),
        )


class DeletedResponse(BaseModel):
    """The job that is no more. Not an empty 204: OX Board's own routes read every answer as JSON."""

    job_id: str
    message: str

    @classmethod
    def of(cls, job: Job) -> DeletedResponse:
        """A job that was removed."""
        return cls(job_id=shown_id(job), message="Job deleted successfully")


class QueueStatus(BaseModel):
    """How busy the service is."""

    active_jobs: int
    queued_jobs: int
    workers_available: int


class HealthResponse(BaseModel):
    """Whether the service can do its work."""

    status: Literal["healthy", "degraded"] = Field(description="degraded: jobs are taken, but no worker is there.")
    version: str
    models_available: list[str] = Field(description="Those that may be asked for now.")
    queue_status: QueueStatus


def _result(job: Job, track: Track | None, link: Callable[[Artifact], str]) -> ResultView:
    return ResultView(
        stems={
            each.name: StemView(
                url=link(each),
                size=each.size,
                duration=each.duration,
                sha256=each.sha256,
                content_type=each.content_type,
            )
            for each in job.artifacts
        },
        metadata=MetadataView(
            original_filename=job.options.labels.get(FILENAME) or (track.filename if track is not None else ""),
            duration=track.duration if track is not None else None,
            format=job.artifacts[0].key.rpartition(".")[2] if job.artifacts else "",
            model=job.model,
        ),
        processing_time=round(processing_seconds(job), 3),
    )


def _job_error(job: Job) -> ErrorDetail | None:
    if job.state is JobState.CANCELED:
        return ErrorDetail(code="canceled", message="The job was canceled.", status_code=409)
    if job.state is not JobState.FAILED or job.error is None:
        return None
    status = 500 if job.error.retryable else 422  # what may pass is the service's fault, what may not is the input's
    return ErrorDetail(code=job.error.code, message=job.error.message, status_code=status)
