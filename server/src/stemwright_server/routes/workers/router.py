"""``POST /worker/announce``, ``/claim``, ``/report``, ``/parts`` and ``/leave``: signed bodies as ``contract`` words them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from stemwright_server.http.callers import absolute_to
from stemwright_server.http.errors import Problem
from stemwright_server.http.pools import WORKERS
from stemwright_server.ports.wakeups import WakeUps
from stemwright_server.usecases.claim import begin_multipart, claim
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.record import record
from stemwright_server.usecases.workers import worker_left, worker_lost
from stemwright_worker.contract.codec import (
    dump_answer,
    dump_multipart_plan,
    dump_task,
    load_announcement,
    load_claim,
    load_leave,
    load_multipart_request,
    load_report,
)
from stemwright_worker.contract.signing import Verifier
from stemwright_worker.contract.tasks import (
    ClaimRequest,
    Leave,
    MultipartPlan,
    MultipartRequest,
    Progressed,
    Report,
    ReportAnswer,
    Task,
)
from stemwright_worker.contract.worker_token import Credential
from stemwright_worker.errors import AnnounceFirst, InvalidRequest

# By path. A model with six stems is announced in about 7 KB: this is room for a folder of a thousand checkpoints.
BODY_LIMITS = {"/worker/announce": 8 << 20}
MAX_WAIT = 25.0  # seconds that a claim may be held back; proxies cut off at 30 and more
_LOOK_AGAIN = 5.0  # a wake-up can be lost; this cannot
_JSON = "application/json"
_REFUSED: dict[int | str, dict[str, Any]] = {401: {"model": Problem}, 403: {"model": Problem}, 422: {"model": Problem}}
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Signed:
    """A body whose signature holds."""

    body: bytes
    by: Credential


def workers_router(deps: Deps, wakeups: WakeUps, verifier: Verifier) -> APIRouter:
    """The routes of a worker."""
    router = APIRouter(prefix="/worker", tags=["workers"])

    async def signed(request: Request) -> Signed:
        """The body of a request whose signature holds, and what its signer may do."""
        body = await request.body()
        return Signed(body=body, by=verifier.verify(body, request.headers))

    signed_body = Depends(signed)

    @router.post("/announce", status_code=204, responses={**_REFUSED, 409: {"model": Problem}})
    async def announce(body: Annotated[Signed, signed_body]) -> Response:
        """A worker says what its services offer. 409 `contract_mismatch`: it is of another version than the API."""
        said = load_announcement(body.body)
        body.by.check(*(each.name for each in said.services))
        await run_in_threadpool(deps.planner.announce, said.services, described=said.described, worker=said.worker)
        return Response(status_code=204)

    @router.post("/claim", responses={204: {"description": "Nothing to do."}, **_REFUSED, 409: {"model": Problem}})
    async def claim_task(request: Request, body: Annotated[Signed, signed_body]) -> Response:
        """Take a task, waiting for one if need be.

        409 `announce_first`: the API does not know what the worker's services offer. 409 `contract_mismatch`: as above.
        """
        asked = load_claim(body.body)
        body.by.check(*asked.services)
        says = asked.take or asked.described != ""
        knows = partial(deps.planner.knows, asked.described, asked.services, worker=asked.worker)
        if says and not await run_in_threadpool(knows):
            raise AnnounceFirst(f"Announce what {', '.join(asked.services)} offer, then claim again.")
        task = await _wait_for_task(deps, wakeups, request, asked)
        if task is None:
            return Response(status_code=204)
        return Response(dump_task(_absolute(task, absolute_to(str(request.base_url)))), media_type=_JSON)

    @router.post("/report", responses=_REFUSED)
    async def take_report(body: Annotated[Signed, signed_body]) -> Response:
        """Take a report; the answer may say to stop."""
        report = load_report(body.body)
        # A sign of life waits for no store: else a worker is taken for dead while the store is away.
        ends = not isinstance(report, Progressed)
        answer = await (
            WORKERS.run(_recorded, deps, report, body.by)
            if ends
            else run_in_threadpool(_recorded, deps, report, body.by)
        )
        if not isinstance(report, Progressed) or not answer.accepted:
            _log.info(
                "reported", kind=report.kind, job_id=report.job_id, attempt=report.attempt, accepted=answer.accepted
            )
        return Response(dump_answer(answer), media_type=_JSON)

    @router.post("/parts", responses=_REFUSED)
    async def take_multipart_request(body: Annotated[Signed, signed_body]) -> Response:
        """URLs to upload a large output in parts; they are put together when the attempt has completed."""
        plan = await WORKERS.run(_multipart, deps, load_multipart_request(body.body), body.by)
        return Response(dump_multipart_plan(plan), media_type=_JSON)

    @router.post("/leave", status_code=204, responses=_REFUSED)
    async def leave(body: Annotated[Signed, signed_body]) -> Response:
        """A worker goes: what it holds is for others, and no attempt is charged, unless it died."""
        leave = load_leave(body.body)
        if not leave.worker:  # so would every id begin
            raise InvalidRequest("worker is empty: name who leaves.", code="bad_message")
        for worker in await run_in_threadpool(_leaving, deps, leave, body.by):
            await run_in_threadpool(deps.workers.forget, worker)
            await run_in_threadpool(worker_lost if leave.lost else worker_left, deps, worker)
        return Response(status_code=204)

    return router


def _absolute(task: Task, absolute: Callable[[str], str]) -> Task:
    inputs = tuple(replace(each, url=absolute(each.url)) for each in task.inputs)
    outputs = tuple(replace(each, url=absolute(each.url)) for each in task.outputs)
    return replace(task, inputs=inputs, outputs=outputs)


async def _wait_for_task(deps: Deps, wakeups: WakeUps, request: Request, asked: ClaimRequest) -> Task | None:
    """A task for the worker, or None once it has waited long enough, hung up, or is told to go."""
    deadline = time.monotonic() + min(asked.wait_seconds, MAX_WAIT)
    with wakeups.listen() as listener:
        while not (listener.closed or deps.workers.is_gone(asked.worker) or await request.is_disconnected()):
            task = await WORKERS.run(_claimed, deps, asked)
            if task is not None and await request.is_disconnected():  # handed to nobody: it is not charged
                await WORKERS.run(worker_left, deps, asked.worker)
                return None
            if task is not None:
                ids = {"request_id": task.request_id, "correlation_id": task.correlation_id}  # of who asked for it
                _log.info("claimed", job_id=task.job_id, attempt=task.attempt, worker=asked.worker, **ids)
                return task
            left = deadline - time.monotonic()
            if left <= 0 or not asked.take:
                return None
            await listener.wait(min(left, _LOOK_AGAIN))
    return None


def _claimed(deps: Deps, asked: ClaimRequest) -> Task | None:
    deps.workers.note(asked.worker, device=asked.device, services=asked.services)
    kept_out = deps.workers.is_drained(asked.worker) or deps.workers.is_aside(asked.worker)
    task = claim(deps, asked) if asked.take and not kept_out else None
    if task is not None and deps.workers.is_gone(asked.worker):  # it was told to go while it asked
        worker_left(deps, asked.worker)
        return None
    return task


def _recorded(deps: Deps, report: Report, by: Credential) -> ReportAnswer:
    _check_job(deps, report.job_id, by)
    if isinstance(report, Progressed):
        deps.workers.note_gpus(report.gpus)
    return record(deps, report)


def _multipart(deps: Deps, asked: MultipartRequest, by: Credential) -> MultipartPlan:
    _check_job(deps, asked.job_id, by)
    return begin_multipart(deps, asked)


def _check_job(deps: Deps, job_id: str, by: Credential) -> None:
    """A token that is for some services says nothing of the jobs of others. Raises Forbidden."""
    if by.services is not None and (job := deps.repository.job(job_id)) is not None:
        by.check(job.service)


def _leaving(deps: Deps, leave: Leave, by: Credential) -> Sequence[str]:
    """How the ids of those begin who leave. With a token for some services: whole ids, each of a worker of those alone."""
    if by.services is None:
        return [leave.worker]
    seen = [each for each in deps.repository.seen_workers() if each.worker.startswith(leave.worker)]
    held = deps.repository.running(worker_prefix=leave.worker)
    by.check(*(job.service for job in held), *(service for each in seen for service in each.services))
    return sorted({each.worker for each in seen} | {job.worker for job in held if job.worker})
