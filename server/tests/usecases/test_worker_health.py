"""A worker at which jobs fail takes none with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from world import World, make_world

from stemwright_server.domain.job import Job, JobState, Outcome
from stemwright_server.domain.worker import SeenWorker
from stemwright_server.domain.worker_health import DISK_FULL
from stemwright_server.usecases.claim import claim
from stemwright_server.usecases.record import record
from stemwright_worker.contract.tasks import ClaimRequest, Failed, Task


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = make_world(tmp_path)
    for worker in ("ill", "well"):
        world.deps.repository.see_worker(SeenWorker(worker=worker, device="cpu", services=("m",), seen_at=1000.0))
    return world


def taken(world: World, worker: str) -> Task | None:
    """As the route of workers does."""
    if world.deps.workers.is_aside(worker):
        return None
    return claim(world.deps, ClaimRequest(worker=worker, device="cpu", services=("m",), nonce="n"))


def new(world: World) -> Job:
    return world.ask_of(world.uploaded(b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes([len(world.told)])).id).job


def fail(world: World, worker: str, code: str = "crashed", *, retryable: bool = True) -> Job:
    task = taken(world, worker)
    assert task is not None
    record(
        world.deps,
        Failed(job_id=task.job_id, attempt=task.attempt, code=code, message="It broke.", retryable=retryable),
    )
    return world.job(task)


def test_a_full_disk_costs_a_job_nothing_and_the_worker_gets_no_other(world: World) -> None:
    new(world)
    job = fail(world, "ill", DISK_FULL)
    assert (job.state, job.failures) == (JobState.QUEUED, 0)
    assert job.error is not None
    assert job.error.code == DISK_FULL
    (attempt,) = world.deps.repository.attempts_of(job.id)
    assert attempt.outcome is Outcome.RELEASED
    assert taken(world, "ill") is None
    task = taken(world, "well")
    assert task is not None
    assert task.job_id == job.id


def test_a_worker_that_fails_all_that_it_takes_does_not_empty_the_queue(world: World) -> None:
    jobs = [new(world) for _ in range(10)]
    for _ in range(3):
        fail(world, "ill")
    assert taken(world, "ill") is None
    states = [found.failures for job in jobs if (found := world.deps.repository.job(job.id)) is not None]
    assert sorted(states) == [0] * 7 + [1] * 3


def test_after_a_while_one_job_is_tried_there_uncharged_and_success_makes_it_well(world: World) -> None:
    for _ in range(3):
        new(world)
    fail(world, "ill", DISK_FULL)
    world.clock[0] += 31
    assert fail(world, "ill", "crashed").failures == 0
    assert taken(world, "ill") is None
    world.clock[0] += 61
    task = taken(world, "ill")
    assert task is not None
    record(world.deps, world.upload(task))
    assert world.deps.repository.ailing_workers() == []
    assert taken(world, "ill") is not None


def test_a_job_that_fails_with_every_workers_own_fault_fails_in_the_end(world: World) -> None:
    job = new(world)
    for _ in range(20):
        if job.state is not JobState.QUEUED:
            break
        job = fail(world, "ill", DISK_FULL)
        world.clock[0] += 601
    assert job.state is JobState.FAILED


def test_bad_input_is_no_fault_of_the_worker(world: World) -> None:
    for _ in range(5):
        new(world)
        assert fail(world, "ill", "not_audio", retryable=False).state is JobState.FAILED
    assert world.deps.repository.ailing_workers() == []


def test_a_stale_report_says_nothing_of_the_worker(world: World) -> None:
    new(world)
    task = taken(world, "ill")
    assert task is not None
    stale = Failed(job_id=task.job_id, attempt=task.attempt - 1, code=DISK_FULL, message="m", retryable=True)
    assert record(world.deps, stale).stop
    assert world.deps.repository.ailing_workers() == []
