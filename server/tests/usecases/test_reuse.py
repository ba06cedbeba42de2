"""Work that is done already, and what stands in the way of copying it."""

from __future__ import annotations

from pathlib import Path

import pytest
from world import World, make_world, rounds

from stemwright_server.domain.job import Job, JobState
from stemwright_server.usecases.record import record
from stemwright_worker.errors import NotFound, ServiceError, StorageFull, Unavailable


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def again(world: World, done: Job) -> Job:
    """The job that asks for the same work."""
    return world.ask_of(done.track_id, sharing="copy").job


def completed(world: World) -> Job:
    world.submitted()
    task = world.claimed()
    record(world.deps, world.upload(task))
    return world.job(task)


def test_equal_work_is_copied(world: World) -> None:
    done = completed(world)
    copy = again(world, done)
    assert (copy.id != done.id, copy.state) == (True, JobState.COMPLETED)


@pytest.mark.parametrize("method", ["copy", "size"])
@pytest.mark.parametrize("error", [Unavailable("away"), StorageFull("full"), NotFound("just removed")])
def test_what_cannot_be_copied_now_waits_for_a_worker(
    world: World, monkeypatch: pytest.MonkeyPatch, error: ServiceError, method: str
) -> None:
    """The job is there: whoever asked for it gets its id, not an error."""
    done = completed(world)
    world.woken.clear()

    def fail(*_: object) -> None:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(world.deps.blobs, method, fail)
        job = again(world, done)
    assert (job.state, world.woken[-1]) == (JobState.QUEUED, job.id)
    kept = world.deps.repository.job(job.id)
    assert kept is not None
    assert (kept.state, kept.failures) == (JobState.QUEUED, 0)


def test_work_whose_outputs_are_still_here_is_not_done_again(world: World) -> None:
    done = completed(world)
    found = world.ask_of(done.track_id)
    assert (found.job.id, found.created) == (done.id, False)


@pytest.mark.parametrize("data", [None, b"cut off"])
def test_work_whose_outputs_are_not_here_any_more_is_done_again(world: World, data: bytes | None) -> None:
    done = completed(world)
    world.deps.blobs.delete(done.artifacts[0].key)
    if data is not None:
        world.deps.blobs.write(done.artifacts[0].key, data)
    new = world.ask_of(done.track_id)
    assert (new.created, new.job.state) == (True, JobState.QUEUED)
    assert world.ask_of(done.track_id).job.id == new.job.id  # and once
    record(world.deps, world.upload(world.claimed()))
    rounds(world.deps)
    assert [job.id for job in world.deps.repository.jobs_of(done.track_id)] == [new.job.id]
    assert world.ask_of(done.track_id).job.id == new.job.id


def test_a_store_that_is_away_has_lost_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    done = completed(world)

    def away(key: str) -> int:
        raise Unavailable("away")

    monkeypatch.setattr(world.deps.blobs, "size", away)
    assert world.ask_of(done.track_id).job.id == done.id
