"""What a job takes in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TrackInput:
    """An uploaded file, or a link."""

    track_id: str


@dataclass(frozen=True, kw_only=True)
class ArtifactInput:
    """What another job of the same owner made. Its files stay for as long as a job that takes it has not ended."""

    job_id: str
    name: str  # of the artifact, for example "vocals"


Input = TrackInput | ArtifactInput


def track_ids(inputs: Sequence[Input]) -> list[str]:
    """Of the tracks among them."""
    return [each.track_id for each in inputs if isinstance(each, TrackInput)]


def source_ids(inputs: Sequence[Input]) -> list[str]:
    """Of the jobs whose artifacts are among them."""
    return [each.job_id for each in inputs if isinstance(each, ArtifactInput)]
