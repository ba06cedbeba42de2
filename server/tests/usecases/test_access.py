"""What a caller finds, and what looks as if it did not exist."""

from __future__ import annotations

from pathlib import Path

import pytest
from world import CALLER, make_world

from stemwright_server.domain.job import JobState
from stemwright_server.ports.auth import Principal
from stemwright_server.usecases.access import owned_job
from stemwright_server.usecases.status import track_status
from stemwright_server.usecases.submit import Linked
from stemwright_worker.errors import NotFound


def test_a_link_is_no_file_that_other_work_could_be_asked_of(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    deps = world.deps
    link = Linked(url="https://a.example/s.wav", source="http", filename="s.wav")
    job = world.ask(link, sharing="never").job
    assert owned_job(deps, CALLER, job.id).state is JobState.QUEUED
    with pytest.raises(NotFound):
        track_status(deps, CALLER, job.track_id)
    with pytest.raises(NotFound):
        world.ask_of(job.track_id)


def test_what_is_anothers_does_not_exist(tmp_path: Path) -> None:
    world, other = make_world(tmp_path), Principal(subject="another")
    job = world.submitted()
    assert track_status(world.deps, CALLER, job.track_id).jobs == [job]
    with pytest.raises(NotFound, match="There is no file"):
        track_status(world.deps, other, job.track_id)
    with pytest.raises(NotFound, match="There is no job"):
        owned_job(world.deps, other, job.id)
