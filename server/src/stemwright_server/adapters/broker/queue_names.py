"""Which queue of the broker a job's message goes to: one for each service and each class of priorities.

No broker is trusted with an order: Redis and RabbitMQ count priorities in opposite directions, and quorum queues have
two of them. A message says that a job of its class waits; the claim then takes the most urgent job of that class or of a
more urgent one. So a worker of all classes works strictly by priority, and one of the urgent class alone is never held up.
"""

from __future__ import annotations

from collections.abc import Sequence

from stemwright_server.ports.jobs import Waiting

PRIORITY_CLASSES = {"high": 7, "normal": 4, "low": 0}  # the least priority of each; 5 is the default of a job
_PREFIX = "stemwright"


def queue_of(waiting: Waiting) -> str:
    """The queue that the message of a waiting job goes to."""
    priority_class = next(name for name, least in PRIORITY_CLASSES.items() if waiting.priority >= least)
    return f"{_PREFIX}.{waiting.service}.{priority_class}"


def queues_of(services: Sequence[str]) -> list[str]:
    """All queues of these services, the most urgent classes first."""
    return [f"{_PREFIX}.{service}.{priority_class}" for priority_class in PRIORITY_CLASSES for service in services]


def least_priority(queue: str) -> int:
    """Of the jobs that a message of this queue may stand for; 0 for a queue that is none of ours."""
    return PRIORITY_CLASSES.get(queue.rpartition(".")[2], 0)


def service_of(queue: str) -> str:
    """Whose queue it is."""
    return queue.removeprefix(f"{_PREFIX}.").rpartition(".")[0]
