"""What a caller finds, and what looks as if it did not exist."""

from __future__ import annotations

from pathlib import Path

import pytest
from world import CALLER, make_world

from stemwright_server.domain.job import JobState
from stemwright_server.ports.auth import Principal
from stemwright_server.usecases.access import owned_job
from stemwright_server.usecases.remove import remove
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


def test_what_was_removed_is_not_told_of_although_it_is_still_there(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    job = world.done()
    remove(world.deps, CALLER, job.id)
    assert track_status(world.deps, CALLER, job.track_id).jobs == []


def test_the_jobs_of_a_file_come_page_by_page_the_newest_first(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    file_id, sent = world.uploaded().id, []
    for _ in range(5):
        world.clock[0] += 1
        sent.append(world.ask_of(file_id, sharing="never").job.id)
    newest = track_status(world.deps, CALLER, file_id, limit=2)
    assert [job.id for job in newest.jobs] == sent[3:]
    assert newest.last is not None
    older = track_status(world.deps, CALLER, file_id, limit=3, before=(newest.last.created_at, newest.last.id))
    assert ([job.id for job in older.jobs], older.last) == (sent[:3], None)
