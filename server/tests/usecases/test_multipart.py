"""Large outputs: which attempt gets URLs to upload them in parts, and what makes one of the parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from world import World, make_world

from stemwright_server.adapters.blobs.local import LocalBlobs
from stemwright_server.domain.job import JobState
from stemwright_server.usecases.claim import begin_multipart
from stemwright_server.usecases.record import record
from stemwright_server.usecases.workers import worker_lost
from stemwright_worker.contract.tasks import MultipartPlan, MultipartRequest, Task
from stemwright_worker.errors import Conflict, NotFound, TooLarge


class InParts(LocalBlobs):
    """A store that takes uploads in parts, as a bucket does."""

    def __init__(self, root: Path) -> None:
        super().__init__(root / "blobs", root / "parts", secret=b"s" * 32, min_free_bytes=0)
        self.begun: dict[str, str] = {}  # keys, by the ids of uploads

    def begin_multipart(self, key: str, *, size: int, expires_at: float) -> MultipartPlan:
        self.begun["upload"] = key
        return MultipartPlan(upload_id="upload", part_bytes=2, urls=tuple(f"/{n}" for n in range(0, size, 2)))

    def finish_multipart(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        if self.begun.pop(upload_id, None) != key:
            raise NotFound("No such upload.")
        self.write(key, "".join(etags).encode())


@pytest.fixture
def blobs(tmp_path: Path) -> InParts:
    return InParts(tmp_path)


@pytest.fixture
def world(tmp_path: Path, blobs: InParts) -> World:
    world = make_world(tmp_path)
    world.deps = replace(world.deps, blobs=blobs)
    return world


def asked(task: Task, *, attempt: int = 1, name: str = "a", size: int = 4) -> MultipartRequest:
    return MultipartRequest(job_id=task.job_id, attempt=attempt, name=name, size=size, nonce="n")


def test_an_output_in_parts_is_there_once_the_attempt_is_completed(world: World, blobs: InParts) -> None:
    world.submitted()
    task = world.claimed()
    plan = begin_multipart(world.deps, asked(task))
    key = blobs.begun[plan.upload_id]
    assert blobs.size(key) is None
    report = world.report(task, "a")
    report = replace(report, files=(replace(report.files[0], upload_id=plan.upload_id, etags=("st", "em")),))
    assert record(world.deps, report).accepted
    assert world.job(task).state is JobState.COMPLETED
    assert blobs.size(key) == 4
    assert record(world.deps, report).accepted  # its first answer was lost; the upload is no more


def test_only_an_attempt_that_runs_gets_urls(world: World) -> None:
    world.submitted()
    task = world.claimed()
    with pytest.raises(Conflict, match="does not run any more"):
        begin_multipart(world.deps, asked(task, attempt=2))
    with pytest.raises(Conflict, match="does not run any more"):
        begin_multipart(world.deps, replace(asked(task), job_id="none"))
    worker_lost(world.deps, "w")
    with pytest.raises(Conflict, match="does not run any more"):
        begin_multipart(world.deps, asked(task))


def test_only_outputs_of_the_job_that_come_here_get_urls(world: World) -> None:
    world.ask_of(world.uploaded().id, upload_urls={"a": "https://a.example/put"})
    task = world.claimed()
    for name in ("a", "none"):
        with pytest.raises(Conflict, match=f"no output '{name}'"):
            begin_multipart(world.deps, asked(task, name=name))


def test_an_output_without_end_is_refused(world: World) -> None:
    world.submitted()
    with pytest.raises(TooLarge, match="at most"):
        begin_multipart(world.deps, asked(world.claimed(), size=1 << 40))
