"""A store that commit 495868d left behind, with a job under way, is opened by a service of this version."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from service import Service, running, wav
from stores import FAILED, FINISHED, FOR_EVER, OLD_STORE, QUEUED, RUNNING, lay_out_old_store

from stemwright_server.adapters.jobs.schema import HEAD
from stemwright_server.adapters.jobs.sql import SqlJobRepository
from stemwright_server.adapters.jobs.sqlite import sqlite_engine
from stemwright_server.domain.delivery import DeliveryState
from stemwright_server.domain.job import JobState
from stemwright_server.ports.jobs import IdempotencyKey
from stemwright_worker.errors import InvalidRequest


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "service" / "data"
    lay_out_old_store(folder)
    return folder


@pytest.fixture
def ids(data_dir: Path) -> Mapping[str, tuple[str, str]]:
    """File id and job id, by the name of the file."""
    with closing(sqlite3.connect(data_dir / "stemwright.db")) as store:
        rows = store.execute("SELECT filename, tracks.id, jobs.id FROM tracks JOIN jobs ON tracks.id = track_id")
        return {name: (track, job) for name, track, job in rows if job != "told"}


@pytest.fixture
def opened(data_dir: Path, ids: Mapping[str, tuple[str, str]]) -> Iterator[Service]:
    keep = {"STEMWRIGHT_UPLOAD_RETENTION": FOR_EVER, "STEMWRIGHT_OUTPUT_RETENTION": FOR_EVER}
    with running(data_dir, keep) as service:
        yield service


def test_what_was_finished_is_listed_and_downloaded(opened: Service, ids: Mapping[str, tuple[str, str]]) -> None:
    track, job = ids[FINISHED]
    found = opened.client.job(track, job)
    assert found["status"] == "completed"
    assert sorted(each["type"] for each in found["outputs"]) == ["quiet", "rest"]
    for each in found["outputs"]:
        answer = opened.client.http.get(each["url"])
        assert answer.status_code == 200, answer.text
        assert answer.content == (OLD_STORE / "blobs" / each["path"]).read_bytes()
    listed = opened.client.status(ids[FAILED][0])["jobs"]
    assert [(each["status"], each["error"]["code"]) for each in listed] == [("failed", "no_use")]


def test_what_was_queued_and_what_was_under_way_is_run(opened: Service, ids: Mapping[str, tuple[str, str]]) -> None:
    for name in (QUEUED, RUNNING):
        done = opened.client.wait(*ids[name], "completed", "failed")
        assert done["status"] == "completed", done
        assert all(opened.client.http.get(each["url"]).status_code == 200 for each in done["outputs"])
    (upgraded,) = [line for line in opened.logged() if line["event"] == "store_upgraded"]
    assert (upgraded["before"], upgraded["after"]) == ("0001", HEAD)
    assert Path(upgraded["copy"]).exists()


def test_new_work_and_old_work_are_one(opened: Service, ids: Mapping[str, tuple[str, str]]) -> None:
    track, job = ids[FINISHED]
    same = opened.client.announce(FINISHED, sha256=hashlib.sha256(wav(0.02, seed=1)).hexdigest())
    assert (same.status_code, same.json()["code"]) == (409, "song_exists")
    assert opened.client.submit(track, segments=2) == job
    opened.client.wait(track, opened.client.submit(track, segments=3), "completed")


def test_all_its_rows_are_read(data_dir: Path, ids: Mapping[str, tuple[str, str]]) -> None:
    with closing(SqlJobRepository(sqlite_engine(data_dir / "stemwright.db"))) as repository:
        counts = {state: count for state, count in repository.counts().items() if count}
        assert counts == {
            JobState.COMPLETED: 1,
            JobState.FAILED: 1,
            JobState.RUNNING: 1,
            JobState.QUEUED: 1,
            JobState.CANCELED: 1,
        }
        (delivery,) = repository.deliveries()
        assert (delivery.job_id, delivery.state) == ("told", DeliveryState.PENDING)
        assert [worker.services for worker in repository.seen_workers()] == [("gain",)]
        done = ("dialect", "studio"), ("model", "half"), ("service", "gain"), ("status", "completed")
        assert repository.counters()["jobs", done] == 1.0
        job = repository.job(ids[QUEUED][1])
        assert job is not None
        key = IdempotencyKey(owner="anonymous", key="the key of the finished job", fingerprint="another")
        with pytest.raises(InvalidRequest, match="was used for another request"):
            repository.submit(job, key=key)
