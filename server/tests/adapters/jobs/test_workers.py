"""Workers: who was heard of lately."""

from __future__ import annotations

from dataclasses import replace

from stemwright_server.domain.worker import SeenWorker
from stemwright_server.ports.jobs import JobRepository


def test_workers_are_known_as_they_were_seen_last_until_they_go(repository: JobRepository) -> None:
    first = SeenWorker(worker="a_1", device="cuda:0", services=("m", "n"), seen_at=1.5)
    second = replace(first, worker="ab2", services=())
    repository.see_worker(second)
    repository.see_worker(first)
    assert repository.seen_workers() == [first, second]
    repository.see_worker(replace(first, seen_at=3.0, device="cpu"))
    assert repository.seen_workers() == [replace(first, seen_at=3.0, device="cpu"), second]
    repository.forget_workers("a_")  # no pattern
    assert repository.seen_workers() == [second]
