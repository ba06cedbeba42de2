"""A store of blobs that is away: nothing is handed out, nothing is charged, and whoever watches is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from world import World, make_world

from stemwright_server.domain.job import JobState
from stemwright_server.usecases.claim import claim
from stemwright_server.usecases.measure import measure
from stemwright_server.usecases.record import record
from stemwright_server.usecases.store_watch import StoreWatch
from stemwright_worker.contract.tasks import ClaimRequest, Failed
from stemwright_worker.errors import Unavailable


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = make_world(tmp_path)
    world.deps = replace(world.deps, store=StoreWatch(world.deps.blobs, clock=lambda: world.clock[0]))
    return world


def look(world: World, monkeypatch: pytest.MonkeyPatch, *, away: bool) -> None:
    def check() -> None:
        if away:
            raise Unavailable("The bucket refuses us.", code="storage_denied")

    monkeypatch.setattr(world.deps.blobs, "check", check)
    assert world.deps.store is not None
    world.deps.store.look()


def asked(world: World) -> object:
    return claim(world.deps, ClaimRequest(worker="w", device="cpu", services=("m",), nonce="n"))


def test_nothing_is_handed_out_until_it_is_back(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    job = world.submitted()
    look(world, monkeypatch, away=True)
    assert asked(world) is None
    waiting = world.deps.repository.job(job.id)
    assert waiting is not None
    assert (waiting.state, waiting.attempt) == (JobState.QUEUED, 0)
    look(world, monkeypatch, away=False)
    assert asked(world) is not None


def test_why_and_since_when_is_known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    store = world.deps.store
    assert store is not None
    look(world, monkeypatch, away=True)
    began = world.clock[0]
    world.clock[0] += 30.0
    look(world, monkeypatch, away=True)
    assert store.away is not None
    assert (store.away.code, store.away.since) == ("storage_denied", began)
    assert not measure(world.deps).store_is_up
    look(world, monkeypatch, away=False)
    assert store.away is None
    assert measure(world.deps).store_is_up


def test_attempts_that_the_store_failed_are_not_charged(world: World) -> None:
    world.submitted()
    for number in range(1, 7):
        task = world.claimed()
        report = Failed(
            job_id=task.job_id,
            attempt=task.attempt,
            code="store_unreachable",
            message="The store answered 503.",
            retryable=True,
        )
        assert record(world.deps, report).accepted
        job = world.job(task)
        assert (job.state, job.attempt, job.failures) == (JobState.QUEUED, number, 0)
        world.clock[0] += 60.0
    record(world.deps, world.upload(world.claimed()))
    assert world.job(task).state is JobState.COMPLETED


def test_a_job_that_the_store_never_takes_ends_all_the_same(world: World) -> None:
    world.submitted()
    for _ in range(30):
        task = world.claimed()
        record(
            world.deps,
            Failed(job_id=task.job_id, attempt=task.attempt, code="store_unreachable", message="413", retryable=True),
        )
        if world.job(task).state is JobState.FAILED:
            break
        world.clock[0] += 301.0
    assert world.job(task).state is JobState.FAILED
    assert world.job(task).attempt > 6
