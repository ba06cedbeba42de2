"""Tracks: added, confirmed once, dropped."""

from __future__ import annotations

from dataclasses import replace

import pytest
from jobs import job, ready, track

from stemwright_server.domain.track import TrackState
from stemwright_server.ports.jobs import JobRepository
from stemwright_worker.errors import SongExists


def test_a_track_is_found_as_it_was_added(repository: JobRepository) -> None:
    repository.add_track(track())
    assert repository.track("t") == track()
    assert repository.track("u") is None
    assert repository.track_by_hash("o", "hash of t") is None


def test_a_confirmed_track_is_found_by_its_hash_and_owner(repository: JobRepository) -> None:
    confirmed = ready(repository)
    assert repository.track("t") == confirmed
    assert repository.track_by_hash("o", "hash of t") == confirmed
    assert repository.track_by_hash("p", "hash of t") is None


def test_a_track_is_confirmed_once(repository: JobRepository) -> None:
    confirmed = ready(repository)
    assert not repository.confirm_track(replace(confirmed, size=6))
    assert repository.track("t") == confirmed
    assert not repository.confirm_track(track("never added"))


def test_the_same_bytes_of_one_owner_are_one_track(repository: JobRepository) -> None:
    ready(repository)
    repository.add_track(track("u"))
    with pytest.raises(SongExists) as caught:
        repository.confirm_track(track("u", sha256="hash of t"))
    assert caught.value.context == {"file_id": "t"}
    other = repository.track("u")
    assert other is not None
    assert other.state is TrackState.PENDING
    repository.add_track(track("p", owner="another"))
    assert repository.confirm_track(track("p", owner="another", sha256="hash of t"))


def test_a_track_with_jobs_is_not_dropped(repository: JobRepository) -> None:
    ready(repository)
    repository.submit(job(), key=None)
    repository.drop_track("t")
    assert repository.track("t") is not None
    repository.add_track(track("u"))
    repository.drop_track("u")
    assert repository.track("u") is None
