"""A job to begin with, for tests that care for little of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stemwright_server.domain.inputs import TrackInput
from stemwright_server.domain.job import Job, JobOptions

_JOB = Job(
    id="j",
    inputs=(TrackInput(track_id="t"),),
    owner="o",
    service="m",
    model="v",
    params={},
    outputs=(),
    work_key="w",
    created_at=0.0,
    request_id="r",
    options=JobOptions(dialect="studio"),
)


def new_job(**changes: Any) -> Job:
    """A queued one, with what is given instead."""
    return replace(_JOB, **changes)
