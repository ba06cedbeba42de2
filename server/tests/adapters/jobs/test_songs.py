"""The songs of an owner, with how far each model is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobs import change, claim, job, ready, track
from sqlalchemy import event

from stemwright_server.adapters.jobs.sql import SqlJobRepository
from stemwright_server.adapters.jobs.sqlite import sqlite_engine
from stemwright_server.domain.job import JobState
from stemwright_server.domain.lifecycle import CancelAsked
from stemwright_server.domain.song import LatestJob
from stemwright_server.domain.track import TrackState
from stemwright_server.ports.jobs import JobRepository


def test_songs_come_newest_first_page_by_page_each_once(repository: JobRepository) -> None:
    for number in range(7):
        ready(repository, f"t{number}")  # all at one time: the id decides
    repository.add_track(track("later", created_at=5.0, state=TrackState.READY))
    found: list[str] = []
    before = None
    while page := repository.songs_of("o", limit=3, before=before):
        assert len(page) <= 3
        found += [song.track.id for song in page]
        before = (page[-1].track.created_at, page[-1].track.id)
    assert found == ["later", *(f"t{number}" for number in reversed(range(7)))]


def test_songs_are_the_owners_own_that_are_kept(repository: JobRepository) -> None:
    kept = ready(repository, "kept")
    repository.add_track(track("another's", owner="p", state=TrackState.READY))
    repository.add_track(track("pending"))
    repository.add_track(track("link", source="http", source_url="https://a/", state=TrackState.REMOTE))
    repository.add_track(track("old link", source="http", source_url="https://a/", state=TrackState.EXPIRED))
    repository.add_track(track("passing", transient=True, state=TrackState.READY))
    repository.add_track(track("removed", created_at=0.5, state=TrackState.EXPIRED, key=""))
    assert [song.track.id for song in repository.songs_of("o", limit=10)] == ["kept", "removed"]
    assert repository.songs_of("o", limit=1)[0].track == kept
    assert repository.songs_of("q", limit=10) == []


def test_a_song_has_the_state_of_the_last_job_of_each_model(repository: JobRepository) -> None:
    ready(repository, "t")
    ready(repository, "u")
    repository.submit(job("first"), key=None)
    change(repository, CancelAsked(), job_id="first")
    repository.submit(job("last", created_at=11.0), key=None)
    repository.submit(job("words", service="a", model="tiny"), key=None)
    repository.submit(job("other", model="w"), key=None)
    repository.submit(job("of another song", track_id="u"), key=None)
    claimed = claim(repository, services=("a",))
    assert claimed is not None
    found = {song.track.id: song.latest for song in repository.songs_of("o", limit=10)}
    assert found["t"] == (
        LatestJob(id="words", service="a", model="tiny", state=JobState.RUNNING),
        LatestJob(id="last", service="m", model="v", state=JobState.QUEUED),
        LatestJob(id="other", service="m", model="w", state=JobState.QUEUED),
    )
    assert [latest.id for latest in found["u"]] == ["of another song"]
    assert tuple(repository.latest_of("t")) == found["t"]
    assert repository.latest_of("none") == []


def test_a_page_is_one_query_however_many_songs_and_jobs(tmp_path: Path) -> None:
    engine = sqlite_engine(tmp_path / "jobs.db")
    repository = SqlJobRepository(engine)
    for number in range(20):
        ready(repository, f"t{number}")
        for model in ("v", "w"):
            repository.submit(job(f"j{number}{model}", track_id=f"t{number}", model=model), key=None)
    said: list[tuple[str, Any]] = []
    event.listen(engine, "before_cursor_execute", lambda *arguments: said.append((arguments[2], arguments[3])))
    assert [len(song.latest) for song in repository.songs_of("o", limit=20)] == [2] * 20
    ((query, values),) = [each for each in said if each[0].lstrip().startswith(("SELECT", "WITH"))]
    with engine.connect() as db:
        plan = [row[3] for row in db.exec_driver_sql(f"EXPLAIN QUERY PLAN {query}", values)]
    repository.close()
    assert any("tracks_newest" in step for step in plan), plan
    assert not any(step.startswith("SCAN jobs") for step in plan), plan
