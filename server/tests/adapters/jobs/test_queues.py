"""What waits for each service."""

from __future__ import annotations

from jobs import job, ready

from stemwright_server.ports.jobs import JobRepository, Queue


def test_what_waits_is_counted_by_service_with_the_oldest_of_each(repository: JobRepository) -> None:
    ready(repository)
    assert repository.queues() == []
    for name, service, available_at in (("a", "m", 12.0), ("b", "m", 11.0), ("c", "n", 30.5), ("d", "o", 1.0)):
        repository.submit(job(name, service=service, created_at=10.0, available_at=available_at), key=None)
    assert repository.claim(worker="w", services=["o"], now=40.0, lease_until=90.0, writable_until=99.0)
    assert repository.queues() == [
        Queue(service="m", jobs=2, oldest_at=11.0),
        Queue(service="n", jobs=1, oldest_at=30.5),
    ]
