"""Calling a job off."""

from __future__ import annotations

from pathlib import Path

import pytest
from world import CALLER, World, make_world

from stemwright_server.domain.job import JobState
from stemwright_server.ports.auth import Principal
from stemwright_server.usecases.cancel import cancel
from stemwright_worker.errors import Conflict, NotFound


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def test_a_queued_job_and_a_running_one_are_canceled_at_once_and_again_nothing_changes(world: World) -> None:
    queued = world.submitted()
    assert cancel(world.deps, CALLER, queued.id).state is JobState.CANCELED
    assert cancel(world.deps, CALLER, queued.id).state is JobState.CANCELED
    running = world.ask_of(queued.track_id).job
    task = world.claimed()
    assert cancel(world.deps, CALLER, running.id).state is JobState.CANCELED
    assert world.job(task).state is JobState.CANCELED


def test_a_completed_job_cannot_be_canceled(world: World) -> None:
    done = world.done()
    with pytest.raises(Conflict, match="is completed and cannot be canceled") as caught:
        cancel(world.deps, CALLER, done.id)
    assert caught.value.code == "already_final"


def test_anothers_job_is_not_there(world: World) -> None:
    job = world.submitted()
    with pytest.raises(NotFound):
        cancel(world.deps, Principal(subject="another"), job.id)
    assert world.deps.repository.job(job.id) == job
