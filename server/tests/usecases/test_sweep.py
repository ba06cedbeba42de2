"""What the rounds of the sweep find, and what the use cases leave for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from world import CALLER, SONG, World, make_world

from stemwright_server.domain.errors import Conflict, NotFound, StorageFull, Unavailable
from stemwright_server.domain.job import Extras, JobState
from stemwright_server.usecases.cancel import cancel
from stemwright_server.usecases.record import record
from stemwright_server.usecases.submit import submit
from stemwright_server.usecases.sweep import sweep
from stemwright_server.usecases.upload import announce, receive


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path)


def test_an_upload_whose_end_was_not_seen_is_looked_at_by_process(world: World) -> None:
    """As after a kill between the last byte and the record of it, and as with a store that tells nobody."""
    job = world.submitted()
    track = world.parts.repository.track(job.track_id)
    assert track is not None
    assert (track.state, track.size, track.media_type) == ("ready", len(SONG), "audio/wav")


def test_silence_is_noticed_and_tried_again_when_due(world: World) -> None:
    world.submitted()
    task = world.claimed()
    world.clock[0] += 59.0
    sweep(world.parts)
    assert world.job(task).state is JobState.RUNNING
    world.clock[0] += 1.0
    sweep(world.parts)
    assert world.job(task).state is JobState.QUEUED
    world.rung.clear()
    sweep(world.parts)
    assert world.rung == []  # not due yet
    world.clock[0] += 10.0
    sweep(world.parts)
    assert world.rung == [task.job_id]  # a bell that was missed is rung again
    assert world.claimed().attempt == 2


def test_a_late_completion_is_refused_and_its_files_go(world: World) -> None:
    world.submitted()
    late = world.claimed()
    world.clock[0] += 60.0
    sweep(world.parts)
    world.clock[0] += 10.0
    task = world.claimed()
    report = world.upload(late)
    answer = record(world.parts, report)
    assert (answer.accepted, answer.stop) == (False, True)
    sweep(world.parts)
    assert not [name for name in world.files() if f"{late.job_id}-1/" in name]
    assert record(world.parts, world.upload(task)).accepted
    world.upload(late)  # a zombie, once more; its URLs still hold
    sweep(world.parts)
    assert not [name for name in world.files() if f"{late.job_id}-1/" in name]
    world.clock[0] += 10_000.0
    sweep(world.parts)
    assert world.parts.repository.attempts_to_clean() == []  # nothing more can come


def test_a_completion_without_its_files_is_not_believed(world: World) -> None:
    world.submitted()
    task = world.claimed()
    report = world.upload(task)
    assert record(world.parts, replace(report, files=(replace(report.files[0], size=5),))).accepted
    job = world.job(task)
    assert job.state is JobState.QUEUED
    assert job.error is not None
    assert job.error.code == "artifact_missing"


def test_a_completion_may_be_said_again(world: World) -> None:
    world.submitted()
    report = world.upload(world.claimed())
    assert record(world.parts, report).accepted
    told = len(world.told)
    assert record(world.parts, report).accepted
    assert len(world.told) == told


def test_metadata_that_was_not_written_is_written_by_the_next_sweep(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = world.submitted()
    report = world.upload(world.claimed())

    def full(key: str, data: bytes) -> None:
        raise StorageFull("full")

    with monkeypatch.context() as patch:
        patch.setattr(world.parts.blobs, "write", full)
        assert record(world.parts, report).accepted
    assert f"outputs/{job.track_id}/metadata.json" not in world.files()
    sweep(world.parts)
    assert f"outputs/{job.track_id}/metadata.json" in world.files()


def test_an_announcement_that_nobody_used_goes_and_what_came_too_late_with_it(world: World) -> None:
    track = announce(world.parts, CALLER, filename="s.wav", size=None, sha256=None, request_id="r").track
    world.parts.blobs.write(track.key, SONG)  # uploaded, and killed before it was looked at
    world.clock[0] += 100.0
    sweep(world.parts)
    assert world.files() == [track.key]  # an upload that began in time may still end
    world.clock[0] += 601.0
    sweep(world.parts)
    assert world.files() == []
    assert world.parts.repository.track(track.id) is None
    world.parts.blobs.write(track.key, SONG)
    with pytest.raises(NotFound):
        receive(world.parts, track.id)
    assert world.files() == []


def test_nothing_is_uploaded_yet_is_said(world: World) -> None:
    track = announce(world.parts, CALLER, filename="s.wav", size=None, sha256=None, request_id="r").track
    with pytest.raises(Conflict) as caught:
        receive(world.parts, track.id)
    assert caught.value.code == "not_uploaded"


def test_what_retention_removes_leaves_no_file(world: World) -> None:
    world.submitted()
    record(world.parts, world.upload(world.claimed()))
    world.clock[0] += 8 * 86400.0
    sweep(world.parts)
    assert [name.split("/")[0] for name in world.files()] == ["outputs", "outputs"]
    world.clock[0] += 30 * 86400.0
    for _ in range(2):
        sweep(world.parts)
    assert world.files() == []


def test_private_work_is_never_shared(world: World) -> None:
    shared = world.submitted()
    asked: dict[str, Any] = {"track_id": shared.track_id, "model": "m", "variation": None, "params": {}}
    asked |= {"key": None, "request_id": "r"}
    assert not submit(world.parts, CALLER, **asked).created
    private = submit(world.parts, CALLER, **asked, extras=Extras(private=True))
    assert private.created
    assert private.job.id != shared.id


def test_the_store_is_asked_for_what_an_attempt_left_soon_after_its_end_and_once_its_urls_are_void(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every round between them it would be asked for nothing, and a bucket's owner pays for asking."""
    job = world.submitted()
    task = world.claimed()
    cancel(world.parts, CALLER, job.id)
    asked: list[float] = []
    delete_prefix = world.parts.blobs.delete_prefix

    def counted(prefix: str) -> None:
        asked.append(world.clock[0])
        delete_prefix(prefix)

    monkeypatch.setattr(world.parts.blobs, "delete_prefix", counted)
    world.upload(task)
    sweep(world.parts)
    assert not [name for name in world.files() if name.startswith("outputs/")]
    world.clock[0] += 61.0
    world.upload(task)  # a zombie, much later
    sweep(world.parts)
    assert asked == [1000.0]
    world.clock[0] += 10_000.0
    sweep(world.parts)
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
        patch.setattr(world.parts.blobs, "delete_prefix", away)
        with pytest.raises(Unavailable):
            sweep(world.parts)
        assert world.job(lost).state is JobState.QUEUED
    world.clock[0] += 10.0
    report = world.upload(world.claimed())
    with monkeypatch.context() as patch:
        patch.setattr(world.parts.blobs, "write", away)
        assert record(world.parts, report).accepted  # only metadata.json has to wait
    sweep(world.parts)
    assert f"outputs/{lost.file_id}/metadata.json" in world.files()
