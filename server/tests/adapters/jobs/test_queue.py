"""Jobs: submitted, handed out once, changed undisturbed, listed."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from jobs import POLICY, change, claim, done, job, ready, track

from stemwright_server.domain.inputs import ArtifactInput, TrackInput
from stemwright_server.domain.job import JobOptions, JobState, Sharing, Webhook
from stemwright_server.domain.lifecycle import CancelAsked, Claimed, Event, Expire, Transition, WorkerLost, advance
from stemwright_server.domain.track import TrackState
from stemwright_server.ports.jobs import IdempotencyKey, JobRepository, Submission, Waiting
from stemwright_worker.contract.service import Progress
from stemwright_worker.contract.tasks import Progressed
from stemwright_worker.errors import Gone, InvalidRequest

# Submit


def test_a_job_is_found_as_it_was_submitted(repository: JobRepository) -> None:
    ready(repository)
    submission = repository.submit(job(), key=None)
    assert (submission.created, submission.job) == (True, job())
    assert repository.job("j") == job()
    assert repository.job("k") is None
    assert repository.jobs_of("t") == [job()]
    found = repository.track("t")
    assert found is not None
    assert found.used_at == 10.0


@pytest.mark.parametrize("sharing", ["join", "copy", "never"])
def test_options_are_kept_as_they_were(repository: JobRepository, sharing: Sharing) -> None:
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


def test_inputs_are_kept_as_they_were(repository: JobRepository) -> None:
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


def test_inputs_that_are_gone_are_said(repository: JobRepository) -> None:
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


def test_jobs_of_a_track_come_oldest_first(repository: JobRepository) -> None:
    ready(repository)
    for name, created in (("b", 12.0), ("a", 11.0), ("c", 11.0)):
        repository.submit(job(name, created_at=created), key=None)
    assert [each.id for each in repository.jobs_of("t")] == ["a", "c", "b"]


def test_a_track_that_is_not_ready_takes_no_job(repository: JobRepository) -> None:
    with pytest.raises(Gone):
        repository.submit(job(), key=None)
    repository.add_track(track())
    with pytest.raises(Gone):
        repository.submit(job(), key=None)
    assert repository.job("j") is None


def test_equal_work_is_joined_or_found_unless_it_failed(repository: JobRepository) -> None:
    ready(repository)
    repository.submit(job("j", work_key="same"), key=None)
    again = repository.submit(job("k", work_key="same"), key=None)
    assert (again.created, again.job.id) == (False, "j")
    claim(repository)
    change(repository, done())
    again = repository.submit(job("k", work_key="same"), key=None)
    assert (again.created, again.job.state) == (False, JobState.COMPLETED)


def test_equal_work_that_was_removed_is_done_again_although_it_is_still_there(repository: JobRepository) -> None:
    ready(repository)
    over: dict[str, Any] = {"state": JobState.COMPLETED, "finished_at": 2.0, "expires_at": 5.0}
    repository.submit(job("j", work_key="same", **over), key=None)
    assert not repository.submit(job("k", work_key="same", created_at=4.0), key=None).created
    assert repository.submit(job("l", work_key="same", created_at=5.0), key=None).created


@pytest.mark.parametrize("event", [CancelAsked(), WorkerLost(worker="w")], ids=["canceled", "failed"])
def test_work_that_did_not_get_done_can_be_asked_for_anew(repository: JobRepository, event: Event) -> None:
    ready(repository)
    repository.submit(job("j", work_key="same", failures=2), key=None)
    claim(repository)
    assert change(repository, event).job.state.final
    assert repository.submit(job("k", work_key="same"), key=None).created


def test_an_idempotency_key_stands_for_its_job(repository: JobRepository) -> None:
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


def test_a_fingerprint_is_a_hash_for_every_store(repository: JobRepository) -> None:
    """A store whose columns have no width would take what another refuses."""
    ready(repository)
    longest = IdempotencyKey(owner="o", key="k" * 255, fingerprint=hashlib.sha256(b"request").hexdigest())
    assert repository.submit(job("j"), key=longest).created
    with pytest.raises(ValueError, match="a hash is meant"):
        replace(longest, fingerprint=f"{longest.fingerprint}0")


def test_many_submits_at_once_with_one_key_make_one_job(repository: JobRepository) -> None:
    ready(repository)
    key = IdempotencyKey(owner="o", key="k", fingerprint="f")
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: repository.submit(job(f"j{number}"), key=key), range(40)))
    assert sum(submission.created for submission in found) == 1
    assert len({submission.job.id for submission in found}) == 1


def test_many_submits_of_work_without_an_input_are_one_job(repository: JobRepository) -> None:
    def submit(number: int) -> Submission:
        return repository.submit(job(f"j{number}", inputs=(), work_key="same"), key=None)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(submit, range(24)))
    assert len({each.job.id for each in found}) == 1
    assert sum(each.created for each in found) == 1


def test_a_remote_track_comes_with_its_job(repository: JobRepository) -> None:
    key = IdempotencyKey(owner="o", key="k", fingerprint="f")
    link = track(state=TrackState.REMOTE, key="", source="http", source_url="https://a/b.wav")
    assert repository.submit(job(), key=key, track=link).created
    assert repository.track("t") == replace(link, used_at=10.0)
    again = repository.submit(job("k", track_id="u"), key=key, track=replace(link, id="u"))
    assert (again.job.id, again.created) == ("j", False)
    assert repository.track("u") is None  # nothing is left of a request that was known already


def test_many_links_at_once_with_one_key_make_one_job_and_one_track(repository: JobRepository) -> None:
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


# Claim


def test_a_claim_does_what_advance_does(repository: JobRepository) -> None:
    ready(repository)
    repository.submit(job(), key=None)
    expected = advance(job(), Claimed(worker="w"), now=20.0, policy=POLICY).job
    assert claim(repository) == expected
    assert repository.job("j") == expected
    # And so for a second attempt.
    requeued = change(repository, WorkerLost(worker="w")).job
    expected = advance(requeued, Claimed(worker="x"), now=40.0, policy=POLICY).job
    assert claim(repository, now=40.0, worker="x") == expected


def test_the_oldest_available_job_of_a_known_model_is_claimed(repository: JobRepository) -> None:
    ready(repository)
    for name, created, available, service in (
        ("other", 8.0, 8.0, "n"),
        ("waiting", 9.0, 50.0, "m"),
        ("first", 10.0, 10.0, "m"),
        ("late", 11.0, 11.0, "m"),
    ):
        repository.submit(job(name, created_at=created, available_at=available, service=service), key=None)
    assert [found.id for found in iter(lambda: claim(repository), None)] == ["first", "late"]
    assert claim(repository, services=()) is None
    assert (found := claim(repository, now=50.0)) is not None
    assert found.id == "waiting"


def test_a_higher_priority_is_claimed_first(repository: JobRepository) -> None:
    ready(repository)
    for name, created, priority in (("low", 10.0, 1), ("old", 11.0, 5), ("new", 12.0, 5), ("high", 13.0, 9)):
        repository.submit(
            job(name, created_at=created, options=JobOptions(dialect="studio", priority=priority)), key=None
        )
    claimed = [claim(repository) for _ in range(4)]
    assert [found.id for found in claimed if found] == ["high", "old", "new", "low"]


def test_a_worker_for_urgent_work_takes_no_other(repository: JobRepository) -> None:
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


def test_one_certain_job_can_be_claimed(repository: JobRepository) -> None:
    ready(repository)
    repository.submit(job("j", created_at=10.0), key=None)
    repository.submit(job("k", created_at=11.0), key=None)
    times: dict[str, Any] = {"now": 20.0, "lease_until": 80.0, "writable_until": 20.0}
    claimed = repository.claim(worker="w", services=("m",), job_id="k", **times)
    assert claimed is not None
    assert (claimed.id, claimed.state) == ("k", JobState.RUNNING)
    assert repository.claim(worker="w", services=("m",), job_id="k", **times) is None
    assert repository.claim(worker="w", services=("n",), job_id="j", **times) is None


def test_no_job_is_handed_out_twice(repository: JobRepository) -> None:
    ready(repository)
    for number in range(30):
        repository.submit(job(f"j{number}"), key=None)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: claim(repository, worker=f"w{number}"), range(40)))
    claimed = [each.id for each in found if each is not None]
    assert len(claimed) == len(set(claimed)) == 30


# Change


def test_a_change_is_kept_whole(repository: JobRepository) -> None:
    ready(repository)
    repository.submit(job(), key=None)
    claim(repository)
    progress = Progress(done=1, total=3, stage="separating", message="é", eta_seconds=1.5)
    for event in (Progressed(job_id="j", attempt=1, progress=progress), done()):
        transition = change(repository, event)
        assert transition.accepted
        assert repository.job("j") == transition.job
    assert repository.change("none", lambda job: Transition(job=job, accepted=True)) is None


def test_an_error_is_kept_and_forgotten(repository: JobRepository) -> None:
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


def test_changes_at_once_do_not_lose_one_another(repository: JobRepository) -> None:
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


def test_one_of_many_completions_wins(repository: JobRepository) -> None:
    ready(repository)
    repository.submit(job(), key=None)
    claim(repository)
    events: list[Event] = [done(), CancelAsked(), WorkerLost(worker="w"), done(), CancelAsked()] * 4
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda event: change(repository, event), events))
    assert sum(transition.outcome is not None for transition in found) == 1


# List


def test_counts_and_running_tell_the_states(repository: JobRepository) -> None:
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


def test_those_wait_that_could_be_claimed_now_the_most_urgent_first(repository: JobRepository) -> None:
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


def test_a_queued_job_knows_how_many_are_before_it(repository: JobRepository) -> None:
    ready(repository)
    jobs = {
        "early": job("early", created_at=11.0),
        "late": job("late", created_at=12.0),
        "twin": job("twin", created_at=12.0),
        "urgent": job("urgent", created_at=14.0, options=JobOptions(dialect="studio", priority=9)),
    }
    jobs = {name: repository.submit(each, key=None).job for name, each in jobs.items()}
    assert {name: repository.ahead(each) for name, each in jobs.items()} == {
        "urgent": 0,
        "early": 1,
        "late": 2,
        "twin": 3,
    }
    order = [claimed.id for _ in jobs if (claimed := claim(repository)) is not None]
    assert order == ["urgent", "early", "late", "twin"]
    assert repository.ahead(jobs["twin"]) == 0


def test_the_history_is_of_one_caller_and_dialect_newest_first(repository: JobRepository) -> None:
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


def test_an_expired_job_answers_for_no_other(repository: JobRepository) -> None:
    ready(repository)
    repository.submit(job("j", work_key="same"), key=None)
    claim(repository)
    change(repository, done(), now=30.0)
    assert getattr(repository.equal_work("same", 31.0), "id", None) == "j"
    change(repository, Expire(at=40.0), now=40.0)
    assert repository.equal_work("same", 39.0) is not None
    assert repository.equal_work("same", 40.0) is None
    assert repository.submit(job("k", work_key="same", created_at=40.0, available_at=40.0), key=None).created
    assert getattr(repository.equal_work("same", 41.0), "id", None) == "k"
