"""Counters: sums that outlive the jobs they are about."""

from __future__ import annotations

from dataclasses import replace

from jobs import change, claim, done, job, ready

from stemwright_server.domain.lifecycle import CancelAsked, WorkerLost
from stemwright_server.ports.jobs import JobRepository
from stemwright_worker.contract.tasks import Failed


def test_what_became_of_jobs_is_counted_for_ever(repository: JobRepository) -> None:
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


def test_failed_attempts_are_counted_by_code(repository: JobRepository) -> None:
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
