"""A webhook on its way: a row that is written with the end of a job, and tried until it is delivered or dead."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from stemwright_server.domain.job import Job

_GONE = 410
_LONGEST_RETRY_AFTER = 86400.0  # seconds; a Retry-After that asks for more is cut


class DeliveryState(StrEnum):
    """What became of a webhook so far."""

    PENDING = "pending"  # to be sent, for the first time or again
    DELIVERED = "delivered"  # answered with 2xx; final
    DEAD = "dead"  # a dead letter: given up; may be replayed for as long as outputs are kept


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A webhook. Times are unix seconds."""

    id: str  # webhook-id: the same in every try, one for each job
    job_id: str
    url: str
    kind: str  # which body it gets
    request_id: str
    correlation_id: str | None
    created_at: float
    due_at: float  # not sent before
    state: DeliveryState = DeliveryState.PENDING
    tries: int = 0
    lease_until: float | None = None  # of the process that sends it now
    revision: int = 0  # grows with every change: what an overtaken sender says changes nothing
    body: bytes | None = None  # made once, before the first try
    status: int | None = None  # the last answer's
    error: str | None = None  # why the last try failed
    ended_at: float | None = None


@dataclass(frozen=True, kw_only=True)
class Backoff:
    """When to try again. By default 14 tries over three days and a quarter."""

    tries: int = 14
    first: float = 5.0  # seconds
    factor: float = 4.0
    cap: float = 12 * 3600.0
    jitter: float = 0.2  # a wait is longer by chance, up to this part of it; never shorter

    def wait(self, tries: int, chance: float) -> float:
        """Seconds to wait after so many tries; ``chance`` is 0 to 1."""
        return min(self.cap, self.first * self.factor ** (tries - 1)) * (1 + self.jitter * chance)


@dataclass(frozen=True, kw_only=True)
class Result:
    """How a try went."""

    status: int | None = None  # None: there was no answer
    error: str | None = None
    retry_after: float | None = None  # seconds that the receiver asks for
    final: bool = False  # no further try makes sense


def delivery_of(job: Job) -> Delivery | None:
    """The webhook of a job that has just ended, if somebody wants one."""
    webhook = job.options.webhook
    if webhook is None or job.finished_at is None:
        return None
    return Delivery(
        id=f"msg_{job.id}",
        job_id=job.id,
        url=webhook.url,
        kind=webhook.kind,
        request_id=job.request_id,
        correlation_id=job.options.correlation_id,
        created_at=job.finished_at,
        due_at=job.finished_at,
    )


def settle(delivery: Delivery, result: Result, *, now: float, backoff: Backoff, chance: float) -> Delivery:
    """The delivery after a try. 2xx is delivered; a redirect is a failure like others; 410 ends it."""
    tried = replace(
        delivery, status=result.status, error=result.error, lease_until=None, revision=delivery.revision + 1
    )
    if result.status is not None and 200 <= result.status < 300:
        return replace(tried, state=DeliveryState.DELIVERED, error=None, ended_at=now)
    if result.final or result.status == _GONE or delivery.tries >= backoff.tries:
        return replace(tried, state=DeliveryState.DEAD, ended_at=now)
    wait = max(backoff.wait(delivery.tries, chance), min(result.retry_after or 0.0, _LONGEST_RETRY_AFTER))
    return replace(tried, due_at=now + wait)
