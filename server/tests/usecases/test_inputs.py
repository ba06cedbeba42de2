"""What jobs take in: nothing, one file, several, or what other jobs made."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from world import CALLER, SONG, World, make_world, rounds

from stemwright_server.domain.inputs import ArtifactInput, TrackInput
from stemwright_server.domain.job import Job, JobState
from stemwright_server.ports.auth import Principal
from stemwright_server.ports.jobs import JobRepository
from stemwright_server.usecases.record import record
from stemwright_server.usecases.remove import remove
from stemwright_server.usecases.submit import Linked
from stemwright_worker.errors import Conflict, Gone, InvalidRequest, NotFound, ServiceError, TooLarge

MONTH = 31 * 86400.0


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


class Lossy:
    """A store out of which somebody took the row of a job."""

    def __init__(self, store: JobRepository, job_id: str) -> None:
        self._store, self._job_id = store, job_id

    def job(self, job_id: str) -> Job | None:
        return None if job_id == self._job_id else self._store.job(job_id)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


def made_by(job: Job) -> ArtifactInput:
    return ArtifactInput(job_id=job.id, name="a")


def test_a_job_without_an_input_is_run_and_its_output_kept_under_its_own_id(world: World) -> None:
    job = world.ask_of(model="none").job
    task = world.claimed()
    assert (task.inputs, task.file_id, job.track_id) == ((), "", "")
    assert record(world.deps, world.upload(task)).accepted
    assert world.files() == [f"outputs/{job.id}/m/none/{job.id}-1/a.wav"]
    world.clock[0] += MONTH
    for _ in range(2):
        rounds(world.deps)
    assert world.files() == []
    assert world.deps.repository.job(job.id) is None


def test_work_without_an_input_is_shared_by_its_owner_alone(world: World) -> None:
    first = world.ask_of(model="none")
    assert world.ask_of(model="none").job.id == first.job.id
    assert world.ask_of(model="none", caller=Principal(subject="another")).created


def test_each_input_of_a_task_has_a_url_of_its_own(world: World) -> None:
    source, track = world.done(), world.uploaded()
    job = world.ask_of(track.id, made_by(source), model="two").job
    assert job.inputs == (TrackInput(track_id=track.id), made_by(source))
    first, second = world.claimed().inputs
    assert [(each.name, each.filename, each.size) for each in (first, second)] == [
        ("input", "s.wav", len(SONG)),
        ("input-2", "a.wav", 4),
    ]
    assert first.url != second.url
    assert (first.sha256, second.sha256) == (track.sha256, source.artifacts[0].sha256)


def test_the_order_of_the_inputs_makes_other_work_and_the_same_order_the_same(world: World) -> None:
    source, track = world.done(), world.uploaded()
    asked = world.ask_of(track.id, made_by(source), model="two")
    assert world.ask_of(track.id, made_by(source), model="two").job.id == asked.job.id
    assert world.ask_of(made_by(source), track.id, model="two").created


def test_a_key_stands_for_the_same_inputs_only(world: World) -> None:
    source, track = world.done(), world.uploaded()
    asked = world.ask_of(track.id, made_by(source), model="two", key="k")
    assert world.ask_of(track.id, made_by(source), model="two", key="k").job.id == asked.job.id
    with pytest.raises(InvalidRequest) as caught:
        world.ask_of(made_by(source), track.id, model="two", key="k")
    assert caught.value.code == "idempotency_key_reused"


def test_only_ones_own_completed_jobs_give_inputs(world: World) -> None:
    waiting, other = world.submitted(), Principal(subject="another")

    def refused(*inputs: ArtifactInput, caller: Principal = CALLER, model: str = "v") -> tuple[type[ServiceError], str]:
        with pytest.raises(ServiceError) as caught:
            world.ask_of(*inputs, caller=caller, model=model)
        return type(caught.value), caught.value.code

    assert refused(ArtifactInput(job_id="none", name="a")) == (NotFound, "job_not_found")
    assert refused(made_by(waiting)) == (Conflict, "not_completed")
    record(world.deps, world.upload(world.claimed()))
    assert refused(made_by(waiting), caller=other) == (NotFound, "job_not_found")
    assert refused(ArtifactInput(job_id=waiting.id, name="b")) == (InvalidRequest, "unknown_output")
    elsewhere = world.done(sharing="never", upload_urls={"a": "https://a.example/a.wav"})
    assert refused(made_by(elsewhere)) == (InvalidRequest, "output_elsewhere")
    assert refused(model="v") == (InvalidRequest, "bad_inputs")
    assert refused(made_by(waiting), made_by(waiting)) == (InvalidRequest, "bad_inputs")
    remove(world.deps, CALLER, waiting.id)
    assert refused(made_by(waiting)) == (NotFound, "job_not_found")


def test_what_is_no_audio_is_nothing_for_a_model_that_takes_audio(world: World) -> None:
    world.ask_of(world.uploaded().id, model="short")
    task = world.claimed()
    world.deps.blobs.write(world.job(task).prefix(task.attempt) + "words.txt", b"stem")
    record(world.deps, world.report(task, "words"))
    with pytest.raises(InvalidRequest, match=r"is text/plain; the model 'v' takes audio") as caught:
        world.ask_of(ArtifactInput(job_id=task.job_id, name="words"))
    assert caught.value.code == "bad_inputs"


def test_neither_retention_nor_its_owner_removes_what_a_waiting_job_takes_in(world: World) -> None:
    source, track = world.done(), world.uploaded()
    asked = world.ask_of(made_by(source), track.id, model="two").job
    remove(world.deps, CALLER, source.id)
    for _ in range(3):
        world.clock[0] += MONTH
        rounds(world.deps)
    inputs = [source.artifacts[0].key, track.key]
    assert set(inputs) <= set(world.files())
    task = world.claimed()
    assert task.job_id == asked.id
    rounds(world.deps)
    assert set(inputs) <= set(world.files())
    record(world.deps, world.upload(task))
    world.clock[0] += MONTH
    for _ in range(2):
        rounds(world.deps)
    assert not set(inputs) & set(world.files())


def test_an_input_that_is_gone_all_the_same_fails_the_job_and_keeps_no_other_waiting(world: World) -> None:
    source = world.done()
    lost = world.ask_of(made_by(source)).job
    world.clock[0] += 1.0
    next_job = world.submitted()
    world.deps = replace(world.deps, repository=cast(Any, Lossy(world.deps.repository, source.id)))
    assert world.claimed().job_id == next_job.id
    failed = world.deps.repository.job(lost.id)
    assert failed is not None
    assert failed.error is not None
    assert (failed.state, failed.error.code) == (JobState.FAILED, "input_gone")


def test_an_input_that_was_removed_while_it_was_asked_for_is_not_queued(world: World) -> None:
    source = world.done()
    job = world.ask_of(made_by(source)).job
    world.deps.repository.change(job.id, lambda each: world.canceled(each))
    world.deps.repository.drop_jobs(0.0, finished_before=world.clock[0] + 1.0)
    with pytest.raises(Gone, match="run it again"):
        world.deps.repository.submit(job, key=None)


def test_a_models_own_limits_hold_before_a_file_is_queued_and_go_with_the_task(world: World) -> None:
    small = world.ask_of(world.uploaded().id, model="short").job
    assert (small.options.max_seconds, small.options.max_bytes) == (3.0, 50)
    task = world.claimed()
    assert (task.max_seconds, task.max_bytes) == (3.0, 50)
    with pytest.raises(TooLarge, match="the model 'short' takes at most 50"):
        world.ask_of(world.uploaded(SONG + bytes(50)).id, model="short")
    link = Linked(url="https://a.example/s.wav", source="http", filename="s.wav")
    assert world.ask(link, model="short", max_seconds=2.0, max_bytes=70).job.options.max_seconds == 2.0
    assert world.claimed().max_bytes == 50
