"""The routes of the admin dialect. Each translates, calls one use case, and translates back."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from stemwright_server.dialects.admin.wire import (
    AdminJob,
    AdminJobDetail,
    CausesResponse,
    CauseView,
    DrainResponse,
    JobsPage,
    ServicesResponse,
    ServiceView,
    WebhooksResponse,
    WebhookView,
    WorkersResponse,
    WorkerView,
)
from stemwright_server.domain.delivery import DeliveryState
from stemwright_server.domain.job import JobState
from stemwright_server.http.callers import Callers
from stemwright_server.http.errors import Problem
from stemwright_server.http.ids import request_id
from stemwright_server.http.paging import Before, next_of, place_of
from stemwright_server.ports.auth import ADMIN, Principal
from stemwright_server.ports.jobs import JobFilter
from stemwright_server.usecases import administration
from stemwright_server.usecases.deps import Deps

Limit = Annotated[int, Query(ge=1, le=500)]
Word = Annotated[str | None, Query(min_length=1, max_length=255, pattern=r"^[^\x00-\x1f\x7f]+$")]


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem} for status in (401, 403, 422, *statuses)}


def admin_router(deps: Deps, callers: Callers) -> APIRouter:
    """All routes of the dialect; each asks for the role."""
    router = APIRouter(prefix="/admin", tags=["admin"])
    router.include_router(_jobs(deps, callers))
    router.include_router(_webhooks(deps, callers))
    router.include_router(_workers(deps, callers))
    return router


def _jobs(deps: Deps, callers: Callers) -> APIRouter:
    router = APIRouter()
    admin_of = Depends(callers.require_role(ADMIN))

    @router.get("/jobs", responses=_refusals())
    def jobs(
        _admin: Annotated[Principal, admin_of],
        status: Annotated[list[JobState] | None, Query(description="One or several.")] = None,
        owner: Word = None,
        model: Word = None,
        dialect: Word = None,
        file_id: Word = None,
        before: Before = None,
        limit: Limit = 50,
    ) -> JobsPage:
        """Jobs of all owners, newest first."""
        wanted = JobFilter(states=status, owner=owner, service=model, dialect=dialect, track_id=file_id)
        found = deps.repository.search(wanted, limit=limit + 1, before=place_of(before))
        page = found[:limit]
        return JobsPage(jobs=[AdminJob.of(job) for job in page], next=next_of(page[-1]) if len(found) > limit else None)

    @router.get("/jobs/{job_id}", responses=_refusals(404))
    def job(job_id: str, _admin: Annotated[Principal, admin_of]) -> AdminJobDetail:
        """A job, its params, and its attempts."""
        found = administration.any_job(deps, job_id)
        return AdminJobDetail.with_attempts(found, deps.repository.attempts_of(job_id))

    @router.post("/jobs/{job_id}/retry", responses=_refusals(404, 409, 410, 507))
    def retry(job_id: str, admin: Annotated[Principal, admin_of]) -> AdminJob:
        """Do a failed or canceled job once more. The answer is the new job, which says `retry_of`; the old one stays ended.

        Where equal work is under way or done by now, the answer is the job that does it.
        """
        return AdminJob.of(administration.retry(deps, admin, job_id, request_id=request_id()))

    @router.post("/jobs/{job_id}/cancel", responses=_refusals(404, 409))
    def cancel(job_id: str, admin: Annotated[Principal, admin_of]) -> AdminJob:
        """Call a job off, whoever owns it; again, it changes nothing."""
        return AdminJob.of(administration.cancel_any(deps, admin, job_id))

    @router.get("/failures", responses=_refusals())
    def failures(_admin: Annotated[Principal, admin_of]) -> CausesResponse:
        """Why the newest failed jobs failed, counted by cause."""
        return CausesResponse(causes=[CauseView.of(cause) for cause in administration.causes(deps)])

    return router


def _webhooks(deps: Deps, callers: Callers) -> APIRouter:
    router = APIRouter()
    admin_of = Depends(callers.require_role(ADMIN))

    @router.get("/webhooks", responses=_refusals())
    def webhooks(
        _admin: Annotated[Principal, admin_of], status: DeliveryState | None = DeliveryState.DEAD, limit: Limit = 50
    ) -> WebhooksResponse:
        """Webhooks that are dead, or in another state; the newest first."""
        found = deps.repository.deliveries(state=status, limit=limit)
        return WebhooksResponse(webhooks=[WebhookView.of(each) for each in found])

    @router.post("/webhooks/{webhook_id}/replay", status_code=204, responses=_refusals(404, 409))
    def replay(webhook_id: str, admin: Annotated[Principal, admin_of]) -> Response:
        """Send it again from the first try: the same bytes under the same id."""
        administration.replay(deps, admin, webhook_id)
        return Response(status_code=204)

    return router


def _workers(deps: Deps, callers: Callers) -> APIRouter:
    router = APIRouter()
    admin_of = Depends(callers.require_role(ADMIN))

    @router.get("/workers", responses=_refusals())
    def workers(_admin: Annotated[Principal, admin_of]) -> WorkersResponse:
        """Who was heard of lately, what they work on, and who is drained."""
        busy = {job.worker: job.id for job in deps.repository.running()}
        drained = list(deps.repository.drained_workers())
        ailing = {each.worker: each for each in deps.repository.ailing_workers()}
        return WorkersResponse(
            workers=[
                WorkerView.of(
                    each,
                    job_id=busy.get(each.worker),
                    drained=any(each.worker.startswith(word) for word in drained),
                    health=ailing.get(each.worker),
                )
                for each in deps.workers.present()
            ],
            drained=drained,
        )

    @router.post("/workers/{worker}/drain", responses=_refusals())
    def drain(worker: str, admin: Annotated[Principal, admin_of]) -> DrainResponse:
        """Workers whose ids begin so get no new jobs; what they run goes on."""
        return DrainResponse(workers=administration.drain(deps, admin, worker))

    @router.post("/workers/{worker}/resume", status_code=204, responses=_refusals(404))
    def resume_workers(worker: str, admin: Annotated[Principal, admin_of]) -> Response:
        """Take back what `drain` said: the very word that was given to it."""
        administration.undrain(deps, admin, worker)
        return Response(status_code=204)

    @router.get("/services", responses=_refusals())
    def services(_admin: Annotated[Principal, admin_of]) -> ServicesResponse:
        """What workers announced, whether it is paused, and how many workers of it there are."""
        paused, present = deps.repository.paused_services(), deps.workers.present()
        return ServicesResponse(
            services=[
                ServiceView.of(
                    each, paused=each.name in paused, workers=sum(each.name in worker.services for worker in present)
                )
                for each in deps.planner.services()
            ]
        )

    @router.post("/services/{model}/pause", status_code=204, responses=_refusals())
    def pause(model: str, admin: Annotated[Principal, admin_of]) -> Response:
        """Hand out no job of a service. Jobs are taken in and wait; those that run go on."""
        administration.pause(deps, admin, model)
        return Response(status_code=204)

    @router.post("/services/{model}/resume", status_code=204, responses=_refusals(404))
    def resume(model: str, admin: Annotated[Principal, admin_of]) -> Response:
        """Take a pause back."""
        administration.resume(deps, admin, model)
        return Response(status_code=204)

    return router
