"""Sending what jobs' ends have to tell: webhooks out of the outbox, each until it is delivered or dead."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

import structlog

from stemwright_server.domain.delivery import Backoff, Delivery, DeliveryState, Result, settle
from stemwright_server.ports.deliveries import WebhookBody, WebhookSender
from stemwright_server.usecases.deps import Deps
from stemwright_worker.contract.signing import sign, standard_headers
from stemwright_worker.errors import ServiceError

_LEASE_SLACK = 20.0  # a sender's right to a webhook outlives the try by this: making the body may copy stems first
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class WebhookKeys:
    """What webhooks are signed with; the current one first."""

    token: str | None  # X-Signature, as the documents have it
    standard: Sequence[bytes]  # webhook-signature, one for each

    def headers(self, delivery: Delivery, body: bytes) -> dict[str, str]:
        """Both signatures, by this machine's clock, which is what receivers compare with theirs."""
        now = time.time()
        legacy = {} if self.token is None else sign(body, secret=self.token, now=now)
        return legacy | standard_headers(body, message_id=delivery.id, keys=self.standard, now=now)


@dataclass(frozen=True, kw_only=True)
class Outbox:
    """All that sending needs. Any number of threads and processes send at once: each webhook is leased to one."""

    deps: Deps
    sender: WebhookSender
    bodies: Mapping[str, WebhookBody]  # by kind
    keys: WebhookKeys
    allowed: Collection[str]  # URLs, exactly
    backoff: Backoff
    send_seconds: float
    chance: Callable[[], float] = field(default=random.random)

    def lease(self, limit: int) -> Sequence[Delivery]:
        """Webhooks to be sent now, ours for a while."""
        now = self.deps.clock()
        lease_until = now + self.send_seconds + _LEASE_SLACK
        return self.deps.repository.lease_deliveries(now=now, lease_until=lease_until, limit=limit)

    def deliver(self, delivery: Delivery) -> None:
        """One try of a leased webhook, and what follows from it. Raises ServiceError if that cannot be written down."""
        names = {"job_id": delivery.job_id, "request_id": delivery.request_id, "webhook_id": delivery.id}
        with structlog.contextvars.bound_contextvars(**names, correlation_id=delivery.correlation_id):
            began = time.monotonic()
            result = self._traced(delivery)
            now = self.deps.clock()
            after = settle(delivery, result, now=now, backoff=self.backoff, chance=self.chance())
            held = self.deps.repository.settle_delivery(after)
            log = _log.warning if after.state is DeliveryState.DEAD else _log.info
            log(
                "webhook_tried",
                state=after.state.value,
                tries=after.tries,
                status=result.status,
                error=result.error,
                next_in=round(after.due_at - now, 1) if after.state is DeliveryState.PENDING else None,
                seconds=round(time.monotonic() - began, 3),
                overtaken=not held,
            )

    def _traced(self, delivery: Delivery) -> Result:
        """A try is a span in the trace of its job, and the receiver can go on with it."""
        job = self.deps.repository.job(delivery.job_id)
        parent = None if job is None else job.options.traceparent
        span = self.deps.tracer.begin(
            "webhook",
            parent=parent,
            kind="client",
            job_id=delivery.job_id,
            webhook_id=delivery.id,
            tries=delivery.tries,
        )
        result = self._try(delivery, span.traceparent or parent)
        span.end(error=result.error, http__response__status_code=result.status)
        return result

    def _try(self, delivery: Delivery, traceparent: str | None) -> Result:
        try:
            body = self._body(delivery)  # first of all: with it a dead letter outlives its job, and can be replayed
        except ServiceError as error:
            return Result(error=f"The body could not be made: {error}", final=not error.retryable)
        except Exception:  # a fault of ours must not end the sender; the webhook waits for a version without it
            _log.exception("webhook_body_failed")
            return Result(error="The body could not be made; the log of the service says why.")
        if delivery.url not in self.allowed:
            return Result(error="The URL is not on API_WEBHOOK_URL_ALLOWLIST any more.", final=True)
        if not self.keys.standard:
            return Result(error="There is nothing to sign with: set WEBHOOK_SECRET or DEMUCSSVC_TOKEN.", final=True)
        ids = {"X-Request-ID": delivery.request_id}
        if delivery.correlation_id is not None:
            ids["X-Correlation-ID"] = delivery.correlation_id
        if traceparent is not None:
            ids["traceparent"] = traceparent
        headers = {"Content-Type": "application/json"} | ids | self.keys.headers(delivery, body)
        return self.sender.send(delivery.url, headers=headers, body=body)

    def _body(self, delivery: Delivery) -> bytes:
        """The bytes that are signed and sent, in this try and in all that follow."""
        if delivery.body is not None:
            return delivery.body
        job = self.deps.repository.job(delivery.job_id)
        make = self.bodies.get(delivery.kind)
        if job is None or make is None:
            raise RuntimeError(f"webhook {delivery.id} is about no job, or of no kind that is known here")
        return self.deps.repository.keep_body(delivery.id, make(job))
