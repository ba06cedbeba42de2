"""A song: a caller's file with how far each model is with it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

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


Summary = Literal["none", "queued", "running", "completed", "failed", "canceled", "partly"]


def summary(states: Collection[JobState]) -> Summary:
    """One word for the last jobs of all models: what is under way, else what became of them.

    ``partly``: some are completed, and the others failed or were canceled. ``none``: there are no jobs.
    """
    if JobState.RUNNING in states:
        return "running"
    if JobState.QUEUED in states:
        return "queued"
    if JobState.COMPLETED in states:
        return "completed" if set(states) == {JobState.COMPLETED} else "partly"
    if JobState.FAILED in states:
        return "failed"
    return "canceled" if states else "none"
