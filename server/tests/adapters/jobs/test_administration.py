"""What administrators ask of a job store: jobs of all owners, their attempts, services that are paused."""

from __future__ import annotations

from functools import partial

from jobs import POLICY, job, ready

from stemwright_server.domain.job import JobOptions, JobState, Outcome
from stemwright_server.domain.lifecycle import CancelAsked, WorkerLeft, advance
from stemwright_server.ports.jobs import JobFilter, JobRepository


def filled(repository: JobRepository) -> None:
    """Jobs a to f, b and c at the same moment; c canceled, d another's, e another service's, f by another dialect."""
    for name in ("t", "u"):
        ready(repository, name)
    for number, name in enumerate("abcdef"):
        repository.submit(
            job(
                name,
                track_id="u" if name == "a" else "t",
                owner="p" if name == "d" else "o",
                service="n" if name == "e" else "m",
                created_at=float(max(1, number - (number > 1))),
                options=JobOptions(dialect="split" if name == "f" else "studio"),
            ),
            key=None,
        )
    repository.change("c", lambda job: advance(job, CancelAsked(), now=20.0, policy=POLICY))


def test_jobs_of_all_owners_are_found_newest_first_and_page_by_page(repository: JobRepository) -> None:
    filled(repository)
    found = repository.search(JobFilter(), limit=100)
    assert [each.id for each in found] == list("fedcba")
    pages, before = [], None
    while page := repository.search(JobFilter(), limit=4, before=before):
        pages.append([each.id for each in page])
        before = (page[-1].created_at, page[-1].id)
    assert pages == [list("fedc"), list("ba")]


def test_jobs_are_found_by_what_they_are(repository: JobRepository) -> None:
    filled(repository)

    def ids(wanted: JobFilter) -> str:
        return "".join(each.id for each in repository.search(wanted, limit=100))

    assert ids(JobFilter(owner="p")) == "d"
    assert ids(JobFilter(service="n")) == "e"
    assert ids(JobFilter(dialect="split")) == "f"
    assert ids(JobFilter(track_id="u")) == "a"
    assert ids(JobFilter(states=[JobState.CANCELED])) == "c"
    assert ids(JobFilter(states=[JobState.CANCELED, JobState.QUEUED], owner="o", service="m")) == "fcba"
    assert ids(JobFilter(states=[])) == ""


def test_the_attempts_of_a_job_are_known_until_their_files_are_gone(repository: JobRepository) -> None:
    filled(repository)
    claim = partial(repository.claim, services=["m"], job_id="a", lease_until=90.0, writable_until=200.0)
    claim(worker="w", now=30.0)
    repository.change("a", lambda job: advance(job, WorkerLeft(worker="w"), now=31.0, policy=POLICY))
    claim(worker="x", now=32.0)
    found = repository.attempts_of("a")
    assert [(each.number, each.worker, each.outcome) for each in found] == [(1, "w", Outcome.RELEASED), (2, "x", None)]
    repository.attempt_cleaned(found[0])
    assert [each.number for each in repository.attempts_of("a")] == [2]
    assert repository.attempts_of("b") == []


def test_a_service_is_paused_until_that_is_taken_back(repository: JobRepository) -> None:
    for name in ("n", "m", "n"):
        repository.pause_service(name, 1.0)
    assert repository.paused_services() == ["m", "n"]
    assert repository.resume_service("n") is True
    assert repository.resume_service("n") is False
    assert repository.paused_services() == ["m"]
