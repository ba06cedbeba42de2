"""What others see of a job, and in which order."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from world import make_world

from stemwright_server.domain.job import Job, JobState
from stemwright_server.usecases.record import record


def test_whoever_sees_a_job_completed_finds_its_track_described(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    seen = []

    class Notifier:
        def tell(self, job: Job) -> None:
            track = world.deps.repository.track(job.track_id)
            assert track is not None
            seen.append((job.state, track.filename, track.duration))

    world.submitted()
    report = replace(world.upload(world.claimed()), filename="A fine song")
    record(replace(world.deps, notifier=Notifier()), report)
    assert seen == [(JobState.COMPLETED, "A fine song", 1.0)]


def test_a_stale_attempt_describes_nothing(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    job = world.submitted()
    report = replace(world.upload(world.claimed()), attempt=7, filename="Another song")
    assert not record(world.deps, report).accepted
    track = world.deps.repository.track(job.track_id)
    assert track is not None
    assert (track.filename, track.duration) == ("s.wav", None)
