"""A job: what a caller asked for; and the attempts to do it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal

from stemwright_server.domain.inputs import Input, track_ids
from stemwright_worker.contract.service import STEM, OutputSpec, Progress


class JobState(StrEnum):
    """What became of a job so far. Progress is a field, not a state."""

    QUEUED = "queued"  # waits for a worker, for the first time or again
    RUNNING = "running"  # a worker holds a lease on it
    COMPLETED = "completed"  # its artifacts are published; final
    FAILED = "failed"  # its error says why; final
    CANCELED = "canceled"  # the caller asked so; final

    @property
    def final(self) -> bool:
        """Whether the state never changes again."""
        return self in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELED)


class Outcome(StrEnum):
    """How an attempt ended."""

    COMPLETED = "completed"  # its artifacts are the job's
    FAILED = "failed"  # the worker said so
    LOST = "lost"  # the worker died, or was silent for longer than its lease
    RELEASED = "released"  # the worker gave it back unharmed, as it does on shutdown; not charged
    CANCELED = "canceled"  # the caller canceled the job under it
    EXPIRED = "expired"  # was completed; retention removed the job


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """Who is to be told of a job's end."""

    url: str
    kind: str  # which body it gets: the name of the dialect that asked


Sharing = Literal[
    "join",  # equal work of the same owner is one job
    "copy",  # a job of its own, which gets copies of what equal work of the same owner made, if there is some
    "never",  # a job of its own, which is done in any case
]


DEFAULT_PRIORITY = 5


@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """How a job is treated, and for whom. None of it changes what is made."""

    dialect: str  # the API that the job came by
    priority: int = DEFAULT_PRIORITY  # 0 to 9; a higher one is claimed first
    sharing: Sharing = "join"
    keep_seconds: float | None = None  # how long job and outputs stay after the end; None: as the settings say
    max_bytes: int | None = None  # caps on each input, where they are under the service's: bytes,
    max_seconds: float | None = None  # and seconds of decoded audio
    webhook: Webhook | None = None
    upload_urls: Mapping[str, str] = field(default_factory=dict)  # presigned PUT URLs of the caller's own, by output
    labels: Mapping[str, Any] = field(default_factory=dict)  # what the dialect wants to find again, JSON values
    correlation_id: str | None = None
    traceparent: str | None = None  # W3C trace context of the request


def least(*caps: Any) -> Any:
    """The smallest of the caps that there are; None if there is none."""
    return min((cap for cap in caps if cap is not None), default=None)


WAITING = Progress(done=0, total=0, stage="queued")


@dataclass(frozen=True, kw_only=True)
class JobError:
    """Why a job failed, or why its last attempt did."""

    code: str
    message: str
    retryable: bool = False


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A published output."""

    name: str  # for example "vocals"
    key: str  # in the blob store; "" if it was put to the caller's own URL
    content_type: str
    size: int  # bytes
    sha256: str  # hex
    duration: float | None = None  # seconds
    crc32: int | None = None  # as zip archives have it
    role: str = STEM

    @property
    def filename(self) -> str:
        """What it is called, for example vocals.flac; "" if it lies elsewhere."""
        return self.key.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One try of a job. The number is the fencing token: what a stale attempt says changes nothing."""

    job_id: str
    number: int  # 1, 2, 3 ... of its job
    worker: str
    prefix: str  # where its uploads go in the blob store; no other attempt writes there
    started_at: float
    writable_until: float  # its upload URLs are void after this
    ended_at: float | None = None
    outcome: Outcome | None = None


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a caller asked for. Times are unix seconds. Changed by ``lifecycle.advance`` only."""

    id: str
    inputs: tuple[Input, ...]  # none, one or several
    owner: str
    service: str
    model: str
    params: Mapping[str, Any]  # complete and canonical: see ``domain.work``
    outputs: tuple[OutputSpec, ...]  # what a run will make, fixed at submit
    work_key: str  # hash of inputs, service, model and params: equal for equal work
    created_at: float
    request_id: str
    options: JobOptions
    retry_of: str | None = None  # the ended job that this one does once more
    turn: int = 0  # its place among the waiting ones of a priority; the job store gives it at submit
    available_at: float = 0.0  # not claimed before; retries wait here
    state: JobState = JobState.QUEUED
    attempt: int = 0  # number of the last attempt; grows with every claim, never shrinks
    failures: int = 0  # attempts that count against the limit; a released one does not
    worker: str | None = None  # who runs it; set while running
    lease_until: float | None = None  # taken from the worker if not renewed before; set while running
    started_at: float | None = None  # of the first attempt
    finished_at: float | None = None
    expires_at: float | None = None  # removed then; None: when the settings say
    progress: Progress = WAITING
    artifacts: tuple[Artifact, ...] = ()
    report: Mapping[str, Any] = field(default_factory=dict)  # the fidelity report of the completed run
    error: JobError | None = None  # of the last failed attempt; final when the state is FAILED
    revision: int = 0  # grows with every change

    @property
    def track_id(self) -> str:
        """The first track it takes in, which lists it; "" if it takes in none."""
        return next(iter(track_ids(self.inputs)), "")

    @property
    def stems(self) -> tuple[Artifact, ...]:
        """What was asked for, without the files beside it."""
        return tuple(each for each in self.artifacts if each.role == STEM)

    def prefix(self, attempt: int) -> str:
        """Where an attempt of this job uploads to."""
        return f"outputs/{self.track_id or self.id}/{self.service}/{self.model}/{self.id}-{attempt}/"
