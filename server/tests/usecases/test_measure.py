"""What is counted, and for how long."""

from __future__ import annotations

from pathlib import Path

from world import make_world

from stemwright_server.domain.job import JobState
from stemwright_server.usecases.measure import ended_jobs
from stemwright_server.usecases.record import record
from stemwright_worker.contract.tasks import Failed


def test_jobs_that_ended_are_counted_when_they_are_gone(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    assert ended_jobs(world.deps) == {JobState.COMPLETED: 0, JobState.FAILED: 0, JobState.CANCELED: 0}
    track_id = world.submitted().track_id
    record(world.deps, world.upload(world.claimed()))
    for _ in range(2):
        world.ask_of(track_id, sharing="never")  # a job of its own
        task = world.claimed()
        failed = Failed(job_id=task.job_id, attempt=task.attempt, code="bad", message="bad", retryable=False)
        record(world.deps, failed)
    expected = {JobState.COMPLETED: 1, JobState.FAILED: 2, JobState.CANCELED: 0}
    assert ended_jobs(world.deps) == expected
    world.deps.repository.drop_jobs(0.0, finished_before=world.clock[0] + 1.0)
    assert world.deps.repository.counts()[JobState.FAILED] == 0
    assert ended_jobs(world.deps) == expected
