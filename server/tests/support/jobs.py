"""Tracks and jobs to begin with, and what is done with them, for tests that care for little of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from stemwright_server.domain.inputs import TrackInput
from stemwright_server.domain.job import Job, JobOptions
from stemwright_server.domain.lifecycle import Event, Policy, Transition, advance
from stemwright_server.domain.track import Track, TrackState
from stemwright_server.ports.jobs import JobRepository
from stemwright_worker.contract.service import OutputSpec
from stemwright_worker.contract.tasks import Completed, UploadedFile

POLICY = Policy(lease_seconds=60.0, max_attempts=3, retry_seconds=2.0)


def track(name: str = "t", **changes: Any) -> Track:
    """One whose bytes are still to come, with what is given instead."""
    new = Track(
        id=name,
        owner="o",
        filename="a 'song' é.wav",
        key=f"uploads/{name}",
        created_at=1.0,
        upload_until=100.0,
        request_id="r",
        declared_size=5,
        used_at=1.0,
    )
    return replace(new, **changes)


def ready(repository: JobRepository, name: str = "t", **changes: Any) -> Track:
    """One whose bytes are there, added to the store."""
    new = track(name)
    repository.add_track(new)
    confirmed = replace(
        new, state=TrackState.READY, size=5, sha256=f"hash of {name}", media_type="audio/wav", used_at=2.0, **changes
    )
    assert repository.confirm_track(confirmed)
    return confirmed


def job(name: str = "j", *, track_id: str = "t", **changes: Any) -> Job:
    """A queued one, with what is given instead."""
    new = Job(
        id=name,
        inputs=(TrackInput(track_id=track_id),),
        owner="o",
        service="m",
        model="v",
        params={"overlap": 0.25, "stems": ["a"], "none": None},
        outputs=(OutputSpec(name="a", filename="a.wav", content_type="audio/wav"),),
        work_key=f"work of {name}",
        created_at=10.0,
        available_at=10.0,
        request_id="r",
        options=JobOptions(dialect="studio"),
    )
    return replace(new, **changes)


def claim(
    repository: JobRepository, now: float = 20.0, worker: str = "w", services: tuple[str, ...] = ("m",)
) -> Job | None:
    """What a worker is handed."""
    return repository.claim(
        worker=worker, services=services, now=now, lease_until=now + 60.0, writable_until=now + 100.0
    )


def change(repository: JobRepository, event: Event, *, now: float = 30.0, job_id: str = "j") -> Transition:
    """What an event makes of a job."""
    found = repository.change(job_id, lambda job: advance(job, event, now=now, policy=POLICY))
    assert found is not None
    return found


def done(attempt: int = 1, job_id: str = "j") -> Completed:
    """What a worker says of a ``job()`` in the end."""
    files = (UploadedFile(name="a", size=3, sha256="0" * 64, duration=1.5),)
    return Completed(job_id=job_id, attempt=attempt, files=files, report={"sum_db": -100.5, "list": [1]})
