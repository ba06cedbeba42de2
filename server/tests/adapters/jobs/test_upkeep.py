"""Upkeep: what the sweep asks for."""

from __future__ import annotations

from jobs import change, claim, done, job, ready, track

from stemwright_server.domain.inputs import ArtifactInput, TrackInput
from stemwright_server.domain.job import JobOptions, Outcome
from stemwright_server.domain.lifecycle import CancelAsked, Expire, WorkerLost
from stemwright_server.domain.track import TrackState
from stemwright_server.ports.jobs import JobRepository


def test_one_sweeps_and_then_another(repository: JobRepository) -> None:
    for _ in range(2):
        with repository.alone("sweep") as alone:
            assert alone


def test_pending_tracks_go_stale(repository: JobRepository) -> None:
    repository.add_track(track())
    ready(repository, "u")
    assert repository.stale_uploads(99.9) == []
    assert [found.id for found in repository.stale_uploads(100.0)] == ["t"]


def test_an_idle_track_expires_and_its_song_may_come_again(repository: JobRepository) -> None:
    ready(repository)
    repository.expire_tracks(used_before=2.0)
    assert repository.tracks_to_purge() == []
    repository.expire_tracks(used_before=2.1)
    assert [found.id for found in repository.tracks_to_purge()] == ["t"]
    assert repository.track_by_hash("o", "hash of t") is None
    repository.add_track(track("u"))
    assert repository.confirm_track(track("u", sha256="hash of t"))
    repository.track_purged("t")
    assert repository.track("t") is None


def test_a_track_with_work_to_do_does_not_expire_and_one_with_results_stays_known(repository: JobRepository) -> None:
    ready(repository)
    repository.submit(job(), key=None)
    for claimed in (False, True):
        if claimed:
            claim(repository)
        repository.expire_tracks(used_before=1000.0)
        assert repository.tracks_to_purge() == []
    change(repository, done())
    repository.expire_tracks(used_before=1000.0)
    assert [found.id for found in repository.tracks_to_purge()] == ["t"]
    repository.track_purged("t")
    found = repository.track("t")
    assert found is not None
    assert (found.state, found.key) == (TrackState.EXPIRED, "")
    assert repository.tracks_to_purge() == []
    repository.drop_jobs(0.0, finished_before=1000.0)
    assert [found.id for found in repository.tracks_to_purge()] == ["t"]
    repository.track_purged("t")
    assert repository.track("t") is None


def test_a_remote_track_goes_with_its_last_job(repository: JobRepository) -> None:
    link = track(state=TrackState.REMOTE, key="", source="http", source_url="https://a/b.wav")
    repository.submit(job(), key=None, track=link)
    repository.expire_tracks(1000.0)
    assert repository.tracks_to_purge() == []  # the job waits
    change(repository, CancelAsked())
    repository.expire_tracks(1000.0)
    repository.drop_jobs(0.0, finished_before=1000.0)
    assert [found.id for found in repository.tracks_to_purge()] == ["t"]
    repository.track_purged("t")
    assert repository.track("t") is None


def test_what_a_queued_or_running_job_takes_in_stays(repository: JobRepository) -> None:
    ready(repository)
    ready(repository, "u")
    repository.submit(job("source"), key=None)
    assert claim(repository) is not None
    change(repository, done(job_id="source"), job_id="source")
    inputs = (TrackInput(track_id="t"), TrackInput(track_id="u"), ArtifactInput(job_id="source", name="a"))
    repository.submit(job("taking", inputs=inputs), key=None)
    for _ in ("queued", "running"):
        assert repository.drop_jobs(1e9, finished_before=1e9) == []
        repository.expire_tracks(1e9)
        assert repository.tracks_to_purge() == []
        claim(repository)
    change(repository, CancelAsked(), job_id="taking")
    assert set(repository.drop_jobs(1e9, finished_before=1e9)) == {"source", "taking"}
    repository.expire_tracks(1e9)
    assert {each.id for each in repository.tracks_to_purge()} == {"t", "u"}


def test_a_transient_track_goes_with_the_last_of_its_jobs(repository: JobRepository) -> None:
    ready(repository, "t", transient=True)
    ready(repository, "u", transient=True)
    ready(repository, "v")
    repository.submit(job(), key=None)
    change(repository, CancelAsked(), now=50.0)
    repository.expire_tracks(0.0, transient_before=2.0)  # not used since: at 2.0 all of them were
    assert repository.tracks_to_purge() == []
    repository.expire_tracks(0.0, transient_before=60.0)
    assert [found.id for found in repository.tracks_to_purge()] == ["u"]  # the others have a job, or stay anyway
    assert repository.drop_jobs(0.0, finished_before=60.0) == ["j"]
    repository.expire_tracks(0.0, transient_before=60.0)
    assert {found.id for found in repository.tracks_to_purge()} == {"t", "u"}


def test_a_job_with_an_expiry_of_its_own_goes_by_that_alone(repository: JobRepository) -> None:
    ready(repository)
    repository.submit(job(options=JobOptions(dialect="studio", keep_seconds=100.0)), key=None)
    change(repository, CancelAsked(), now=50.0)
    repository.drop_jobs(149.0, finished_before=1000.0)
    assert repository.job("j") is not None
    change(repository, Expire(at=120.0))
    repository.drop_jobs(120.0, finished_before=0.0)
    assert repository.job("j") is None


def test_ended_attempts_are_to_be_cleaned_but_the_winning_one(repository: JobRepository) -> None:
    ready(repository)
    repository.submit(job(), key=None)
    claim(repository)
    assert repository.attempts_to_clean() == []
    change(repository, WorkerLost(worker="w"))
    claim(repository, now=50.0)
    change(repository, done(2), now=60.0)
    (lost,) = repository.attempts_to_clean()
    assert (lost.number, lost.outcome, lost.worker, lost.writable_until) == (1, Outcome.LOST, "w", 120.0)
    assert lost.prefix == "outputs/t/m/v/j-1/"
    assert lost.ended_at is not None
    repository.attempt_cleaned(lost)
    assert repository.attempts_to_clean() == []
    repository.drop_jobs(0.0, finished_before=60.0)
    assert repository.job("j") is not None
    repository.drop_jobs(0.0, finished_before=60.1)
    assert repository.job("j") is None
    assert [(each.number, each.outcome) for each in repository.attempts_to_clean()] == [(2, Outcome.EXPIRED)]


def test_metadata_is_due_after_a_completion_until_written(repository: JobRepository) -> None:
    ready(repository)
    repository.submit(job("j"), key=None)
    repository.submit(job("k"), key=None)
    assert repository.metadata_due() == []
    claim(repository)
    change(repository, done())
    (first,) = repository.metadata_due()
    claim(repository)
    change(repository, done(job_id="k"), job_id="k")
    repository.metadata_written(first)  # as of before the second completion
    (second,) = repository.metadata_due()
    repository.metadata_written(second)
    assert repository.metadata_due() == []
    repository.metadata_written(first)  # a late one takes nothing back
    assert repository.metadata_due() == []


def test_what_decoding_showed_is_filled_in(repository: JobRepository) -> None:
    ready(repository)
    repository.describe_track("t", duration=2.5, sample_rate=None)
    repository.describe_track("t", duration=None, sample_rate=44100)
    repository.describe_track("t", duration=None, sample_rate=None, filename="A title")
    found = repository.track("t")
    assert found is not None
    assert (found.duration, found.sample_rate) == (2.5, 44100)
