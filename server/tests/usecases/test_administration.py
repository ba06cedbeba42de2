"""What an administrator does to anybody's jobs."""

from __future__ import annotations

from pathlib import Path

import pytest
from world import CALLER, World, make_world

from stemwright_server.domain.job import Job, JobState
from stemwright_server.ports.auth import ADMIN, Principal
from stemwright_server.usecases.administration import any_job, cancel_any, causes, pause, resume, retry
from stemwright_server.usecases.claim import claim
from stemwright_server.usecases.record import record
from stemwright_worker.contract.tasks import ClaimRequest, Failed, Task
from stemwright_worker.errors import Conflict, Gone, InvalidRequest, NotFound

BOSS = Principal(subject="boss", roles=frozenset({ADMIN}))


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def failed(world: World, code: str = "broken", data: bytes = b"") -> Job:
    world.ask_of(world.uploaded(b"RIFF\x24\x00\x00\x00WAVEfmt " + data).id)
    task = world.claimed()
    record(world.deps, Failed(job_id=task.job_id, attempt=1, code=code, message=f"It is {code}.", retryable=False))
    return world.job(task)


def again(world: World, job: Job) -> Job:
    return retry(world.deps, BOSS, job.id, request_id="r2")


def claimed(world: World) -> Task | None:
    return claim(world.deps, ClaimRequest(worker="w", device="cpu", services=("m",), nonce="n"))


def test_a_failed_job_is_done_again_by_a_new_one_that_names_it(world: World) -> None:
    old = failed(world)
    new = again(world, old)
    assert (new.state, new.owner, new.retry_of, new.attempt) == (JobState.QUEUED, CALLER.subject, old.id, 0)
    assert new.id in world.woken
    task = claimed(world)
    assert task is not None
    assert task.job_id == new.id
    record(world.deps, world.upload(task))
    assert any_job(world.deps, new.id).state is JobState.COMPLETED
    assert any_job(world.deps, old.id) == old  # an ended job stays as it ended


def test_asked_twice_the_second_retry_finds_the_first(world: World) -> None:
    old = failed(world)
    assert again(world, old).id == again(world, old).id


def test_what_goes_on_or_is_done_is_not_done_again(world: World) -> None:
    queued = world.submitted()
    with pytest.raises(Conflict, match="is queued"):
        again(world, queued)
    done = world.done()
    with pytest.raises(Conflict, match="only a failed or canceled one"):
        again(world, done if done.state is JobState.COMPLETED else queued)
    with pytest.raises(NotFound):
        retry(world.deps, BOSS, "nobody's", request_id="r")


def test_a_retry_whose_input_is_gone_says_so(world: World) -> None:
    old = failed(world)
    world.deps.repository.expire_tracks(world.clock[0] + 1e6)
    with pytest.raises(Gone):
        again(world, old)


def test_anybodys_job_is_called_off(world: World) -> None:
    job = world.submitted()
    assert cancel_any(world.deps, BOSS, job.id).state is JobState.CANCELED
    assert again(world, job).retry_of == job.id


def test_causes_are_counted_the_commonest_first(world: World) -> None:
    for number, code in enumerate(["broken", "empty", "empty"]):
        world.clock[0] += 1
        last = failed(world, code, bytes([number]))
    found = causes(world.deps)
    assert [(each.code, each.jobs, each.message) for each in found] == [
        ("empty", 2, "It is empty."),
        ("broken", 1, "It is broken."),
    ]
    assert found[0].newest == last


def test_of_a_paused_service_nothing_is_handed_out_until_it_is_resumed(world: World) -> None:
    pause(world.deps, BOSS, "m")
    job = world.submitted()
    assert claimed(world) is None
    world.woken.clear()
    resume(world.deps, BOSS, "m")
    assert world.woken == [job.id]
    assert claimed(world) is not None


def test_only_what_is_there_is_paused_and_only_what_is_paused_resumed(world: World) -> None:
    with pytest.raises(InvalidRequest, match="there are: m"):
        pause(world.deps, BOSS, "wisper")
    with pytest.raises(NotFound):
        resume(world.deps, BOSS, "m")
