"""What the studio dialect says and hears. These shapes stay here; the core knows nothing of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from stemwright_server.domain.inputs import ArtifactInput, Input, TrackInput
from stemwright_server.domain.job import Artifact, Job, JobError, JobState
from stemwright_server.domain.song import LatestJob, Song, Summary, summary
from stemwright_server.domain.track import Track, TrackState
from stemwright_server.http.times import Moment
from stemwright_worker.contract.description import ModelDescription, ServiceDescription
from stemwright_worker.contract.service import Progress
from stemwright_worker.errors import InvalidRequest
from stemwright_worker.timestamp import timestamp

Identity = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=100)]


class RequestBody(BaseModel):
    """A request body: unknown fields are a mistake worth saying."""

    model_config = ConfigDict(extra="forbid")


class UploadRequest(RequestBody):
    """A file that is about to come."""

    # No control characters: the name is shown and written to headers and logs.
    filename: Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]
    content_type: Annotated[str, StringConstraints(max_length=127)] | None = Field(
        None, description="Ignored: the content says what it is."
    )
    size: int | None = Field(None, ge=1, le=1 << 50, description="Bytes. Checked at the end of the upload.")
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-fA-F]{64}$")] | None = Field(
        None, description="Hex. Lets a duplicate be found before anything is sent; checked at the end of the upload."
    )


class UploadResponse(BaseModel):
    """Where to PUT the bytes, until when."""

    file_id: str
    upload_url: str
    expires_at: Moment


class FileInput(RequestBody):
    """An uploaded file."""

    file_id: Identity


class OutputInput(RequestBody):
    """What one of your completed jobs made. It stays for as long as a job that takes it waits or runs."""

    job_id: Identity
    output: Name = Field(description="The `type` of one of its outputs, for example vocals.")


class ProcessRequest(RequestBody):
    """Work to be done."""

    file_id: Identity | None = Field(None, description="The one file that the model takes in; or say inputs, or none.")
    inputs: Annotated[list[FileInput | OutputInput], Field(max_length=32)] | None = Field(
        None, description="Everything that the model takes in, in its order."
    )
    model: Name | None = Field(None, description="Here or in the query.", examples=["demucs"])
    variation: Name | None = Field(None, description="One of the model's; its default if none, or 'default', is named.")
    params: dict[str, Any] = Field(default_factory=dict, description="As the variation's schema in GET /models says.")
    callback_url: Annotated[str, StringConstraints(min_length=1, max_length=2000)] | None = Field(
        None, description="Is told of the end of the job. Exactly one of API_WEBHOOK_URL_ALLOWLIST."
    )

    @field_validator("params")
    @classmethod
    def _plain_json(cls, params: dict[str, Any]) -> dict[str, Any]:
        """Python reads NaN and half characters; no other program has to."""
        try:
            json.dumps(params, allow_nan=False, ensure_ascii=False).encode()
        except ValueError as error:
            raise ValueError("has a value that JSON does not know") from error
        return params

    def joined(self, query: ProcessQuery) -> ProcessRequest:
        """What body and query say together. Raises InvalidRequest where they say two things, or neither says a model."""
        said = {name: value for name, value in query.model_dump().items() if value is not None}
        for name, value in said.items():
            if getattr(self, name) not in (None, value):
                raise InvalidRequest(
                    f"The query says {name} {value!r}, and the body {getattr(self, name)!r}: say it once.",
                    code="query_disagrees",
                )
        whole = self.model_copy(update=said)
        if whole.model is None:
            raise InvalidRequest("model: say which, in the body or in the query.")
        return whole

    def all_inputs(self) -> list[Input]:
        """What is to be taken in. Raises InvalidRequest."""
        if self.inputs is None:
            return [] if self.file_id is None else [TrackInput(track_id=self.file_id)]
        if self.file_id is not None:
            raise InvalidRequest("Give one of file_id and inputs.", code="two_inputs")
        return [
            TrackInput(track_id=each.file_id)
            if isinstance(each, FileInput)
            else ArtifactInput(job_id=each.job_id, name=each.output)
            for each in self.inputs
        ]


class ProcessQuery(RequestBody):
    """What may stand in the query of a request for work, in place of its body."""

    file_id: Identity | None = None
    model: Name | None = None
    variation: Name | None = None


class ProcessResponse(BaseModel):
    """The job, new or found."""

    job_id: str
    status: JobState
    skipped: bool = Field(False, description="True: the same work is done already, and this is the finished job.")


class ProgressView(BaseModel):
    """How far a job is."""

    percent: float
    message: str
    stage: str = Field(description="queued, fetching, loading, uploading, completed, or a word of the service's own.")
    segments_done: int
    segments_total: int = Field(description="0 while not known.")
    eta_seconds: float | None = Field(description="Estimate of the time left in this stage.")

    @classmethod
    def of(cls, progress: Progress) -> ProgressView:
        """Worded for a reader."""
        counted = f"{progress.done} of {progress.total} segments" if progress.total else ""
        return cls(
            percent=progress.percent,
            message=progress.message or ", ".join(filter(None, [progress.stage, counted])),
            stage=progress.stage,
            segments_done=progress.done,
            segments_total=progress.total,
            eta_seconds=progress.eta_seconds,
        )


class OutputView(BaseModel):
    """A finished file."""

    path: str
    url: str = Field(description="GET, until it expires; ask again for a fresh one.")
    type: str = Field(description="What it is, for example vocals.")
    size: int
    duration: float | None = Field(description="Seconds.")
    sha256: str
    content_type: str


class ErrorView(BaseModel):
    """Why a job failed, or why its last attempt did."""

    code: str
    message: str
    retryable: bool

    @classmethod
    def of(cls, error: JobError) -> ErrorView:
        """The same words."""
        return cls(code=error.code, message=error.message, retryable=error.retryable)


class JobView(BaseModel):
    """A job as it is now."""

    job_id: str
    file_id: str | None = Field(description="The first file it takes in; null if it takes in none.")
    inputs: list[FileInput | OutputInput]
    model: str
    variation: str
    params: dict[str, Any]
    status: JobState
    progress: ProgressView
    attempt: int = Field(description="Number of the last attempt; 0 before the first.")
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    outputs: list[OutputView]
    report: dict[str, Any] = Field(description="The fidelity report of a completed job.")
    error: ErrorView | None = Field(
        description="Of a failed job; of a queued or running one, why the last attempt failed."
    )
    request_id: str

    @classmethod
    def of(cls, job: Job, link: Callable[[Artifact], str]) -> JobView:
        """``link`` makes a fresh download URL."""
        return cls(
            job_id=job.id,
            file_id=job.track_id or None,
            inputs=[
                FileInput(file_id=each.track_id)
                if isinstance(each, TrackInput)
                else OutputInput(job_id=each.job_id, output=each.name)
                for each in job.inputs
            ],
            model=job.service,
            variation=job.model,
            params=dict(job.params),
            status=job.state,
            progress=ProgressView.of(job.progress),
            attempt=job.attempt,
            created_at=timestamp(job.created_at),
            started_at=None if job.started_at is None else timestamp(job.started_at),
            finished_at=None if job.finished_at is None else timestamp(job.finished_at),
            outputs=[
                OutputView(
                    path=each.key,
                    url=link(each),
                    type=each.name,
                    size=each.size,
                    duration=each.duration,
                    sha256=each.sha256,
                    content_type=each.content_type,
                )
                for each in job.artifacts
            ],
            report=dict(job.report),
            error=None if job.error is None else ErrorView.of(job.error),
            request_id=job.request_id,
        )


_TRACK_STATUS: Mapping[TrackState, Literal["waiting_for_upload", "uploaded", "expired"]] = {
    TrackState.PENDING: "waiting_for_upload",
    TrackState.READY: "uploaded",
    TrackState.EXPIRED: "expired",
}


class WorkView(BaseModel):
    """What became of all that was asked for, by the last job of each model and variation."""

    status: Summary = Field(
        description="running or queued while anything is; else completed if all is, failed or canceled if nothing is, "
        "partly if some is; none: nothing was asked for."
    )
    queued: int
    running: int
    completed: int
    failed: int
    canceled: int

    @classmethod
    def of(cls, latest: Sequence[LatestJob]) -> WorkView:
        """Counted."""
        states = [job.state for job in latest]
        return cls(status=summary(states), **{state.value: states.count(state) for state in JobState})


class StatusResponse(BaseModel):
    """A file and every job on it."""

    file_id: str
    filename: str
    status: Literal["waiting_for_upload", "uploaded", "expired"]
    size: int | None
    sha256: str | None
    content_type: str | None = Field(description="By content.")
    duration: float | None = Field(description="Seconds, once it was decoded.")
    sample_rate: int | None
    created_at: Moment
    work: WorkView
    jobs: list[JobView]
    next: str | None = Field(None, description="Give it as `before` for older jobs; null: there are none.")

    @classmethod
    def of(cls, track: Track, latest: Sequence[LatestJob], jobs: list[JobView], next_: str | None) -> StatusResponse:
        """All of it together."""
        return cls(
            file_id=track.id,
            filename=track.filename,
            status=_TRACK_STATUS[track.state],
            size=track.size,
            sha256=track.sha256,
            content_type=track.media_type,
            duration=track.duration,
            sample_rate=track.sample_rate,
            created_at=timestamp(track.created_at),
            work=WorkView.of(latest),
            jobs=jobs,
            next=next_,
        )


class SongJob(BaseModel):
    """The last job of a model on a song."""

    job_id: str
    model: str
    variation: str
    status: JobState


class SongView(BaseModel):
    """A song in a list."""

    file_id: str
    title: str = Field(description="The file's name, less its ending.")
    filename: str
    status: Literal["waiting_for_upload", "uploaded", "expired"] = Field(
        description="expired: the file was removed, maybe not its outputs."
    )
    size: int | None
    duration: float | None = Field(description="Seconds, once it was decoded.")
    created_at: Moment
    work: WorkView
    jobs: list[SongJob] = Field(description="The last one of each model and variation.")

    @classmethod
    def of(cls, song: Song) -> SongView:
        """The same words."""
        track = song.track
        return cls(
            file_id=track.id,
            title=PurePosixPath(track.filename).stem or track.filename,
            filename=track.filename,
            status=_TRACK_STATUS[track.state],
            size=track.size,
            duration=track.duration,
            created_at=timestamp(track.created_at),
            work=WorkView.of(song.latest),
            jobs=[
                SongJob(job_id=each.id, model=each.service, variation=each.model, status=each.state)
                for each in song.latest
            ],
        )


class SongsResponse(BaseModel):
    """A page of songs."""

    songs: list[SongView]
    next: str | None = Field(description="Give it as `cursor` for the next page; null: there is none.")


class TicketResponse(BaseModel):
    """A ticket for events."""

    ticket: str = Field(description="Give it as `ticket` in the query of one event stream or WebSocket.")
    expires_at: Moment


class CancelResponse(BaseModel):
    """The job is called off."""

    job_id: str
    status: JobState


class InputsView(BaseModel):
    """What a variation takes in."""

    least: int = Field(description="0: its params alone are enough.")
    most: int
    kind: str = Field(description="audio ...")


class VariationView(BaseModel):
    """One way to run a model."""

    name: str
    description: str
    kind: str = Field(description="separation, transcription ...")
    inputs: InputsView
    outputs: list[str] = Field(description="Names of what it makes when no param says otherwise.")
    licence: str
    params: dict[str, Any] = Field(description="JSON Schema.")
    default: bool

    @classmethod
    def of(cls, variation: ModelDescription) -> VariationView:
        """The same words."""
        return cls(
            name=variation.name,
            description=variation.description,
            kind=variation.kind,
            inputs=InputsView(least=variation.inputs.least, most=variation.inputs.most, kind=variation.inputs.kind),
            outputs=list(variation.default_outputs),
            licence=variation.licence,
            params=dict(variation.params),
            default=variation.default,
        )


class ModelView(BaseModel):
    """A model and its variations."""

    name: str
    workers: int = Field(description="That are there and run it; 0: jobs are taken, and wait for one.")
    paused: bool = Field(description="True: an administrator lets its jobs wait.")
    variations: list[VariationView]

    @classmethod
    def of(cls, service: ServiceDescription, *, workers: int, paused: bool) -> ModelView:
        """What it offers now, and by how many."""
        variations = [VariationView.of(each) for each in service.models]
        return cls(name=service.name, workers=workers, paused=paused, variations=variations)


class ModelsResponse(BaseModel):
    """Every model at hand."""

    models: list[ModelView]


class QueueView(BaseModel):
    """How many jobs are in each state."""

    queued: int
    running: int
    completed: int
    failed: int
    canceled: int


class HealthResponse(BaseModel):
    """Whether the service can do its work."""

    status: Literal["ok", "no_workers", "store_away"] = Field(
        description="no_workers: jobs are taken, but nobody runs them now. store_away: the same, since the store of files "
        "cannot be used; nothing is charged for it."
    )
    version: str
    gpu: bool = Field(description="Whether a worker has one.")
    workers: int
    workers_set_aside: int = Field(0, description="Of these, those that get no jobs for a while: jobs fail there.")
    queue: QueueView
