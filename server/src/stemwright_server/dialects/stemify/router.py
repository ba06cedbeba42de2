"""The routes of the stemify dialect. Each translates, calls one use case, and translates back."""

from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request

from stemwright_server.dialects.stemify.intake import Intake
from stemwright_server.dialects.stemify.wire import (
    DeletedResponse,
    ErrorBody,
    HealthResponse,
    JobResponse,
    QueueStatus,
    StemifyResponse,
)
from stemwright_server.domain.job import Artifact, JobState
from stemwright_server.domain.work import askable, offered
from stemwright_server.http.callers import Callers
from stemwright_server.http.ids import read_id
from stemwright_server.http.multipart import Sink, read_form
from stemwright_server.http.pools import HEALTH, STORE
from stemwright_server.ports.auth import Principal
from stemwright_server.usecases.access import owned_job
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.remove import remove
from stemwright_server.usecases.status import download_url
from stemwright_worker.errors import InvalidRequest, TooLarge

_FORM_SLACK = 1 << 16  # bytes of a form beside its file
_FORM = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "properties": {
                    "file": {"type": "string", "format": "binary", "description": "The song; or give youtube_url."},
                    "youtube_url": {"type": "string", "description": "A video's address; or give file."},
                    "model": {"type": "string", "description": "One of models_available in the health answer."},
                    "output_format": {"type": "string", "default": "wav", "description": "wav, mp3, flac ..."},
                    "normalize": {
                        "type": "boolean",
                        "default": False,
                        "description": "One gain for all stems, so that the highest peak is just under full scale.",
                    },
                },
            }
        }
    },
}


def stemify_router(deps: Deps, callers: Callers, intake: Intake, *, rate: Callable[[Request], None]) -> APIRouter:
    """All routes of the dialect. ``rate`` counts a call of POST /stemify and may raise."""
    router = APIRouter(prefix="/api/v1", tags=["stemify"])
    router.include_router(_submitting(intake, callers, rate))
    router.include_router(_jobs(deps, callers))
    router.include_router(_facts(deps))
    return router


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody} for status in (401, *statuses)}


def _submitting(intake: Intake, callers: Callers, rate: Callable[[Request], None]) -> APIRouter:
    router = APIRouter()

    @router.post(
        "/stemify",
        status_code=202,
        responses=_refusals(413, 422, 429, 507),
        openapi_extra={"requestBody": _FORM},
        dependencies=[Depends(rate)],
    )
    async def stemify(
        request: Request,
        caller: Annotated[Principal, Depends(callers.caller)],
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
    ) -> StemifyResponse:
        """Make a job of a file or of a YouTube link.

        The same Idempotency-Key gets the same job for 24 hours; without one, every call makes a job of its own.
        """
        cap = intake.max_bytes
        if int(request.headers.get("Content-Length") or 0) > cap + _FORM_SLACK:
            raise TooLarge(f"The file is over the {cap} bytes allowed.")
        await STORE.run(intake.deps.blobs.check_room)
        with intake.deps.blobs.receive(cap) as part:
            names: list[str] = []

            def open_file(field: str, filename: str) -> Sink:
                if field != "file" or names:
                    raise InvalidRequest("Send one file, as the field 'file'.", code="unknown_field")
                names.append(filename)
                return part

            fields = await read_form(request, open_file)
            file = (names[0], part) if names else None
            job, expected = await STORE.run(intake.submit, caller, fields, file, key=idempotency_key)
        return StemifyResponse.of(job, expected)

    return router


def _jobs(deps: Deps, callers: Callers) -> APIRouter:
    router = APIRouter()
    caller_of = Depends(callers.caller)

    @router.get("/jobs/{job_id}", responses=_refusals(404))
    def get_job(job_id: str, caller: Annotated[Principal, caller_of], request: Request) -> JobResponse:
        """The job as it is now; once completed, its stems with fresh URLs."""
        job = owned_job(deps, caller, read_id(job_id))
        absolute = callers.absolute(request)

        def link(artifact: Artifact) -> str:
            return absolute(download_url(deps, artifact))

        track = deps.repository.track(job.track_id)
        return JobResponse.of(job, track, heard_at=deps.policy.heard_at(job), link=link)

    def removed(caller: Principal, job_id: str) -> DeletedResponse:
        job = owned_job(deps, caller, read_id(job_id))
        remove(deps, caller, job.id)
        return DeletedResponse.of(job)

    @router.delete("/jobs/{job_id}", responses=_refusals(404))
    async def delete_job(job_id: str, caller: Annotated[Principal, caller_of]) -> DeletedResponse:
        """Remove the job and its stems. A running one is canceled."""
        return await STORE.run(removed, caller, job_id)

    return router


def _facts(deps: Deps) -> APIRouter:
    router = APIRouter()
    release = version("stemwright-server")

    @router.get("/health")
    async def health() -> HealthResponse:
        """Whether the service can do its work."""
        return await HEALTH.run(state)

    def state() -> HealthResponse:
        counts = deps.repository.counts()
        workers = deps.workers.present()
        return HealthResponse(
            status="healthy" if workers and not (deps.store and deps.store.away) else "degraded",
            version=release,
            models_available=[each.model.name for each in offered(askable(deps.planner.services()))],
            queue_status=QueueStatus(
                active_jobs=counts[JobState.RUNNING],
                queued_jobs=counts[JobState.QUEUED],
                workers_available=len(workers),
            ),
        )

    return router
