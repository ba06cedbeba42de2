"""Who is there, and who gets nothing more."""

from __future__ import annotations

import time
from typing import Any, cast

from memory_jobs import MemoryJobRepository

from stemwright_server.usecases.worker_registry import WorkerRegistry


def test_all_whose_ids_begin_so_are_gone_with_the_one_who_started_them() -> None:
    registry = WorkerRegistry(MemoryJobRepository(), time.time)
    for worker in ("host-a-cpu-1", "host-a-cpu-2", "host-b-cpu-1"):
        registry.note(worker, device="cpu", services=("m",))
    registry.forget("host-a-")
    assert [registry.is_gone(worker) for worker in ("host-a-cpu-1", "host-a-cpu-9", "host-b-cpu-1")] == [
        True,
        True,
        False,
    ]
    registry.note("host-a-cpu-1", device="cpu", services=("m",))  # a request that was under way
    assert [seen.worker for seen in registry.present()] == ["host-b-cpu-1"]


def test_no_id_of_a_celery_child_is_the_beginning_of_another() -> None:
    from stemwright_server.processes.celery_worker import CeleryWorker

    nothing = cast(Any, None)
    worker = CeleryWorker(
        host="h",
        root=None,
        device="cpu",
        services=(),
        finish_seconds=0.0,
        client=nothing,
        build=nothing,
        describe=nothing,
    )
    worker.prefix = "h-me-"
    ids = [worker.worker_id(pid) for pid in (1, 12, 123, 4194304)]
    assert ids[1] == "h-me-0000012"
    assert not any(one != other and one.startswith(other) for one in ids for other in ids)
