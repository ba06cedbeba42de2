"""``POST /split``, ``GET /queue/status`` and ``GET /healthz``."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Header, Request
from pydantic import BaseModel

from stemwright_server.dialects.split.request import translate
from stemwright_server.dialects.split.wire import (
    HealthzResponse,
    QueueStatusResponse,
    SplitCancelRequest,
    SplitCancelResponse,
    SplitRequest,
    SplitResponse,
)
from stemwright_server.domain.job import Job, JobState
from stemwright_server.http.callers import Callers
from stemwright_server.http.errors import Problem
from stemwright_server.http.ids import request_id
from stemwright_server.http.pools import HEALTH, STORE
from stemwright_server.ports.auth import Principal
from stemwright_server.usecases.cancel import cancel
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.measure import ended_jobs
from stemwright_server.usecases.submit import submit
from stemwright_worker.contract.signing import SEEN_SECONDS, check_signature
from stemwright_worker.errors import InvalidRequest, Unsigned
from stemwright_worker.ports.sources import SourceFetcher

CALLER = Principal(subject="hmac:split")  # all who hold the token are one
_TRACEPARENT = re.compile(r"00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
_SIGNED: dict[str, Any] = {
    "parameters": [
        {"name": name, "in": "header", "required": True, "schema": {"type": "string"}, "description": words}
        for name, words in (
            ("X-Signature", "sha256=<hex of HMAC-SHA256(DEMUCSSVC_TOKEN, body|timestamp)>"),
            ("X-Timestamp", "Unix seconds, at most 300 s off."),
        )
    ]
}
_log = structlog.get_logger(__name__)


def _signed(body: type[BaseModel]) -> dict[str, Any]:
    """The description of a route whose body is read once its signature holds."""
    content = {"application/json": {"schema": body.model_json_schema()}}
    return _SIGNED | {"requestBody": {"required": True, "content": content}}


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """What the dialect has to be told."""

    secrets: Sequence[str]  # that requests may be signed with
    webhooks: Collection[str]  # URLs that may be told


def healthz_router() -> APIRouter:
    """The one route that is for everybody, whether the dialect is on or not."""
    router = APIRouter(tags=["split"])

    @router.get("/healthz")
    async def healthz() -> HealthzResponse:
        """The API answers. Not signed: whoever watches the process may ask."""
        return HealthzResponse()

    return router


class Signatures:
    """Whether requests are signed with one of the tokens."""

    def __init__(self, deps: Deps, secrets: Sequence[str]) -> None:
        self._deps = deps
        self._secrets = secrets

    def check(self, body: bytes, request: Request) -> str:
        """The signature of the body.

        Raises:
            Unsigned: it does not hold now.
        """
        return check_signature(body, request.headers, secrets=self._secrets, now=self._deps.clock())

    def check_once(self, body: bytes, request: Request, key: str) -> None:
        """The same, for what may not be done twice.

        Raises:
            Unsigned: it does not hold now, or was received before (code ``replayed``).
        """
        now = self._deps.clock()
        signature = check_signature(body, request.headers, secrets=self._secrets, now=now)
        # The same bytes under the same key are the caller's own second try, and get the first one's answer.
        if not self._deps.repository.see_signature(signature, key=key, now=now, until=now + SEEN_SECONDS):
            raise Unsigned("This signed request was received before; sign it again.", code="replayed")


def split_router(deps: Deps, config: SplitConfig, source: SourceFetcher, callers: Callers) -> APIRouter:
    """The signed routes."""
    signatures = Signatures(deps, config.secrets)
    router = APIRouter(tags=["split"])
    router.include_router(_splitting(deps, config, source, callers, signatures))
    router.include_router(_canceling(deps, signatures))
    router.include_router(_queue(deps, signatures))
    return router


def _splitting(
    deps: Deps, config: SplitConfig, source: SourceFetcher, callers: Callers, signatures: Signatures
) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/split",
        status_code=202,
        responses={status: {"model": Problem} for status in (401, 403, 410, 413, 422, 507)},
        openapi_extra=_signed(SplitRequest),
    )
    async def split(
        request: Request,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
    ) -> SplitResponse:
        """Queue a job on the file at `audioUrl`; the webhook tells of its end, once and whatever the end is.

        The same Idempotency-Key gets the same job for 24 hours; links that were signed anew are the same links.
        """
        body = await request.body()
        await STORE.run(signatures.check_once, body, request, idempotency_key or "")
        asked = SplitRequest.read(body)
        structlog.contextvars.bind_contextvars(version_id=asked.version_id, correlation_id=asked.correlation_id)
        return await STORE.run(take, asked, request, idempotency_key)

    def take(asked: SplitRequest, request: Request, key: str | None) -> SplitResponse:
        trace = request.headers.get("traceparent", "")
        link, work, submit_request = translate(
            asked,
            planner=deps.planner,
            source=source,
            webhooks=config.webhooks,
            base_url=callers.arrival_url(request),
            request_id=request_id(),
            key=key,
            traceparent=trace if _TRACEPARENT.fullmatch(trace) else None,
        )
        submission = submit(deps, CALLER, link, work, submit_request)
        _log.info("split_taken", job_id=submission.job.id, created=submission.created)
        return SplitResponse(jobId=submission.job.id)

    return router


def _canceling(deps: Deps, signatures: Signatures) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/split/{job_id}/cancel",
        responses={status: {"model": Problem} for status in (401, 404, 409, 422)},
        openapi_extra=_signed(SplitCancelRequest),
    )
    async def cancel_split(job_id: str, request: Request) -> SplitCancelResponse:
        """Call a job off; its webhook says `canceled`. The signed body names the job too; again, it changes nothing."""

        def checked(body: bytes) -> Job:
            signatures.check(body, request)
            # No path is signed: one signature would do for all jobs.
            if SplitCancelRequest.read(body).job_id != job_id:
                raise InvalidRequest("jobId: the signed body names another job than the path.")
            return cancel(deps, CALLER, job_id)

        job = await STORE.run(checked, await request.body())
        return SplitCancelResponse(jobId=job.id, status=job.state)

    return router


def _queue(deps: Deps, signatures: Signatures) -> APIRouter:
    router = APIRouter()

    @router.get("/queue/status", responses={401: {"model": Problem}}, openapi_extra=_SIGNED)
    async def queue_status(request: Request) -> QueueStatusResponse:
        """How long the queue is. Signs the empty body; may be asked again with the same signature."""
        signatures.check(b"", request)
        return await HEALTH.run(counted)

    def counted() -> QueueStatusResponse:
        ended = ended_jobs(deps)
        return QueueStatusResponse(
            queue_depth=deps.repository.counts()[JobState.QUEUED],
            active_workers=len(deps.workers.present()),
            completed_jobs=ended[JobState.COMPLETED],
            failed_jobs=ended[JobState.FAILED],
        )

    return router
