"""A song: a caller's file with how far each model is with it."""

from __future__ import annotations

from dataclasses import dataclass

from stemwright_server.domain.job import JobState
from stemwright_server.domain.track import Track


@dataclass(frozen=True, kw_only=True)
class LatestJob:
    """The last job of one model on a song."""

    id: str
    service: str
    model: str
    state: JobState


@dataclass(frozen=True, kw_only=True)
class Song:
    """A track that is kept, with the last job of each model, in the order of services and models."""

    track: Track
    latest: tuple[LatestJob, ...]
