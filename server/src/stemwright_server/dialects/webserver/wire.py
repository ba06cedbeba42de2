"""What the webserver dialect says and hears. These shapes stay here; the core knows nothing of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from stemwright_server.dialects.webserver.settings import FOR_EVER
from stemwright_server.domain.job import Artifact, Job, JobState
from stemwright_server.http.ids import shown_id
from stemwright_server.http.times import Moment
from stemwright_worker.contract.description import ModelDescription
from stemwright_worker.contract.service import PEAKS
from stemwright_worker.timestamp import timestamp

Status = Literal["queued", "processing", "completed", "failed", "canceled"]

_OPTIONS = ("stems", "two_stems", "shifts", "overlap", "dc_offset")
_STATUS: Mapping[JobState, Status] = {
    JobState.QUEUED: "queued",
    JobState.RUNNING: "processing",
    JobState.COMPLETED: "completed",
    JobState.FAILED: "failed",
    JobState.CANCELED: "canceled",
}


class ErrorBody(BaseModel):
    """The answer to a request that failed."""

    error: str = Field(description="What was wrong, with which input, and what to do.")
    code: str = Field(description="A stable word for programs.")


def error_body(_status: int, code: str, message: str, context: Mapping[str, Any]) -> dict[str, Any]:
    """An error of a request in this dialect's shape."""
    return dict(context) | ErrorBody(error=message, code=code).model_dump()


def song_of(job: Job) -> str:
    """The name of the song: its file's, without its ending."""
    name = str(job.options.labels.get("filename") or "song")
    return name.rpartition(".")[0] or name


def _expires(job: Job) -> str | None:
    """When it is removed; None: not ended yet, or it stays until somebody removes it."""
    if job.expires_at is None or job.expires_at - (job.finished_at or job.created_at) > FOR_EVER / 2:
        return None
    return timestamp(job.expires_at)


class JobCreated(BaseModel):
    """The job of an uploaded file."""

    job_id: str
    status: Status = Field(description="queued; or completed, if the same work was done for you before.")
    created_at: Moment

    @classmethod
    def of(cls, job: Job) -> JobCreated:
        """As it was queued."""
        return cls(job_id=shown_id(job), status=_STATUS[job.state], created_at=timestamp(job.created_at))


class BatchEntry(BaseModel):
    """What became of one file of a batch: a job, or an error."""

    filename: str
    job_id: str | None = None
    status: Status | None = None
    created_at: Moment | None = None
    error: str | None = Field(default=None, description="Why this file was not taken.")
    code: str | None = None


class BatchCreated(BaseModel):
    """A batch, file by file in the order they came."""

    jobs: list[BatchEntry]


class StemView(BaseModel):
    """A finished stem."""

    name: str
    url: str = Field(description="GET, until it expires; ask again for a fresh one.")
    size: int = Field(description="Bytes.")
    duration: float | None = Field(description="Seconds.")
    sha256: str
    content_type: str
    peaks_url: str | None = Field(description="The stem's waveform, to be drawn.")


class StatusResponse(BaseModel):
    """A job as it is now."""

    job_id: str
    status: Status
    progress: int = Field(ge=0, le=100, description="Segments done of all, in percent.")
    message: str
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    estimated_completion: Moment | None = Field(description="By the pace of the work so far.")
    queue_position: int | None = Field(description="1: the next one. Of a queued job.")
    filename: str
    model: str
    format: str | None
    priority: int
    stems: list[StemView]
    download_url: str | None = Field(description="All stems in one zip.")
    expires_at: Moment | None = Field(
        description="When job and files are removed. Null: it has not ended, or it stays until you remove it."
    )
    error: str | None = Field(description="Why the job failed.")
    error_code: str | None


class JobsResponse(BaseModel):
    """The caller's jobs, newest first."""

    jobs: list[StatusResponse]


class JobChanged(BaseModel):
    """A job that was canceled."""

    job_id: str
    status: Status

    @classmethod
    def of(cls, job: Job) -> JobChanged:
        """As it is now."""
        return cls(job_id=shown_id(job), status=_STATUS[job.state])


class PeaksResponse(BaseModel):
    """A waveform: the lowest and the highest value of each run of samples."""

    sample_rate: int = Field(description="Of the stem, Hz.")
    samples_per_peak: int
    length: int = Field(description="Of the stem, samples.")
    data: list[int] = Field(description="Lowest, highest, lowest, highest ... as -128 to 127.")


class ModelView(BaseModel):
    """A model that can be asked for."""

    name: str
    title: str
    stems: list[str]
    licence: str = Field(description="Of the weights.")
    default: bool
    formats: list[str] = Field(description="The first one is the default.")
    options: list[str] = Field(description="Which of stems, two_stems, shifts, overlap, dc_offset it takes.")


class ModelsResponse(BaseModel):
    """What can be asked for."""

    models: list[ModelView]
    max_file_size: int = Field(description="Bytes.")
    max_duration: float | None = Field(description="Seconds.")
    links: bool = Field(description="Whether source_url is taken.")


@dataclass(frozen=True, kw_only=True)
class Links:
    """How URLs are made."""

    blob: Callable[[Artifact, str], str]  # of a song of this name
    page: Callable[[str], str]  # of a path of ours

    def download(self, job: Job) -> str:
        """All stems in one zip."""
        return self.page(f"/api/download/{shown_id(job)}")

    def peaks(self, job: Job, stem: Artifact) -> str | None:
        """The stem's waveform, if there is one."""
        if not any(each.role == PEAKS for each in job.artifacts):
            return None
        return self.page(f"/api/peaks/{shown_id(job)}/{stem.name}")


def status_response(job: Job, links: Links, *, heard_at: float | None, queue_position: int | None) -> StatusResponse:
    """``heard_at``: when the worker of a running job said how far it is."""
    left, labels = job.progress.eta_seconds, job.options.labels
    running = job.state is JobState.RUNNING
    eta = None if left is None or heard_at is None or not running else timestamp(heard_at + left)
    done = job.state is JobState.COMPLETED
    return StatusResponse(
        job_id=shown_id(job),
        status=_STATUS[job.state],
        progress=percent(job),
        message=message(job),
        created_at=timestamp(job.created_at),
        started_at=None if job.started_at is None else timestamp(job.started_at),
        finished_at=None if job.finished_at is None else timestamp(job.finished_at),
        estimated_completion=eta,
        queue_position=queue_position,
        filename=str(labels.get("filename", "")),
        model=job.model,
        format=job.params.get("format"),
        priority=job.options.priority,
        stems=[_stem(job, stem, links) for stem in job.stems],
        download_url=links.download(job) if done else None,
        expires_at=_expires(job),
        error=job.error.message if job.error is not None and job.state is JobState.FAILED else None,
        error_code=job.error.code if job.error is not None and job.state is JobState.FAILED else None,
    )


def status(job: Job) -> Status:
    """The state in this dialect's words."""
    return _STATUS[job.state]


def percent(job: Job) -> int:
    """0 to 100; 100 is said of completed jobs only: the last stems are still on their way when all is separated."""
    return 100 if job.state is JobState.COMPLETED else min(99, int(job.progress.percent))


def message(job: Job) -> str:
    """Where the job is, in words."""
    match job.state:
        case JobState.QUEUED if job.error is not None:
            return f"Waiting for another try: {job.error.message}"
        case JobState.QUEUED:
            return "Waiting for a worker."
        case JobState.RUNNING:
            stage = job.progress.stage.capitalize()
            counted = f", {job.progress.done} of {job.progress.total} segments" if job.progress.total else ""
            return job.progress.message or f"{stage}{counted}"
        case JobState.COMPLETED:
            return "Completed."
        case JobState.CANCELED:
            return "Canceled."
        case JobState.FAILED:
            return job.error.message if job.error is not None else "Failed."


def model_view(model: ModelDescription, *, default: str, default_format: str) -> ModelView:
    """A model as ``GET /api/models`` shows it."""
    properties = model.params.get("properties", {})
    formats = list(properties.get("format", {}).get("enum", ()))
    if default_format in formats:
        formats.sort(key=lambda name: name != default_format)
    return ModelView(
        name=model.name,
        title=model.description or model.name,
        stems=list(model.default_outputs),
        licence=model.licence,
        default=model.name == default,
        formats=formats,
        options=[name for name in _OPTIONS if name in properties],
    )


def _stem(job: Job, stem: Artifact, links: Links) -> StemView:
    return StemView(
        name=stem.name,
        url=links.blob(stem, song_of(job)),
        size=stem.size,
        duration=stem.duration,
        sha256=stem.sha256,
        content_type=stem.content_type,
        peaks_url=links.peaks(job, stem),
    )
