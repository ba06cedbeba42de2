"""What became of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stemwright_server.domain.job import Artifact, Job
from stemwright_server.domain.song import Song
from stemwright_server.domain.track import Track
from stemwright_server.ports.auth import Principal
from stemwright_server.ports.jobs import JobFilter, Place
from stemwright_server.usecases.access import is_removed, owned_track
from stemwright_server.usecases.deps import Deps

MOST = 100  # jobs that are told of at once


@dataclass(frozen=True, kw_only=True)
class TrackStatus:
    """A track and its newest jobs, oldest first; or those before a place."""

    track: Track
    jobs: Sequence[Job]
    last: Job | None  # the oldest that was looked at, if there are older ones


def track_status(
    deps: Deps, caller: Principal, track_id: str, *, limit: int = MOST, before: Place | None = None
) -> TrackStatus:
    """How a track and its jobs are now.

    Raises:
        NotFound: there is no such track, or it is another's.
    """
    track = owned_track(deps, caller, track_id)
    found = deps.repository.search(JobFilter(track_id=track.id), limit=limit + 1, before=before)
    jobs = [job for job in reversed(found[:limit]) if not is_removed(deps, job)]
    return TrackStatus(track=track, jobs=jobs, last=found[limit - 1] if len(found) > limit else None)


def songs(deps: Deps, caller: Principal, *, limit: int, before: Place | None) -> tuple[Sequence[Song], Song | None]:
    """A page of the caller's songs, newest first; and its last one, if there are older ones."""
    found = deps.repository.songs_of(caller.subject, limit=limit + 1, before=before)
    return found[:limit], found[limit - 1] if len(found) > limit else None


def download_url(deps: Deps, artifact: Artifact, *, song: str = "") -> str:
    """A fresh URL for an artifact; maybe relative to the API's own address.

    Args:
        deps: The ports.
        artifact: What is to be downloaded.
        song: What it is called after where it is saved, beside its own name; "": its own name alone.
    """
    own = artifact.key.rpartition("/")[2]
    return deps.blobs.get_url(
        artifact.key,
        expires_at=deps.clock() + deps.limits.url_seconds,
        content_type=artifact.content_type,
        filename=f"{song} {own}" if song else own,
    )
