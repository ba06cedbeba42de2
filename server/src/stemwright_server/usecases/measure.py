"""How the service is doing, in numbers: from the store that all its processes share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stemwright_server.domain.counters import JOBS, Labels
from stemwright_server.domain.delivery import DeliveryState
from stemwright_server.domain.job import JobState
from stemwright_server.domain.worker import SeenWorker
from stemwright_server.usecases.deps import Deps
from stemwright_worker.contract.tasks import GpuMemory


@dataclass(frozen=True, kw_only=True)
class Measures:
    """What is so now, and what was so far."""

    jobs: Mapping[JobState, int]
    counters: Mapping[tuple[str, Labels], float]  # see domain.counters
    workers: Sequence[SeenWorker]
    deliveries: Mapping[DeliveryState, int]  # webhooks
    gpus: Sequence[GpuMemory]  # as workers told this process
    queues: Mapping[
        str, tuple[int, float]
    ]  # by service: jobs that wait, and the seconds for which one has waited longest
    aside: int = 0  # of the workers, those that get no jobs since jobs fail there
    store_is_up: bool = True  # as far as this process saw


def ended_jobs(deps: Deps) -> Mapping[JobState, int]:
    """How many jobs ever ended in each final state; those that were removed since are among them."""
    found = {state: 0.0 for state in JobState if state.final}
    for (name, labels), amount in deps.repository.counters().items():
        if name == JOBS:
            found[JobState(dict(labels)["status"])] += amount
    return {state: round(amount) for state, amount in found.items()}


def measure(deps: Deps) -> Measures:
    """Some questions to the store, none of them long."""
    return Measures(
        jobs=deps.repository.counts(),
        counters=deps.repository.counters(),
        workers=deps.workers.present(),
        deliveries=deps.repository.count_deliveries(),
        gpus=deps.workers.gpus(),
        queues=_queues(deps),
        aside=sum(each.is_aside(deps.clock()) for each in deps.workers.ailing()),
        store_is_up=deps.store is None or deps.store.away is None,
    )


def _queues(deps: Deps) -> Mapping[str, tuple[int, float]]:
    """A service of which nothing waits is there as well: a scaler needs its zero."""
    now = deps.clock()
    found = {service.name: (0, 0.0) for service in deps.planner.services()}
    return found | {queue.service: (queue.jobs, max(0.0, now - queue.oldest_at)) for queue in deps.repository.queues()}
