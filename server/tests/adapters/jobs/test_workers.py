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


def test_workers_are_drained_by_how_their_ids_begin_until_that_is_taken_back_or_they_are_gone(
    repository: JobRepository,
) -> None:
    for prefix in ("host-", "other-12-cpu-1", "host-"):
        repository.drain_workers(prefix, 1.0)
    assert repository.drained_workers() == ["host-", "other-12-cpu-1"]
    repository.forget_workers("host-34-")  # one of the host's: the host stays drained
    repository.forget_workers("other-12-")  # ids are never used again
    assert repository.drained_workers() == ["host-"]
    assert repository.resume_workers("host") is False
    assert repository.resume_workers("host-") is True
    assert repository.drained_workers() == []
