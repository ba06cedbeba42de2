"""What the rounds of the sweep find, and what the use cases leave for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from world import CALLER, SONG, World, make_world, rounds

from stemwright_server.domain.job import JobState
from stemwright_server.usecases.cancel import cancel
from stemwright_server.usecases.record import record
from stemwright_server.usecases.upload import announce, receive
from stemwright_worker.errors import Conflict, NotFound, StorageFull, Unavailable


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def test_an_upload_whose_end_was_not_seen_is_looked_at_by_process(world: World) -> None:
    """As after a kill between the last byte and the record of it, and as with a store that tells nobody."""
    job = world.submitted()
    track = world.deps.repository.track(job.track_id)
    assert track is not None
    assert (track.state, track.size, track.media_type) == ("ready", len(SONG), "audio/wav")


def test_silence_is_noticed_and_tried_again_when_due(world: World) -> None:
    world.submitted()
    task = world.claimed()
    world.clock[0] += 59.0
    rounds(world.deps)
    assert world.job(task).state is JobState.RUNNING
    world.clock[0] += 1.0
    rounds(world.deps)
    assert world.job(task).state is JobState.QUEUED
    world.woken.clear()
    rounds(world.deps)
    assert world.woken == []  # not due yet
    world.clock[0] += 10.0
    rounds(world.deps)
    assert world.woken == [task.job_id]  # a wake-up that was missed comes again
    assert world.claimed().attempt == 2


def test_a_late_completion_is_refused_and_its_files_go(world: World) -> None:
    world.submitted()
    late = world.claimed()
    world.clock[0] += 60.0
    rounds(world.deps)
    world.clock[0] += 10.0
    task = world.claimed()
    report = world.upload(late)
    answer = record(world.deps, report)
    assert (answer.accepted, answer.stop) == (False, True)
    rounds(world.deps)
    assert not [name for name in world.files() if f"{late.job_id}-1/" in name]
    assert record(world.deps, world.upload(task)).accepted
    world.upload(late)  # a zombie, once more; its URLs still hold
    rounds(world.deps)
    assert not [name for name in world.files() if f"{late.job_id}-1/" in name]
    world.clock[0] += 10_000.0
    rounds(world.deps)
    assert world.deps.repository.attempts_to_clean() == []  # nothing more can come


def test_a_completion_without_its_files_is_not_believed(world: World) -> None:
    world.submitted()
    task = world.claimed()
    report = world.upload(task)
    assert record(world.deps, replace(report, files=(replace(report.files[0], size=5),))).accepted
    job = world.job(task)
    assert job.state is JobState.QUEUED
    assert job.error is not None
    assert job.error.code == "artifact_missing"


def test_a_completion_may_be_said_again(world: World) -> None:
    world.submitted()
    report = world.upload(world.claimed())
    assert record(world.deps, report).accepted
    told = len(world.told)
    assert record(world.deps, report).accepted
    assert len(world.told) == told


def test_metadata_that_was_not_written_is_written_by_the_next_sweep(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.submitted()
    report = world.upload(world.claimed())

    def full(key: str, data: bytes) -> None:
        raise StorageFull("full")

    with monkeypatch.context() as patch:
        patch.setattr(world.deps.blobs, "write", full)
        assert record(world.deps, report).accepted
    assert f"outputs/{job.track_id}/metadata.json" not in world.files()
    rounds(world.deps)
    assert f"outputs/{job.track_id}/metadata.json" in world.files()


def test_an_announcement_that_nobody_used_goes_and_what_came_too_late_with_it(world: World) -> None:
    track = announce(world.deps, CALLER, filename="s.wav", size=None, sha256=None, request_id="r").track
    world.deps.blobs.write(track.key, SONG)  # uploaded, and killed before it was looked at
    world.clock[0] += 100.0
    rounds(world.deps)
    assert world.files() == [track.key]  # an upload that began in time may still end
    world.clock[0] += 601.0
    rounds(world.deps)
    assert world.files() == []
    assert world.deps.repository.track(track.id) is None
    world.deps.blobs.write(track.key, SONG)
    with pytest.raises(NotFound):
        receive(world.deps, track.id)
    assert world.files() == []


def test_nothing_is_uploaded_yet_is_said(world: World) -> None:
    track = announce(world.deps, CALLER, filename="s.wav", size=None, sha256=None, request_id="r").track
    with pytest.raises(Conflict) as caught:
        receive(world.deps, track.id)
    assert caught.value.code == "not_uploaded"


def test_what_retention_removes_leaves_no_file(world: World) -> None:
    world.submitted()
    record(world.deps, world.upload(world.claimed()))
    world.clock[0] += 8 * 86400.0
    rounds(world.deps)
    assert [name.split("/")[0] for name in world.files()] == ["outputs", "outputs"]
    world.clock[0] += 30 * 86400.0
    for _ in range(2):
        rounds(world.deps)
    assert world.files() == []


def test_private_work_is_never_shared(world: World) -> None:
    shared = world.submitted()
    assert not world.ask_of(shared.track_id).created
    private = world.ask_of(shared.track_id, sharing="never")
    assert private.created
    assert private.job.id != shared.id


def test_the_store_is_asked_for_what_an_attempt_left_soon_after_its_end_and_once_its_urls_are_void(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every round between them it would be asked for nothing, and a bucket's owner pays for asking."""
    job = world.submitted()
    task = world.claimed()
    cancel(world.deps, CALLER, job.id)
    asked: list[float] = []
    delete_prefix = world.deps.blobs.delete_prefix

    def counted(prefix: str) -> None:
        asked.append(world.clock[0])
        delete_prefix(prefix)

    monkeypatch.setattr(world.deps.blobs, "delete_prefix", counted)
    world.upload(task)
    rounds(world.deps)
    assert not [name for name in world.files() if name.startswith("outputs/")]
    world.clock[0] += 61.0
    world.upload(task)  # a zombie, much later
    rounds(world.deps)
    assert asked == [1000.0]
    world.clock[0] += 10_000.0
    rounds(world.deps)
    assert asked == [1000.0, 11_061.0]
    assert not [name for name in world.files() if name.startswith("outputs/")]


def test_a_store_that_is_away_keeps_no_lease_alive_and_no_result_from_counting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.submitted()
    lost = world.claimed()
    world.clock[0] += 61.0

    def away(*_: object) -> None:
        raise Unavailable("away")

    with monkeypatch.context() as patch:
        patch.setattr(world.deps.blobs, "delete_prefix", away)
        rounds(world.deps)
        assert world.job(lost).state is JobState.QUEUED
    world.clock[0] += 10.0
    report = world.upload(world.claimed())
    with monkeypatch.context() as patch:
        patch.setattr(world.deps.blobs, "write", away)
        assert record(world.deps, report).accepted  # only metadata.json has to wait
    rounds(world.deps)
    assert f"outputs/{lost.file_id}/metadata.json" in world.files()
