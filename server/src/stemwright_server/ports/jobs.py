"""The job repository: the queue of record. Every method is one transaction; what it returned is on disk."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from stemwright_server.domain.counters import Labels
from stemwright_server.domain.job import Attempt, Job, JobState
from stemwright_server.domain.lifecycle import Transition
from stemwright_server.domain.song import LatestJob, Song
from stemwright_server.domain.track import Track
from stemwright_server.domain.worker import AnnouncedService, SeenWorker
from stemwright_server.domain.worker_health import WorkerHealth
from stemwright_server.ports.deliveries import Deliveries

_FINGERPRINT = 64  # characters: a SHA-256 in hex


@dataclass(frozen=True, kw_only=True)
class IdempotencyKey:
    """A caller's key for a submit, and what it stood for."""

    owner: str
    key: str
    fingerprint: str  # hash of the request, at most 64 characters; the same key with another one is refused

    def __post_init__(self) -> None:
        """Check the length, which some stores would cut and others refuse.

        Raises:
            ValueError: the fingerprint is longer than a hash.
        """
        if len(self.fingerprint) > _FINGERPRINT:
            raise ValueError(f"a fingerprint of {len(self.fingerprint)} characters: a hash is meant")


@dataclass(frozen=True, kw_only=True)
class Submission:
    """The job that answers a submit, and whether it is new."""

    job: Job
    created: bool


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """Which jobs are looked for, whoever owns them. None: any."""

    owner: str | None = None
    states: Collection[JobState] | None = None
    service: str | None = None
    dialect: str | None = None
    track_id: str | None = None


Place = tuple[float, str]
"""In a list of the newest first: when one was created, and its id."""


@dataclass(frozen=True, kw_only=True)
class Queue:
    """What waits for the workers of a service."""

    service: str
    jobs: int
    oldest_at: float  # since when the job that waits longest could be had


Chore = Literal[
    "sweep",  # leases and messages: soon, whatever else there is to do
    "clean",  # files whose time is over
]


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """What a broker needs to know of a job that waits for a worker."""

    job_id: str
    service: str
    priority: int

    @classmethod
    def of(cls, job: Job) -> Waiting:
        """A job that waits."""
        return cls(job_id=job.id, service=job.service, priority=job.options.priority)


class Tracks(Protocol):
    """Uploaded files."""

    def add_track(self, track: Track) -> None:
        """Store a new track."""
        ...

    def track(self, track_id: str) -> Track | None:
        """One by its id. None if there is none."""
        ...

    def track_by_hash(self, owner: str, sha256: str) -> Track | None:
        """The owner's ready track with these bytes."""
        ...

    def confirm_track(self, track: Track) -> bool:
        """Store a track as READY. False if it is not PENDING any more.

        Raises SongExists if the owner has another ready track with the same sha256.
        """
        ...

    def drop_track(self, track_id: str) -> None:
        """Forget a track, unless it has jobs."""
        ...

    def songs_of(self, owner: str, *, limit: int, before: Place | None = None) -> Sequence[Song]:
        """The owner's ready and expired tracks, newest first, less remote and transient ones; in one query.

        ``before``: where the page before ended.
        """
        ...

    def latest_of(self, track_id: str) -> Sequence[LatestJob]:
        """The last job of each model on a track, by service and model."""
        ...


class Jobs(Protocol):
    """Jobs, and the one way to hand them out and to change them."""

    def submit(self, job: Job, *, key: IdempotencyKey | None, track: Track | None = None) -> Submission:
        """Add a queued job; or find the one that the key stands for, or ``equal_work``.

        ``track``: a remote one to add with a new job.

        Raises InvalidRequest (code "idempotency_key_reused"), or Gone if the bytes of an input were removed meanwhile.
        """
        ...

    def equal_work(self, work_key: str, now: float) -> Job | None:
        """The job of this work that is under way, or done and not expired at ``now``."""
        ...

    def job(self, job_id: str) -> Job | None:
        """One by its id. None if there is none."""
        ...

    def queued_of(self, owner: str) -> int:
        """How many of the owner's jobs wait."""
        ...

    def passed_over(self, available_before: float) -> Sequence[int]:
        """Priorities of jobs that could have been claimed since before then, and wait still; the lowest first."""
        ...

    def jobs_of(self, track_id: str) -> Sequence[Job]:
        """The jobs whose first track this is, oldest first."""
        ...

    def history(self, owner: str, dialect: str, *, limit: int, before: float | None = None) -> Sequence[Job]:
        """The owner's jobs that came by a dialect, newest first; those created before ``before`` only."""
        ...

    def search(self, wanted: JobFilter, *, limit: int, before: Place | None = None) -> Sequence[Job]:
        """Jobs of all owners, newest first. ``before``: where the page before ended."""
        ...

    def attempts_of(self, job_id: str) -> Sequence[Attempt]:
        """What is still known of the tries of a job, the first one first."""
        ...

    def ahead(self, job: Job) -> int:
        """How many queued jobs are claimed before this queued one, as things are."""
        ...

    def claim(
        self,
        *,
        worker: str,
        services: Sequence[str],
        now: float,
        lease_until: float,
        writable_until: float,
        least_priority: int = 0,
        priority: int | None = None,
        job_id: str | None = None,
    ) -> Job | None:
        """Take an available queued job of these models: running, attempt + 1. Never handed out twice.

        ``job_id``: this one or none.

        The highest priority comes first; within one, owners take turns, each one's oldest first. ``priority``: only of
        this one.
        """
        ...

    def change(self, job_id: str, step: Callable[[Job], Transition]) -> Transition | None:
        """Read a job, apply ``step`` (``advance``) and write the result, undisturbed. None if there is no such job.

        An outcome is written to the attempt; a completed job makes its track's metadata due; the end of a job that
        wants a webhook adds it to the outbox.
        """
        ...

    def queues(self) -> Sequence[Queue]:
        """Of the queued jobs, by service; services of which none waits are left out."""
        ...

    def counts(self) -> Mapping[JobState, int]:
        """How many jobs are in each state."""
        ...

    def running(self, *, worker_prefix: str = "", lease_before: float | None = None) -> Sequence[Job]:
        """Running jobs of workers whose id begins so, and whose lease ended at or before then."""
        ...

    def waiting(self, now: float, *, limit: int) -> Sequence[Waiting]:
        """Queued jobs that a worker could have now, in the order of claims, ``limit`` at most."""
        ...


class Workers(Protocol):
    """Who was heard of lately, by all API processes."""

    def see_worker(self, worker: SeenWorker) -> None:
        """It was heard of just now."""
        ...

    def forget_workers(self, prefix: str) -> None:
        """Those whose id begins so are gone."""
        ...

    def drop_workers(self, seen_before: float) -> None:
        """Those that were not heard of since then are gone."""
        ...

    def seen_workers(self) -> Sequence[SeenWorker]:
        """All that are known, by id."""
        ...

    def drain_workers(self, prefix: str, now: float) -> None:
        """Those whose id begins so get no new jobs, those that are yet to come included, until ``resume_workers``."""
        ...

    def resume_workers(self, prefix: str) -> bool:
        """Take back what ``drain_workers`` said of this very prefix. Whether it was said."""
        ...

    def drained_workers(self) -> Sequence[str]:
        """How the ids of drained workers begin, in order."""
        ...


class Ailing(Protocol):
    """Workers at which jobs fail."""

    def keep_health(self, health: WorkerHealth, now: float) -> None:
        """Remember it, in place of what was known of this worker."""
        ...

    def forget_health(self, worker: str) -> None:
        """It has completed a job."""
        ...

    def ailing_workers(self) -> Sequence[WorkerHealth]:
        """All at which jobs failed since they completed one, by id; until ``forget_workers`` or ``drop_workers``."""
        ...


class Services(Protocol):
    """What services offer, as their workers announced it; known to all API processes."""

    def keep_service(self, service: AnnouncedService) -> None:
        """Remember it, in place of what was said of this service before."""
        ...

    def services(self) -> Sequence[AnnouncedService]:
        """All that are known, by name. One that this version cannot read is left out."""
        ...

    def pause_service(self, name: str, now: float) -> None:
        """No job of it is handed out until ``resume_service``; those that run go on."""
        ...

    def resume_service(self, name: str) -> bool:
        """Take a pause back. Whether there was one."""
        ...

    def paused_services(self) -> Sequence[str]:
        """Their names, in order."""
        ...


class Counters(Protocol):
    """Sums that outlive the jobs they are about: see ``domain.counters``."""

    def counters(self) -> Mapping[tuple[str, Labels], float]:
        """All of them, by name and labels. ``change`` adds to them."""
        ...


class Signatures(Protocol):
    """Signatures of requests seen lately, by every process of the API."""

    def see_signature(self, signature: str, *, key: str, now: float, until: float) -> bool:
        """Remember a signature until then. False if it was seen before, unless it came under the same key.

        ``key``: the caller's idempotency key, "" for none, which is never the same.
        """
        ...

    def drop_signatures(self, now: float) -> None:
        """Forget those whose time is over: they are too old to hold anyway."""
        ...


class Tickets(Protocol):
    """Tickets that open an event stream once: their digests, for all processes of the API."""

    def add_ticket(self, digest: str, *, owner: str, until: float) -> None:
        """Remember one."""
        ...

    def tickets_of(self, owner: str, now: float) -> int:
        """How many of the owner's hold."""
        ...

    def take_ticket(self, digest: str, now: float) -> str | None:
        """Whose it was; it is gone. None if there is none that holds. Never twice for one."""
        ...

    def drop_tickets(self, now: float) -> None:
        """Forget those whose time is over."""
        ...


class Upkeep(Protocol):
    """What ``sweep`` needs."""

    def alone(self, what: Chore) -> AbstractContextManager[bool]:
        """Whether this process may do ``what``: no other one does while the context is open.

        Raises Unavailable if the store cannot be reached; what goes wrong while it is open passes as it is.
        """
        ...

    def stale_uploads(self, now: float) -> Sequence[Track]:
        """Pending tracks whose time to upload is over."""
        ...

    def expire_tracks(self, used_before: float, *, transient_before: float = 0.0) -> None:
        """Ready and remote tracks not used since that no queued or running job takes in: EXPIRED, the hash free again.

        Transient ones not used since ``transient_before`` and without any job, too.
        """
        ...

    def tracks_to_purge(self) -> Sequence[Track]:
        """Expired tracks whose bytes may still be in the blob store, or that have no jobs any more."""
        ...

    def track_purged(self, track_id: str) -> None:
        """The bytes are gone; the track goes with them, unless it has jobs."""
        ...

    def drop_jobs(self, now: float, *, finished_before: float) -> Sequence[str]:
        """Forget ended jobs that expired, or say nothing of it and ended before; their completed attempts: EXPIRED.

        Not while a queued or running job takes in what one made, and not before the body of its webhook is made from it. A
        webhook that has one outlives its job while it is under way, and until its end is before ``finished_before``: a dead
        letter may be replayed. Their ids; where there are very many, some are left for the next round.
        """
        ...

    def attempts_to_clean(self) -> Sequence[Attempt]:
        """Ended attempts whose files are nobody's: every outcome but COMPLETED."""
        ...

    def attempt_cleaned(self, attempt: Attempt) -> None:
        """Nothing of it is left and nothing more can come."""
        ...

    def drop_keys(self, created_before: float) -> None:
        """Forget idempotency keys."""
        ...

    def metadata_due(self) -> Sequence[Track]:
        """Tracks whose metadata.json is older than their last completed job."""
        ...

    def metadata_written(self, track: Track) -> None:
        """metadata.json says what was true at ``track.revision``."""
        ...

    def describe_track(
        self, track_id: str, *, duration: float | None, sample_rate: int | None, filename: str | None = None
    ) -> None:
        """Fill in what was learned by decoding; None leaves a value as it is."""
        ...


class JobRepository(
    Tracks, Jobs, Workers, Ailing, Services, Counters, Signatures, Tickets, Deliveries, Upkeep, Protocol
):
    """All of it, over one store."""
