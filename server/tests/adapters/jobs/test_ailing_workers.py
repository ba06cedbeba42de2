"""Workers at which jobs fail, as every API process knows them."""

from __future__ import annotations

from dataclasses import replace

from stemwright_server.domain.worker_health import WorkerHealth
from stemwright_server.ports.jobs import JobRepository

ONE = WorkerHealth(
    worker="host-1", failed=("a", "b"), times=2, aside_until=99.5, code="gpu_lost", message="It fell off é."
)


def test_health_is_kept_until_the_worker_is_well_or_gone(repository: JobRepository) -> None:
    other = WorkerHealth(worker="host_2")
    repository.keep_health(other, 1.0)
    repository.keep_health(replace(ONE, times=1), 1.0)
    repository.keep_health(ONE, 2.0)
    assert repository.ailing_workers() == [ONE, other]
    repository.forget_health("host-1")
    repository.forget_health("host-1")
    assert repository.ailing_workers() == [other]
    repository.forget_workers("host_")
    assert repository.ailing_workers() == []


def test_health_goes_with_a_worker_that_was_not_heard_of_for_long(repository: JobRepository) -> None:
    repository.keep_health(ONE, 5.0)
    repository.drop_workers(5.0)
    assert repository.ailing_workers() == [ONE]
    repository.drop_workers(5.1)
    assert repository.ailing_workers() == []
