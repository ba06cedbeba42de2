"""Finding a track or a job for a caller. What is another's looks as if it did not exist."""

from __future__ import annotations

from stemwright_server.domain.job import Job
from stemwright_server.domain.track import Track
from stemwright_server.ports.auth import Principal
from stemwright_server.usecases.deps import Deps
from stemwright_worker.errors import NotFound


def owned_track(deps: Deps, caller: Principal, track_id: str) -> Track:
    """The caller's track; a link has bytes for its one job only and is none.

    Raises:
        NotFound: there is no such track, or it is another's.
    """
    track = deps.repository.track(track_id)
    if track is None or track.owner != caller.subject or track.source:
        raise NotFound(f"There is no file {track_id!r}.", code="file_not_found")
    return track


def owned_job(deps: Deps, caller: Principal, job_id: str) -> Job:
    """The caller's job.

    Raises:
        NotFound: there is no such job, or it is another's.
    """
    job = deps.repository.job(job_id)
    if job is None or job.owner != caller.subject or is_removed(deps, job):
        raise NotFound(f"There is no job {job_id!r}.", code="job_not_found")
    return job


def is_removed(deps: Deps, job: Job) -> bool:
    """Whether its time is over, although the next sweep has yet to forget it."""
    return job.state.final and job.expires_at is not None and job.expires_at <= deps.clock()
