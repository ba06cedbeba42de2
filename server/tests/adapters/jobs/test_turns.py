"""Whose job is next: by priority, and within one by turns, whoever has sent how many."""

from __future__ import annotations

import pytest
from jobs import claim, job, ready

from stemwright_server.domain.job import JobOptions
from stemwright_server.ports.jobs import JobRepository


@pytest.fixture
def queue(repository: JobRepository) -> JobRepository:
    ready(repository)
    return repository


def sent(queue: JobRepository, owner: str, count: int, *, first: float = 0.0, priority: int = 5) -> list[str]:
    """Ids of jobs that an owner has sent, one after another."""
    options = JobOptions(dialect="studio", priority=priority)
    ids = [f"{owner}{priority}-{number:04}" for number in range(count)]
    for number, each in enumerate(ids):
        made = job(
            each, owner=owner, work_key=each, created_at=first + number, available_at=first + number, options=options
        )
        assert queue.submit(made, key=None).created
    return ids


def next_(queue: JobRepository, count: int) -> list[str]:
    found = []
    for _ in range(count):
        taken = claim(queue, now=1000.0)
        found.append(taken.id if taken else "")
    return found


def place(queue: JobRepository, job_id: str) -> int:
    found = queue.job(job_id)
    assert found is not None
    return queue.ahead(found) + 1


def test_who_sends_one_does_not_wait_for_all_of_who_sent_many(queue: JobRepository) -> None:
    many = sent(queue, "many", 50)
    (one,) = sent(queue, "one", 1, first=100.0)
    assert place(queue, one) == 2
    assert place(queue, many[-1]) == 51
    assert next_(queue, 3) == [many[0], one, many[1]]


def test_owners_take_turns_and_places_say_so(queue: JobRepository) -> None:
    a, b, c = (sent(queue, owner, 3, first=10.0 * number) for number, owner in enumerate("abc"))
    order = [a[0], b[0], c[0], a[1], b[1], c[1], a[2], b[2], c[2]]
    assert [place(queue, each) for each in order] == list(range(1, 10))
    assert [each.job_id for each in queue.waiting(1000.0, limit=9)] == order
    assert next_(queue, 9) == order


def test_who_comes_late_does_not_catch_up_on_turns_that_are_over(queue: JobRepository) -> None:
    many = sent(queue, "many", 20)
    next_(queue, 10)
    late = sent(queue, "late", 5, first=100.0)
    assert next_(queue, 4) == [many[10], late[0], many[11], late[1]]


def test_a_higher_priority_still_comes_first_and_has_turns_of_its_own(queue: JobRepository) -> None:
    low, high = sent(queue, "a", 2, priority=1), sent(queue, "a", 2, first=10.0, priority=9)
    other = sent(queue, "b", 1, first=20.0, priority=9)
    assert next_(queue, 5) == [high[0], other[0], high[1], *low]


def test_what_waits_in_vain_is_told_and_can_be_asked_for(queue: JobRepository) -> None:
    low, high = sent(queue, "a", 1, priority=1), sent(queue, "b", 2, first=50.0, priority=9)
    assert queue.passed_over(0.0) == []
    assert queue.passed_over(1000.0) == [1, 9]
    taken = queue.claim(worker="w", services=["m"], now=1000.0, lease_until=1060.0, writable_until=1060.0, priority=1)
    assert taken is not None
    assert taken.id == low[0]
    assert next_(queue, 2) == high


def test_what_waits_is_counted_for_each_owner(queue: JobRepository) -> None:
    sent(queue, "a", 3)
    sent(queue, "b", 1)
    assert [queue.queued_of(owner) for owner in ("a", "b", "c")] == [3, 1, 0]
    next_(queue, 1)
    assert queue.queued_of("a") == 2
