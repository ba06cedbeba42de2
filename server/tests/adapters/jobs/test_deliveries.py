"""Deliveries: the outbox of webhooks."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from jobs import POLICY, change, claim, done, job, ready

from stemwright_server.domain.delivery import Backoff, Delivery, DeliveryState, Result, delivery_of, settle
from stemwright_server.domain.job import Job, JobOptions, Outcome, Webhook
from stemwright_server.domain.lifecycle import CancelAsked, Event, Expire, LeaseExpired, Transition, WorkerLost, advance
from stemwright_server.ports.jobs import JobRepository
from stemwright_worker.contract.tasks import Failed
from stemwright_worker.errors import NotFound

HOOK = JobOptions(dialect="split", webhook=Webhook(url="https://a/hook", kind="split"), correlation_id="c")


def ended(repository: JobRepository, name: str = "j", *, now: float = 30.0) -> Delivery:
    """The webhook of a job that was canceled."""
    if repository.track("t") is None:
        ready(repository)
    repository.submit(job(name, options=HOOK), key=None)
    change(repository, CancelAsked(), now=now, job_id=name)
    found = repository.delivery(f"msg_{name}")
    assert found is not None
    return found


def lease(repository: JobRepository, now: float = 40.0, *, limit: int = 10, until: float = 60.0) -> list[Delivery]:
    return list(repository.lease_deliveries(now=now, lease_until=until, limit=limit))


def settled(repository: JobRepository, delivery: Delivery, now: float = 45.0, **result: Any) -> Delivery:
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
    repository: JobRepository, event: Event, claimed: bool
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


def test_a_job_that_goes_on_or_wants_none_has_no_webhook(repository: JobRepository) -> None:
    ready(repository)
    repository.submit(job(options=HOOK), key=None)
    claim(repository)
    change(repository, WorkerLost(worker="w"))
    repository.submit(job("k"), key=None)
    change(repository, CancelAsked(), job_id="k")
    assert repository.deliveries() == []


def test_a_transaction_that_fails_leaves_neither_the_end_nor_its_webhook(repository: JobRepository) -> None:
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


def test_due_webhooks_are_leased_to_one_until_the_lease_is_over(repository: JobRepository) -> None:
    first, second = ended(repository, "j", now=31.0), ended(repository, "k", now=30.0)
    assert lease(repository, now=29.0) == []
    (taken,) = lease(repository, limit=1)
    assert taken == replace(second, tries=1, lease_until=60.0, revision=1)
    assert [each.id for each in lease(repository)] == [first.id]
    assert lease(repository) == []
    assert [each.tries for each in lease(repository, now=60.0, until=80.0)] == [2, 2]


def test_many_who_lease_at_once_get_each_webhook_once(repository: JobRepository) -> None:
    names = [f"j{number}" for number in range(12)]
    for name in names:
        ended(repository, name)
    with ThreadPoolExecutor(6) as pool:
        leased = [each.job_id for found in pool.map(lambda _: lease(repository, limit=3), range(12)) for each in found]
    assert sorted(leased) == sorted(names)


def test_the_first_body_is_kept_and_is_the_one_that_is_sent(repository: JobRepository) -> None:
    delivery = ended(repository)
    assert repository.keep_body(delivery.id, "é".encode()) == "é".encode()
    assert repository.keep_body(delivery.id, b"another") == "é".encode()
    (taken,) = lease(repository)
    assert taken.body == "é".encode()
    assert settled(repository, taken, status=500).body == "é".encode()
    with pytest.raises(NotFound):
        repository.keep_body("msg_none", b"")


def test_a_delivered_webhook_is_not_sent_again(repository: JobRepository) -> None:
    ended(repository)
    (taken,) = lease(repository)
    after = settled(repository, taken, status=204)
    assert (after.state, after.status, after.ended_at) == (DeliveryState.DELIVERED, 204, 45.0)
    assert lease(repository, now=1e9) == []


def test_a_failed_one_waits_and_dies_in_the_end(repository: JobRepository) -> None:
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


def test_what_an_overtaken_sender_says_changes_nothing(repository: JobRepository) -> None:
    ended(repository)
    (slow,) = lease(repository)
    (quick,) = lease(repository, now=60.0, until=80.0)
    after = settled(repository, quick, 61.0, status=200)
    late = settle(slow, Result(status=500), now=62.0, backoff=Backoff(), chance=0.0)
    assert not repository.settle_delivery(late)
    assert repository.delivery(quick.id) == after


def test_a_replayed_one_is_sent_again_as_it_was(repository: JobRepository) -> None:
    delivery = ended(repository)
    assert not repository.replay_delivery(delivery.id, 40.0)  # it is under way
    assert not repository.replay_delivery("msg_none", 40.0)
    repository.keep_body(delivery.id, b"body")
    (taken,) = lease(repository)
    settled(repository, taken, status=410)
    assert repository.replay_delivery(delivery.id, 70.0)
    (again,) = lease(repository, now=70.0, until=90.0)
    assert (again.id, again.body, again.tries, again.state) == (delivery.id, b"body", 1, DeliveryState.PENDING)


def test_a_job_goes_with_its_files_in_time_and_its_webhook_is_sent_all_the_same(repository: JobRepository) -> None:
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


def test_a_dead_letter_holds_no_job_and_may_be_replayed_for_as_long_as_others_are_kept(
    repository: JobRepository,
) -> None:
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


def test_a_dead_letter_without_a_body_goes_with_its_job(repository: JobRepository) -> None:
    ended(repository)
    (taken,) = lease(repository)
    settled(repository, taken, 950.0, status=410)
    assert repository.drop_jobs(1000.0, finished_before=900.0) == ["j"]
    assert repository.deliveries() == []


def test_a_delivered_webhook_goes_with_its_job(repository: JobRepository) -> None:
    ended(repository)
    (taken,) = lease(repository)
    settled(repository, taken, status=200)
    repository.drop_jobs(1000.0, finished_before=900.0)
    assert repository.job("j") is None
    assert repository.deliveries() == []
