"""What happens to the jobs of workers that are gone."""

from __future__ import annotations

from pathlib import Path

import pytest
from world import World, make_world

from stemwright_server.domain.job import JobState
from stemwright_server.usecases.workers import worker_left, worker_lost


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def test_a_dead_worker_costs_its_job_an_attempt(world: World) -> None:
    world.submitted()
    task = world.claimed()
    worker_lost(world.deps, "w")
    job = world.job(task)
    assert (job.state, job.failures) == (JobState.QUEUED, 1)
    assert job.error is not None
    assert job.error.code == "worker_lost"


def test_a_worker_that_was_told_to_go_costs_its_job_nothing(world: World) -> None:
    world.submitted()
    task = world.claimed()
    world.woken.clear()
    worker_left(world.deps, "w")
    job = world.job(task)
    assert (job.state, job.failures, job.error) == (JobState.QUEUED, 0, None)
    assert world.woken == [job.id]  # another one could have it now


def test_the_jobs_of_other_workers_go_on(world: World) -> None:
    world.submitted()
    task = world.claimed()
    worker_lost(world.deps, "another")
    worker_left(world.deps, "another")
    assert world.job(task).state is JobState.RUNNING
