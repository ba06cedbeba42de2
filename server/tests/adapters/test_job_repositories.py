"""The contract of the job repository, over every adapter."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from backing import Postgres
from sqlalchemy import make_url

from stemwright_server.adapters.jobs.memory import MemoryJobRepository
from stemwright_server.adapters.jobs.postgres import DatabaseClock, postgres_engine
from stemwright_server.adapters.jobs.sql import SqlJobRepository
from stemwright_server.adapters.jobs.sqlite import sqlite_engine
from stemwright_server.domain.delivery import Backoff, Delivery, DeliveryState, Result, delivery_of, settle
from stemwright_server.domain.inputs import ArtifactInput, TrackInput
from stemwright_server.domain.job import Job, JobOptions, JobState, Outcome, Sharing, Webhook
from stemwright_server.domain.lifecycle import (
    CancelAsked,
    Claimed,
    Event,
    Expire,
    LeaseExpired,
    Policy,
    Transition,
    WorkerLost,
    advance,
)
from stemwright_server.domain.track import Track, TrackState
from stemwright_server.domain.worker import AnnouncedService, SeenWorker
from stemwright_server.ports.jobs import IdempotencyKey, JobRepository, Submission, Waiting
from stemwright_worker.contract.description import ModelDescription, ServiceDescription
from stemwright_worker.contract.service import OutputSpec, Progress
from stemwright_worker.contract.tasks import Completed, Failed, Progressed, UploadedFile
from stemwright_worker.errors import Gone, InvalidRequest, NotFound, SongExists, Unavailable

POLICY = Policy(lease_seconds=60.0, max_attempts=3, retry_seconds=2.0)
Repository = JobRepository


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Repository]:
    if request.param == "memory":
        yield MemoryJobRepository()
        return
    if request.param == "sqlite":
        engine = sqlite_engine(tmp_path / "jobs.db")
    else:
        engine = postgres_engine(make_url(request.getfixturevalue("postgres").database()), pool=10)
    found = SqlJobRepository(engine)
    yield found
    found.close()


def track(name: str = "t", **changes: Any) -> Track:
    new = Track(
        id=name,
        owner="o",
        filename="a 'song' é.wav",
        key=f"uploads/{name}",
        created_at=1.0,
        upload_until=100.0,
        request_id="r",
        declared_size=5,
        used_at=1.0,
    )
    return replace(new, **changes)


def ready(repository: Repository, name: str = "t", **changes: Any) -> Track:
    new = track(name)
    repository.add_track(new)
    confirmed = replace(
        new, state=TrackState.READY, size=5, sha256=f"hash of {name}", media_type="audio/wav", used_at=2.0, **changes
    )
    assert repository.confirm_track(confirmed)
    return confirmed


def job(name: str = "j", *, track_id: str = "t", **changes: Any) -> Job:
    new = Job(
        id=name,
        inputs=(TrackInput(track_id=track_id),),
        owner="o",
        service="m",
        model="v",
        params={"overlap": 0.25, "stems": ["a"], "none": None},
        outputs=(OutputSpec(name="a", filename="a.wav", content_type="audio/wav"),),
        work_key=f"work of {name}",
        created_at=10.0,
        available_at=10.0,
        request_id="r",
        options=JobOptions(dialect="studio"),
    )
    return replace(new, **changes)


def claim(
    repository: Repository, now: float = 20.0, worker: str = "w", services: tuple[str, ...] = ("m",)
) -> Job | None:
    return repository.claim(
        worker=worker, services=services, now=now, lease_until=now + 60.0, writable_until=now + 100.0
    )


def change(repository: Repository, event: Event, *, now: float = 30.0, job_id: str = "j") -> Transition:
    found = repository.change(job_id, lambda job: advance(job, event, now=now, policy=POLICY))
    assert found is not None
    return found


def done(attempt: int = 1, job_id: str = "j") -> Completed:
    files = (UploadedFile(name="a", size=3, sha256="0" * 64, duration=1.5),)
    return Completed(job_id=job_id, attempt=attempt, files=files, report={"sum_db": -100.5, "list": [1]})


# Tracks


def test_a_track_is_found_as_it_was_added(repository: Repository) -> None:
    repository.add_track(track())
    assert repository.track("t") == track()
    assert repository.track("u") is None
    assert repository.track_by_hash("o", "hash of t") is None


def test_a_confirmed_track_is_found_by_its_hash_and_owner(repository: Repository) -> None:
    confirmed = ready(repository)
    assert repository.track("t") == confirmed
    assert repository.track_by_hash("o", "hash of t") == confirmed
    assert repository.track_by_hash("p", "hash of t") is None


def test_a_track_is_confirmed_once(repository: Repository) -> None:
    confirmed = ready(repository)
    assert not repository.confirm_track(replace(confirmed, size=6))
    assert repository.track("t") == confirmed
    assert not repository.confirm_track(track("never added"))


def test_the_same_bytes_of_one_owner_are_one_track(repository: Repository) -> None:
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


def test_a_track_with_jobs_is_not_dropped(repository: Repository) -> None:
    ready(repository)
    repository.submit(job(), key=None)
    repository.drop_track("t")
    assert repository.track("t") is not None
    repository.add_track(track("u"))
    repository.drop_track("u")
    assert repository.track("u") is None


# Signatures


def test_a_signature_is_new_once_and_again_when_it_is_over(repository: Repository) -> None:
    assert repository.see_signature("sha256=a", key="", now=10.0, until=20.0)
    assert not repository.see_signature("sha256=a", key="", now=11.0, until=21.0)
    assert not repository.see_signature("sha256=a", key="k", now=20.0, until=30.0)
    assert repository.see_signature("sha256=b", key="", now=11.0, until=21.0)
    assert repository.see_signature("sha256=a", key="", now=20.1, until=30.0)


def test_a_signature_under_its_own_key_is_a_second_try(repository: Repository) -> None:
    assert repository.see_signature("sha256=a", key="k", now=10.0, until=20.0)
    assert repository.see_signature("sha256=a", key="k", now=11.0, until=21.0)
    assert not repository.see_signature("sha256=a", key="other", now=11.0, until=21.0)
    assert not repository.see_signature("sha256=a", key="", now=11.0, until=21.0)


def test_signatures_are_forgotten_in_time_and_not_before(repository: Repository) -> None:
    repository.see_signature("sha256=a", key="", now=10.0, until=20.0)
    repository.see_signature("sha256=b", key="", now=10.0, until=30.0)
    repository.drop_signatures(25.0)
    assert repository.see_signature("sha256=a", key="", now=15.0, until=20.0)  # as if never seen
    assert not repository.see_signature("sha256=b", key="", now=25.0, until=40.0)


def test_of_many_who_bring_a_signature_at_once_one_is_the_first(repository: Repository) -> None:
    with ThreadPoolExecutor(8) as pool:
        first = pool.map(lambda _: repository.see_signature("sha256=a", key="", now=1.0, until=9.0), range(40))
        assert sum(first) == 1


# Submit


def test_a_job_is_found_as_it_was_submitted(repository: Repository) -> None:
    ready(repository)
    submission = repository.submit(job(), key=None)
    assert (submission.created, submission.job) == (True, job())
    assert repository.job("j") == job()
    assert repository.job("k") is None
    assert repository.jobs_of("t") == [job()]
    found = repository.track("t")
    assert found is not None
    assert found.used_at == 10.0


def test_jobs_of_a_track_come_oldest_first(repository: Repository) -> None:
    ready(repository)
    for name, created in (("b", 12.0), ("a", 11.0), ("c", 11.0)):
        repository.submit(job(name, created_at=created), key=None)
    assert [each.id for each in repository.jobs_of("t")] == ["a", "c", "b"]


def test_a_track_that_is_not_ready_takes_no_job(repository: Repository) -> None:
    with pytest.raises(Gone):
        repository.submit(job(), key=None)
    repository.add_track(track())
    with pytest.raises(Gone):
        repository.submit(job(), key=None)
    assert repository.job("j") is None


def test_equal_work_is_joined_or_found_unless_it_failed(repository: Repository) -> None:
    ready(repository)
    repository.submit(job("j", work_key="same"), key=None)
    again = repository.submit(job("k", work_key="same"), key=None)
    assert (again.created, again.job.id) == (False, "j")
    claim(repository)
    change(repository, done())
    again = repository.submit(job("k", work_key="same"), key=None)
    assert (again.created, again.job.state) == (False, JobState.COMPLETED)


@pytest.mark.parametrize("event", [CancelAsked(), WorkerLost(worker="w")], ids=["canceled", "failed"])
def test_work_that_did_not_get_done_can_be_asked_for_anew(repository: Repository, event: Event) -> None:
    ready(repository)
    repository.submit(job("j", work_key="same", failures=2), key=None)
    claim(repository)
    assert change(repository, event).job.state.final
    assert repository.submit(job("k", work_key="same"), key=None).created


def test_an_idempotency_key_stands_for_its_job(repository: Repository) -> None:
    ready(repository)
    key = IdempotencyKey(owner="o", key="k", fingerprint="f")
    assert repository.submit(job("j"), key=key).created
    again = repository.submit(job("k"), key=key)
    assert (again.created, again.job.id) == (False, "j")
    assert repository.submit(job("l"), key=replace(key, owner="another")).created
    with pytest.raises(InvalidRequest) as caught:
        repository.submit(job("m"), key=replace(key, fingerprint="g"))
    assert caught.value.code == "idempotency_key_reused"
    repository.drop_keys(10.0)
    assert not repository.submit(job("n"), key=key).created
    repository.drop_keys(10.5)
    assert repository.submit(job("n"), key=key).created


def test_a_fingerprint_is_a_hash_for_every_store(repository: Repository) -> None:
    """A store whose columns have no width would take what another refuses."""
    ready(repository)
    longest = IdempotencyKey(owner="o", key="k" * 255, fingerprint=hashlib.sha256(b"request").hexdigest())
    assert repository.submit(job("j"), key=longest).created
    with pytest.raises(ValueError, match="a hash is meant"):
        replace(longest, fingerprint=f"{longest.fingerprint}0")


def test_many_submits_at_once_with_one_key_make_one_job(repository: Repository) -> None:
    ready(repository)
    key = IdempotencyKey(owner="o", key="k", fingerprint="f")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: repository.submit(job(f"j{number}"), key=key), range(40)))
    assert sum(submission.created for submission in found) == 1
    assert len({submission.job.id for submission in found}) == 1


# Claim


def test_a_claim_does_what_advance_does(repository: Repository) -> None:
    ready(repository)
    repository.submit(job(), key=None)
    expected = advance(job(), Claimed(worker="w"), now=20.0, policy=POLICY).job
    assert claim(repository) == expected
    assert repository.job("j") == expected
    # And so for a second attempt.
    requeued = change(repository, WorkerLost(worker="w")).job
    expected = advance(requeued, Claimed(worker="x"), now=40.0, policy=POLICY).job
    assert claim(repository, now=40.0, worker="x") == expected


def test_the_oldest_available_job_of_a_known_model_is_claimed(repository: Repository) -> None:
    ready(repository)
    for name, created, available, service in (
        ("late", 11.0, 11.0, "m"),
        ("waiting", 9.0, 50.0, "m"),
        ("other", 8.0, 8.0, "n"),
        ("first", 10.0, 10.0, "m"),
    ):
        repository.submit(job(name, created_at=created, available_at=available, service=service), key=None)
    assert [found.id for found in iter(lambda: claim(repository), None)] == ["first", "late"]
    assert claim(repository, services=()) is None
    assert (found := claim(repository, now=50.0)) is not None
    assert found.id == "waiting"


def test_no_job_is_handed_out_twice(repository: Repository) -> None:
    ready(repository)
    for number in range(30):
        repository.submit(job(f"j{number}"), key=None)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: claim(repository, worker=f"w{number}"), range(40)))
    claimed = [each.id for each in found if each is not None]
    assert len(claimed) == len(set(claimed)) == 30


# Change


def test_a_change_is_kept_whole(repository: Repository) -> None:
    ready(repository)
    repository.submit(job(), key=None)
    claim(repository)
    progress = Progress(done=1, total=3, stage="separating", message="é", eta_seconds=1.5)
    for event in (Progressed(job_id="j", attempt=1, progress=progress), done()):
        transition = change(repository, event)
        assert transition.accepted
        assert repository.job("j") == transition.job
    assert repository.change("none", lambda job: Transition(job=job, accepted=True)) is None


def test_an_error_is_kept_and_forgotten(repository: Repository) -> None:
    ready(repository)
    repository.submit(job(), key=None)
    claim(repository)
    lost = change(repository, WorkerLost(worker="w")).job
    assert lost.error is not None
    assert repository.job("j") == lost
    claim(repository, now=50.0)
    change(repository, done(2))
    found = repository.job("j")
    assert found is not None
    assert found.error is None


def test_changes_at_once_do_not_lose_one_another(repository: Repository) -> None:
    ready(repository)
    repository.submit(job(), key=None)
    claim(repository)

    def progress(number: int) -> None:
        change(
            repository, Progressed(job_id="j", attempt=1, progress=Progress(done=number, total=50, stage="separating"))
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(progress, range(50)))
    found = repository.job("j")
    assert found is not None
    assert found.revision == 51


def test_one_of_many_completions_wins(repository: Repository) -> None:
    ready(repository)
    repository.submit(job(), key=None)
    claim(repository)
    events: list[Event] = [done(), CancelAsked(), WorkerLost(worker="w"), done(), CancelAsked()] * 4
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda event: change(repository, event), events))
    assert sum(transition.outcome is not None for transition in found) == 1


def test_counts_and_running_tell_the_states(repository: Repository) -> None:
    ready(repository)
    for name in ("j", "k", "l"):
        repository.submit(job(name), key=None)
    claim(repository, now=20.0, worker="local-1")
    claim(repository, now=30.0, worker="loc%-2")
    change(repository, CancelAsked(), job_id="l")
    counts = repository.counts()
    assert counts == dict.fromkeys(JobState, 0) | {JobState.RUNNING: 2, JobState.CANCELED: 1}
    assert {found.id for found in repository.running()} == {"j", "k"}
    assert [found.id for found in repository.running(worker_prefix="local-")] == ["j"]
    assert [found.id for found in repository.running(worker_prefix="loc%")] == ["k"]
    assert [found.id for found in repository.running(lease_before=80.0)] == ["j"]
    assert repository.running(lease_before=79.9) == []


def test_those_wait_that_could_be_claimed_now_the_most_urgent_first(repository: Repository) -> None:
    ready(repository)
    assert repository.waiting(99.0, limit=9) == []
    for name, available, priority in (("later", 50.0, 9), ("plain", 10.0, 5), ("urgent", 10.0, 8)):
        repository.submit(
            job(name, available_at=available, options=JobOptions(dialect="studio", priority=priority)), key=None
        )
    urgent, plain = (
        Waiting(job_id=name, service="m", priority=number) for name, number in (("urgent", 8), ("plain", 5))
    )
    assert repository.waiting(49.9, limit=9) == [urgent, plain]
    assert repository.waiting(49.9, limit=1) == [urgent]
    assert repository.waiting(50.0, limit=9)[0].job_id == "later"
    claim(repository)
    assert repository.waiting(49.9, limit=9) == [plain]


# Workers


def test_workers_are_known_as_they_were_seen_last_until_they_go(repository: Repository) -> None:
    first = SeenWorker(worker="a_1", device="cuda:0", services=("m", "n"), seen_at=1.5)
    second = replace(first, worker="ab2", services=())
    repository.see_worker(second)
    repository.see_worker(first)
    assert repository.seen_workers() == [first, second]
    repository.see_worker(replace(first, seen_at=3.0, device="cpu"))
    assert repository.seen_workers() == [replace(first, seen_at=3.0, device="cpu"), second]
    repository.forget_workers("a_")  # no pattern
    assert repository.seen_workers() == [second]


# Upkeep


def test_pending_tracks_go_stale(repository: Repository) -> None:
    repository.add_track(track())
    ready(repository, "u")
    assert repository.stale_uploads(99.9) == []
    assert [found.id for found in repository.stale_uploads(100.0)] == ["t"]


def test_an_idle_track_expires_and_its_song_may_come_again(repository: Repository) -> None:
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


def test_a_track_with_work_to_do_does_not_expire_and_one_with_results_stays_known(repository: Repository) -> None:
    ready(repository)
    repository.submit(job(), key=None)
    for step in (lambda: None, lambda: claim(repository)):
        step()
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


def test_ended_attempts_are_to_be_cleaned_but_the_winning_one(repository: Repository) -> None:
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


def test_metadata_is_due_after_a_completion_until_written(repository: Repository) -> None:
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


def test_what_decoding_showed_is_filled_in(repository: Repository) -> None:
    ready(repository)
    repository.describe_track("t", duration=2.5, sample_rate=None)
    repository.describe_track("t", duration=None, sample_rate=44100)
    repository.describe_track("t", duration=None, sample_rate=None, filename="A title")
    found = repository.track("t")
    assert found is not None
    assert (found.duration, found.sample_rate) == (2.5, 44100)


def test_one_sweeps_and_then_another(repository: Repository) -> None:
    for _ in range(2):
        with repository.alone() as alone:
            assert alone


# SQL only


def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    first = SqlJobRepository(sqlite_engine(tmp_path / "jobs.db"))
    ready(first)
    first.submit(job(), key=None)
    taken = claim(first)
    first.close()
    second = SqlJobRepository(sqlite_engine(tmp_path / "jobs.db"))
    assert second.job("j") == taken
    second.close()


# What a caller may ask beside the work


def test_a_higher_priority_is_claimed_first(repository: Repository) -> None:
    ready(repository)
    for name, created, priority in (("low", 10.0, 1), ("old", 11.0, 5), ("new", 12.0, 5), ("high", 13.0, 9)):
        repository.submit(
            job(name, created_at=created, options=JobOptions(dialect="studio", priority=priority)), key=None
        )
    claimed = [claim(repository) for _ in range(4)]
    assert [found.id for found in claimed if found] == ["high", "old", "new", "low"]


@pytest.mark.parametrize("sharing", ["join", "copy", "never"])
def test_options_are_kept_as_they_were(repository: Repository, sharing: Sharing) -> None:
    ready(repository)
    options = JobOptions(
        dialect="split",
        sharing=sharing,
        keep_seconds=5.0,
        webhook=Webhook(url="https://a/b", kind="split"),
        upload_urls={"a": "https://c/d?signature=e"},
        labels={"versionId": "v", "list": [1, None]},
        correlation_id="c",
        traceparent="00-1-2-01",
    )
    repository.submit(job(options=options), key=None)
    found = repository.job("j")
    assert found is not None
    assert found.options == options


def test_inputs_are_kept_as_they_were(repository: Repository) -> None:
    ready(repository)
    ready(repository, "u")
    repository.submit(job("source"), key=None)
    assert claim(repository) is not None
    change(repository, done(job_id="source"), job_id="source")
    made = ArtifactInput(job_id="source", name="a")
    for name, inputs, track_id in (
        ("none", (), ""),
        ("two", (made, TrackInput(track_id="u")), "u"),
        ("made", (made,), ""),
    ):
        assert repository.submit(job(name, inputs=inputs), key=None).created
        found = repository.job(name)
        assert found is not None
        assert (found.inputs, found.track_id) == (inputs, track_id)
    assert [each.id for each in repository.jobs_of("u")] == ["two"]


def test_what_a_queued_or_running_job_takes_in_stays(repository: Repository) -> None:
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


def test_inputs_that_are_gone_are_said(repository: Repository) -> None:
    ready(repository)
    for inputs in (
        (TrackInput(track_id="t"), TrackInput(track_id="missing")),
        (ArtifactInput(job_id="missing", name="a"),),
    ):
        with pytest.raises(Gone, match="missing"):
            repository.submit(job(inputs=inputs), key=None)
    repository.submit(job("waiting"), key=None)
    with pytest.raises(Gone, match="waiting"):
        repository.submit(job(inputs=(ArtifactInput(job_id="waiting", name="a"),)), key=None)


def test_many_submits_of_work_without_an_input_are_one_job(repository: Repository) -> None:
    def submit(number: int) -> Submission:
        return repository.submit(job(f"j{number}", inputs=(), work_key="same"), key=None)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(submit, range(24)))
    assert len({each.job.id for each in found}) == 1
    assert sum(each.created for each in found) == 1


def test_what_a_service_offers_is_kept_and_the_last_word_holds(repository: Repository) -> None:
    model = ModelDescription(name="v", description="d", licence="MIT", params={"properties": {"a": {"default": None}}})
    first = AnnouncedService(
        description=ServiceDescription(name="m", version="1", models=(model,)),
        described="hash",
        announced_at=1.0,
        worker="w",
    )
    other = replace(first, description=ServiceDescription(name="a", version="1"))
    newer = replace(first, described="other hash", announced_at=2.0)
    for each in (first, other, newer):
        repository.keep_service(each)
    assert list(repository.services()) == [other, newer]


def test_a_remote_track_comes_with_its_job(repository: Repository) -> None:
    key = IdempotencyKey(owner="o", key="k", fingerprint="f")
    link = track(state=TrackState.REMOTE, key="", source="http", source_url="https://a/b.wav")
    assert repository.submit(job(), key=key, track=link).created
    assert repository.track("t") == replace(link, used_at=10.0)
    again = repository.submit(job("k", track_id="u"), key=key, track=replace(link, id="u"))
    assert (again.job.id, again.created) == ("j", False)
    assert repository.track("u") is None  # nothing is left of a request that was known already


def test_many_links_at_once_with_one_key_make_one_job_and_one_track(repository: Repository) -> None:
    """Each comes with a track of its own: they have nothing in common to wait for but the key."""
    key = IdempotencyKey(owner="o", key="k", fingerprint="f")

    def submit(number: int) -> Submission:
        link = track(f"t{number}", state=TrackState.REMOTE, key="", source="http", source_url="https://a/b.wav")
        return repository.submit(job(f"j{number}", track_id=link.id), key=key, track=link)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(submit, range(40)))
    (answer,) = {submission.job.id for submission in found}
    assert sum(submission.created for submission in found) == 1
    left = [number for number in range(40) if repository.track(f"t{number}") is not None]
    assert [f"j{number}" for number in left] == [answer]


def test_a_worker_for_urgent_work_takes_no_other(repository: Repository) -> None:
    ready(repository)
    repository.submit(job(options=JobOptions(dialect="studio", priority=5)), key=None)
    asked: dict[str, Any] = {
        "worker": "w",
        "services": ("m",),
        "now": 20.0,
        "lease_until": 80.0,
        "writable_until": 99.0,
    }
    assert repository.claim(**asked, least_priority=6) is None
    assert repository.claim(**asked, least_priority=5) is not None


def test_a_remote_track_goes_with_its_last_job(repository: Repository) -> None:
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


def test_a_job_with_an_expiry_of_its_own_goes_by_that_alone(repository: Repository) -> None:
    ready(repository)
    repository.submit(job(options=JobOptions(dialect="studio", keep_seconds=100.0)), key=None)
    change(repository, CancelAsked(), now=50.0)
    repository.drop_jobs(149.0, finished_before=1000.0)
    assert repository.job("j") is not None
    change(repository, Expire(at=120.0))
    repository.drop_jobs(120.0, finished_before=0.0)
    assert repository.job("j") is None


def test_a_transient_track_goes_with_the_last_of_its_jobs(repository: Repository) -> None:
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


def test_the_history_is_of_one_caller_and_dialect_newest_first(repository: Repository) -> None:
    ready(repository)
    mine = JobOptions(dialect="webserver")
    for number in range(4):
        repository.submit(job(f"j{number}", options=mine, created_at=10.0 + number), key=None)
    repository.submit(job("other", options=mine, owner="somebody"), key=None)
    repository.submit(job("elsewhere"), key=None)

    def found(**more: Any) -> list[str]:
        return [each.id for each in repository.history("o", "webserver", **more)]

    assert found(limit=10) == ["j3", "j2", "j1", "j0"]
    assert found(limit=2) == ["j3", "j2"]
    assert found(limit=2, before=12.0) == ["j1", "j0"]


def test_a_queued_job_knows_how_many_are_before_it(repository: Repository) -> None:
    ready(repository)
    jobs = {
        "late": job("late", created_at=12.0),
        "urgent": job("urgent", created_at=14.0, options=JobOptions(dialect="studio", priority=9)),
        "early": job("early", created_at=11.0),
        "twin": job("twin", created_at=12.0),
    }
    for each in jobs.values():
        repository.submit(each, key=None)
    assert {name: repository.ahead(each) for name, each in jobs.items()} == {
        "urgent": 0,
        "early": 1,
        "late": 2,
        "twin": 3,
    }
    order = [claimed.id for _ in jobs if (claimed := claim(repository)) is not None]
    assert order == ["urgent", "early", "late", "twin"]
    assert repository.ahead(jobs["twin"]) == 0


def test_one_certain_job_can_be_claimed(repository: Repository) -> None:
    ready(repository)
    repository.submit(job("j", created_at=10.0), key=None)
    repository.submit(job("k", created_at=11.0), key=None)
    times = {"now": 20.0, "lease_until": 80.0, "writable_until": 20.0}
    claimed = repository.claim(worker="w", services=("m",), job_id="k", **times)
    assert claimed is not None
    assert (claimed.id, claimed.state) == ("k", JobState.RUNNING)
    assert repository.claim(worker="w", services=("m",), job_id="k", **times) is None
    assert repository.claim(worker="w", services=("n",), job_id="j", **times) is None


# Sums that outlive their jobs


def test_what_became_of_jobs_is_counted_for_ever(repository: Repository) -> None:
    ready(repository)
    for name in ("j", "k"):
        repository.submit(job(name), key=None)
    stages = {"loading": 2.0, "separating": 5.0, "odd stage": 1.0}
    taken = claim(repository)
    assert taken is not None
    finished = replace(done(job_id=taken.id), report={"device": "cuda:1", "stage_seconds": stages})
    change(repository, finished, job_id=taken.id)
    change(repository, finished, job_id=taken.id)  # its first answer was lost
    change(repository, CancelAsked(), job_id="k" if taken.id == "j" else "j")
    repository.drop_jobs(1e9, finished_before=1e9)
    found = {
        (name, *(value for _, value in labels)): amount for (name, labels), amount in repository.counters().items()
    }
    assert found == {
        ("jobs", "studio", "v", "m", "completed"): 1.0,
        ("jobs", "studio", "v", "m", "canceled"): 1.0,
        ("processing_seconds", "10", "v", "m"): 1.0,
        ("processing_seconds_sum", "cuda", "v", "m"): 8.0,
        ("loading_seconds_sum", "cuda", "v", "m"): 2.0,
        ("audio_seconds_sum", "cuda", "v", "m"): 1.5,
        ("stage_seconds_sum", "loading"): 2.0,
        ("stage_seconds_sum", "separating"): 5.0,
        ("stage_seconds_sum", "other"): 1.0,
        ("stage_seconds_count", "loading"): 1.0,
        ("stage_seconds_count", "separating"): 1.0,
        ("stage_seconds_count", "other"): 1.0,
    }


def test_failed_attempts_are_counted_by_code(repository: Repository) -> None:
    ready(repository)
    repository.submit(job(), key=None)
    now = 20.0
    for event in (
        WorkerLost(worker="w"),
        Failed(job_id="j", attempt=2, code="Not plain!", message="", retryable=False),
    ):
        assert claim(repository, now) is not None
        change(repository, event, now=now)
        now += 100.0
    found = {
        (name, *(value for _, value in labels)): amount for (name, labels), amount in repository.counters().items()
    }
    assert found == {
        ("errors", "worker_lost"): 1.0,
        ("errors", "other"): 1.0,
        ("jobs", "studio", "v", "m", "failed"): 1.0,
    }


# PostgreSQL only


@pytest.fixture
def two(postgres: Postgres) -> Iterator[tuple[SqlJobRepository, SqlJobRepository]]:
    """Two API processes over one database, as far as the database can tell. Opened at the same moment."""
    url = make_url(postgres.database())
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: SqlJobRepository(postgres_engine(url, pool=10)), range(2))
    yield first, second
    first.close()
    second.close()


def test_only_one_process_sweeps_at_a_time(two: tuple[SqlJobRepository, SqlJobRepository]) -> None:
    first, second = two
    with first.alone() as mine:
        assert mine
        with second.alone() as theirs:
            assert not theirs
    with second.alone() as theirs:
        assert theirs


def test_what_one_process_submits_another_hands_out_once(two: tuple[SqlJobRepository, SqlJobRepository]) -> None:
    ready(two[0])
    for number in range(20):
        two[number % 2].submit(job(f"j{number}"), key=None)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: claim(two[number % 2], worker=f"w{number}"), range(30)))
    claimed = [each.id for each in found if each is not None]
    assert len(claimed) == len(set(claimed)) == 20


def test_a_database_that_was_restarted_is_found_again(postgres: Postgres) -> None:
    repository = SqlJobRepository(postgres_engine(make_url(postgres.database()), pool=10))
    ready(repository)
    postgres.stop()
    with pytest.raises(Unavailable) as caught:
        repository.submit(job(), key=None)
    assert (caught.value.code, caught.value.retryable) == ("database_unreachable", True)
    with pytest.raises(Unavailable), repository.alone():
        pass
    postgres.start()
    assert repository.submit(job(), key=None).created
    repository.close()


def test_a_text_that_the_database_cannot_hold_is_the_callers_fault(postgres: Postgres) -> None:
    repository = SqlJobRepository(postgres_engine(make_url(postgres.database()), pool=10))
    for filename in ("a\0b.wav", "a" * 256):
        with pytest.raises(InvalidRequest):
            repository.add_track(track(filename=filename))
    repository.close()


def test_the_clock_is_the_databases(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = SqlJobRepository(postgres_engine(make_url(postgres.database()), pool=10))
    right = time.time()
    monkeypatch.setattr(time, "time", lambda: 5.0)  # a machine whose clock is wrong
    assert abs(DatabaseClock(repository.time)() - right) < 5.0
    repository.close()


def test_the_clock_goes_on_while_the_database_is_away() -> None:
    answers = iter([1000.0])

    def ask() -> float:
        for answer in answers:
            return answer
        raise Unavailable("away")

    clock = DatabaseClock(ask, every=0.0)
    assert 1000.0 <= clock() < 1030.0
    first = clock()
    assert first < clock() < 1030.0


# Webhooks

HOOK = JobOptions(dialect="split", webhook=Webhook(url="https://a/hook", kind="split"), correlation_id="c")


def ended(repository: Repository, name: str = "j", *, now: float = 30.0) -> Delivery:
    """The webhook of a job that was canceled."""
    if repository.track("t") is None:
        ready(repository)
    repository.submit(job(name, options=HOOK), key=None)
    change(repository, CancelAsked(), now=now, job_id=name)
    found = repository.delivery(f"msg_{name}")
    assert found is not None
    return found


def lease(repository: Repository, now: float = 40.0, *, limit: int = 10, until: float = 60.0) -> list[Delivery]:
    return list(repository.lease_deliveries(now=now, lease_until=until, limit=limit))


def settled(repository: Repository, delivery: Delivery, now: float = 45.0, **result: Any) -> Delivery:
    after = settle(delivery, Result(**result), now=now, backoff=Backoff(tries=3, first=10.0), chance=0.0)
    assert repository.settle_delivery(after)
    found = repository.delivery(delivery.id)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("event", "claimed"),
    [
        (CancelAsked(), False),
        (CancelAsked(), True),
        (done(), True),
        (Failed(job_id="j", attempt=1, code="c", message="m", retryable=False), True),
        (WorkerLost(worker="w"), True),
        (LeaseExpired(), True),
    ],
    ids=["canceled waiting", "canceled", "completed", "failed", "attempts exhausted", "lease lost"],
)
def test_whatever_ends_a_job_adds_its_webhook_in_the_same_transaction(
    repository: Repository, event: Event, claimed: bool
) -> None:
    ready(repository)
    repository.submit(job(failures=2, options=HOOK), key=None)
    if claimed:
        claim(repository)
    assert repository.deliveries() == []
    after = change(repository, event, now=100.0)
    assert after.job.state.final
    (delivery,) = repository.deliveries()
    assert delivery == delivery_of(after.job)
    assert (delivery.url, delivery.kind, delivery.correlation_id, delivery.due_at) == (
        "https://a/hook",
        "split",
        "c",
        100.0,
    )
    change(repository, event, now=101.0)
    change(repository, Expire(at=500.0), now=102.0)
    assert repository.deliveries() == [delivery]
    assert repository.count_deliveries() == {
        DeliveryState.PENDING: 1,
        DeliveryState.DELIVERED: 0,
        DeliveryState.DEAD: 0,
    }


def test_a_job_that_goes_on_or_wants_none_has_no_webhook(repository: Repository) -> None:
    ready(repository)
    repository.submit(job(options=HOOK), key=None)
    claim(repository)
    change(repository, WorkerLost(worker="w"))
    repository.submit(job("k"), key=None)
    change(repository, CancelAsked(), job_id="k")
    assert repository.deliveries() == []


def test_a_transaction_that_fails_leaves_neither_the_end_nor_its_webhook(repository: Repository) -> None:
    ready(repository)
    repository.submit(job(options=HOOK), key=None)

    def step(job: Job) -> Transition:
        advance(job, CancelAsked(), now=30.0, policy=POLICY)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        repository.change("j", step)
    assert repository.deliveries() == []
    found = repository.job("j")
    assert found is not None
    assert not found.state.final


def test_due_webhooks_are_leased_to_one_until_the_lease_is_over(repository: Repository) -> None:
    first, second = ended(repository, "j", now=31.0), ended(repository, "k", now=30.0)
    assert lease(repository, now=29.0) == []
    (taken,) = lease(repository, limit=1)
    assert taken == replace(second, tries=1, lease_until=60.0, revision=1)
    assert [each.id for each in lease(repository)] == [first.id]
    assert lease(repository) == []
    assert [each.tries for each in lease(repository, now=60.0, until=80.0)] == [2, 2]


def test_many_who_lease_at_once_get_each_webhook_once(repository: Repository) -> None:
    names = [f"j{number}" for number in range(12)]
    for name in names:
        ended(repository, name)
    with ThreadPoolExecutor(6) as pool:
        leased = [each.job_id for found in pool.map(lambda _: lease(repository, limit=3), range(12)) for each in found]
    assert sorted(leased) == sorted(names)


def test_the_first_body_is_kept_and_is_the_one_that_is_sent(repository: Repository) -> None:
    delivery = ended(repository)
    assert repository.keep_body(delivery.id, "é".encode()) == "é".encode()
    assert repository.keep_body(delivery.id, b"another") == "é".encode()
    (taken,) = lease(repository)
    assert taken.body == "é".encode()
    assert settled(repository, taken, status=500).body == "é".encode()
    with pytest.raises(NotFound):
        repository.keep_body("msg_none", b"")


def test_a_delivered_webhook_is_not_sent_again(repository: Repository) -> None:
    ended(repository)
    (taken,) = lease(repository)
    after = settled(repository, taken, status=204)
    assert (after.state, after.status, after.ended_at) == (DeliveryState.DELIVERED, 204, 45.0)
    assert lease(repository, now=1e9) == []


def test_a_failed_one_waits_and_dies_in_the_end(repository: Repository) -> None:
    ended(repository)
    (taken,) = lease(repository)
    after = settled(repository, taken, status=500, error="no")
    assert (after.state, after.due_at, after.error, after.lease_until) == (DeliveryState.PENDING, 55.0, "no", None)
    assert lease(repository, now=54.9) == []
    for now in (55.0, 1000.0):
        (taken,) = lease(repository, now=now, until=now + 20.0)
        after = settled(repository, taken, now, error="no answer")
    assert (after.state, after.tries, after.status) == (DeliveryState.DEAD, 3, None)
    assert repository.deliveries(state=DeliveryState.DEAD) == [after]
    assert lease(repository, now=1e9) == []


def test_what_an_overtaken_sender_says_changes_nothing(repository: Repository) -> None:
    ended(repository)
    (slow,) = lease(repository)
    (quick,) = lease(repository, now=60.0, until=80.0)
    after = settled(repository, quick, 61.0, status=200)
    late = settle(slow, Result(status=500), now=62.0, backoff=Backoff(), chance=0.0)
    assert not repository.settle_delivery(late)
    assert repository.delivery(quick.id) == after


def test_a_replayed_one_is_sent_again_as_it_was(repository: Repository) -> None:
    delivery = ended(repository)
    assert not repository.replay_delivery(delivery.id, 40.0)  # it is under way
    assert not repository.replay_delivery("msg_none", 40.0)
    repository.keep_body(delivery.id, b"body")
    (taken,) = lease(repository)
    settled(repository, taken, status=410)
    assert repository.replay_delivery(delivery.id, 70.0)
    (again,) = lease(repository, now=70.0, until=90.0)
    assert (again.id, again.body, again.tries, again.state) == (delivery.id, b"body", 1, DeliveryState.PENDING)


def test_a_job_goes_with_its_files_in_time_and_its_webhook_is_sent_all_the_same(repository: Repository) -> None:
    ready(repository)
    repository.submit(job(options=replace(HOOK, keep_seconds=100.0)), key=None)
    claim(repository)
    change(repository, done(), now=30.0)
    assert repository.drop_jobs(130.0, finished_before=0.0) == []  # the webhook's body is still to be made from it
    repository.keep_body("msg_j", b"body")
    assert repository.drop_jobs(129.0, finished_before=0.0) == []
    assert repository.drop_jobs(130.0, finished_before=0.0) == ["j"]
    assert repository.job("j") is None
    assert [each.outcome for each in repository.attempts_to_clean()] == [Outcome.EXPIRED]
    (taken,) = lease(repository)
    settled(repository, taken, status=500)
    repository.drop_jobs(1000.0, finished_before=1000.0)
    (taken,) = lease(repository, now=1000.0, until=1020.0)
    assert (taken.body, taken.tries) == (b"body", 2)
    settled(repository, taken, 1001.0, status=200)
    repository.drop_jobs(1002.0, finished_before=1001.5)
    assert repository.deliveries() == []


def test_a_dead_letter_holds_no_job_and_may_be_replayed_for_as_long_as_others_are_kept(repository: Repository) -> None:
    delivery = ended(repository)
    repository.keep_body(delivery.id, b"body")
    (taken,) = lease(repository)
    letter = settled(repository, taken, 950.0, status=410)
    assert repository.drop_jobs(1000.0, finished_before=949.0) == ["j"]
    assert repository.deliveries() == [letter]
    assert repository.replay_delivery(letter.id, 1000.0)
    (taken,) = lease(repository, now=1000.0, until=1020.0)
    settled(repository, taken, 1001.0, status=410)
    repository.drop_jobs(1001.0, finished_before=1001.0)
    assert len(repository.deliveries()) == 1
    repository.drop_jobs(1002.0, finished_before=1001.1)
    assert repository.deliveries() == []


def test_a_dead_letter_without_a_body_goes_with_its_job(repository: Repository) -> None:
    ended(repository)
    (taken,) = lease(repository)
    settled(repository, taken, 950.0, status=410)
    assert repository.drop_jobs(1000.0, finished_before=900.0) == ["j"]
    assert repository.deliveries() == []


def test_a_delivered_webhook_goes_with_its_job(repository: Repository) -> None:
    ended(repository)
    (taken,) = lease(repository)
    settled(repository, taken, status=200)
    repository.drop_jobs(1000.0, finished_before=900.0)
    assert repository.job("j") is None
    assert repository.deliveries() == []
