"""What a worker is told and what it says: the messages that cross between the API and a worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from stemwright_worker.contract.description import ServiceDescription
from stemwright_worker.contract.service import Progress

CONTRACT = 1  # grows when one side would misread the other; a field that may be absent is no reason


@dataclass(frozen=True, kw_only=True)
class TaskInput:
    """A file that a run takes in, and the URL to GET it from."""

    name: str  # unique within a task, a plain name: what the file is called in the work folder
    url: str  # of the blob store, or a stranger's if there is a source
    filename: str  # as the caller named it: for messages, never a path
    size: int | None  # bytes; the worker checks both, where they are known
    sha256: str | None  # hex
    source: str = ""  # which source fetches it; "": it lies in the blob store


@dataclass(frozen=True, kw_only=True)
class TaskOutput:
    """A file to be made, and the URL to PUT it to."""

    name: str
    filename: str
    content_type: str
    url: str
    external: bool = False  # the caller's own URL: the worker asks leave before it PUTs there


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that a worker needs to know to run one attempt of a job."""

    contract: int = CONTRACT
    job_id: str
    attempt: int
    file_id: str  # for logs; "" if no uploaded file is taken in
    request_id: str
    service: str
    model: str
    params: Mapping[str, Any]
    inputs: tuple[TaskInput, ...]  # none, one or several, in the order that was asked
    outputs: tuple[TaskOutput, ...]
    lease_seconds: float  # how long the API waits between two reports
    timeout_seconds: float  # how long the attempt may take in all
    max_seconds: float | None  # cap on decoded audio
    max_bytes: int  # cap on each input
    multipart_over: int | None = (
        None  # outputs of more bytes go in parts, on URLs that the worker asks for; None: none does
    )
    correlation_id: str | None = None
    traceparent: str | None = None  # W3C trace context


@dataclass(frozen=True, kw_only=True)
class Announcement:
    """A worker says what its services offer. The API checks params and knows outputs by it."""

    contract: int = CONTRACT
    worker: str
    services: tuple[ServiceDescription, ...]
    described: str  # hash of them, see ``codec.described``; the worker's claims say it
    nonce: str


@dataclass(frozen=True, kw_only=True)
class ClaimRequest:
    """A worker asks for work."""

    contract: int = CONTRACT
    worker: str  # its id, unique for each process ever started
    device: str
    services: tuple[str, ...]  # those it can run
    described: str = ""  # hash of all that it announced; "" if it takes nothing
    least_priority: int = 0  # it takes no job below this
    take: bool = True  # False: it only says that it is there
    wait_seconds: float = 0.0  # how long the API may hold the answer back until there is work
    nonce: str  # random: no two requests are signed alike


@dataclass(frozen=True, kw_only=True)
class GpuMemory:
    """The memory of one GPU, as its driver tells."""

    host: str
    index: int  # the driver's number of it
    used_bytes: int  # by any process
    total_bytes: int


@dataclass(frozen=True, kw_only=True)
class Progressed:
    """The attempt goes on. Renews the lease."""

    job_id: str
    attempt: int
    progress: Progress
    gpus: tuple[GpuMemory, ...] = ()  # now and then: those of the worker's host
    nonce: str = ""  # random, written as it is sent
    kind: Literal["progress"] = "progress"


@dataclass(frozen=True, kw_only=True)
class Publishing:
    """The attempt asks leave to write where others read: to the caller's own URLs. Renews the lease.

    Refused to a stale attempt. Leave lasts as long as the lease, which the worker's own clock ends too.
    """

    job_id: str
    attempt: int
    nonce: str = ""  # random, written as it is sent
    kind: Literal["publishing"] = "publishing"


@dataclass(frozen=True, kw_only=True)
class UploadedFile:
    """An output that lies in the blob store or at the caller's URL, by its announced name."""

    name: str
    size: int
    sha256: str
    duration: float | None = None
    crc32: int | None = None
    upload_id: str = ""  # it went in parts, which the API has yet to put together
    etags: tuple[str, ...] = ()  # of the parts, in order, as the store named them


@dataclass(frozen=True, kw_only=True)
class MultipartRequest:
    """A worker asks for URLs to upload a large output in parts."""

    job_id: str
    attempt: int
    name: str  # of the output
    size: int  # bytes
    nonce: str


@dataclass(frozen=True, kw_only=True)
class MultipartPlan:
    """Where the parts of an output go: one PUT for each URL, in order."""

    upload_id: str
    part_bytes: int  # of every part but the last
    urls: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Completed:
    """The attempt made everything and uploaded it."""

    job_id: str
    attempt: int
    files: tuple[UploadedFile, ...]
    report: Mapping[str, Any] = field(default_factory=dict)
    duration: float | None = None  # of the input, seconds
    sample_rate: int | None = None  # of the input, Hz
    filename: str | None = None  # what the input's source calls it; None: as the caller does
    nonce: str = ""  # random, written as it is sent
    kind: Literal["completed"] = "completed"


@dataclass(frozen=True, kw_only=True)
class Failed:
    """The attempt ended with an error."""

    job_id: str
    attempt: int
    code: str
    message: str
    retryable: bool
    nonce: str = ""  # random, written as it is sent
    kind: Literal["failed"] = "failed"


Report = Progressed | Publishing | Completed | Failed


@dataclass(frozen=True, kw_only=True)
class Leave:
    """A worker goes, and gives back unharmed what it may hold."""

    worker: str
    nonce: str
    lost: bool = False  # True: it did not go, it died; said by its parent


@dataclass(frozen=True, kw_only=True)
class ReportAnswer:
    """What the API says to a report."""

    accepted: bool  # False: the attempt is stale and nothing was changed
    stop: bool  # True: end this attempt now
