"""The routes of the webserver dialect. Each translates, calls one use case, and translates back."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import Response

from stemwright_server.dialects.webserver.download import zip_response
from stemwright_server.dialects.webserver.form import Form, received
from stemwright_server.dialects.webserver.intake import DIALECT, Addresses, Intake
from stemwright_server.dialects.webserver.wire import (
    BatchCreated,
    BatchEntry,
    ErrorBody,
    JobChanged,
    JobCreated,
    JobsResponse,
    Links,
    ModelsResponse,
    PeaksResponse,
    StatusResponse,
    model_view,
    song_of,
    status_response,
)
from stemwright_server.domain.job import Job, JobState
from stemwright_server.domain.lifecycle import Expire
from stemwright_server.domain.work import askable, offered
from stemwright_server.http.callers import Callers
from stemwright_server.http.ids import read_id, shown_id
from stemwright_server.http.pools import STORE
from stemwright_server.http.rates import Rates
from stemwright_server.ports.auth import Principal
from stemwright_server.usecases.access import owned_job
from stemwright_server.usecases.archive import archive, read
from stemwright_server.usecases.cancel import cancel
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.record import apply
from stemwright_server.usecases.remove import remove
from stemwright_server.usecases.status import download_url
from stemwright_worker.contract.service import PEAKS
from stemwright_worker.errors import InvalidRequest, NotFound, ServiceError

_BATCH_FILES = 50
_PROPERTIES = {
    "audio_file": {"type": "string", "format": "binary", "description": "The song; or give source_url."},
    "source_url": {"type": "string", "description": "Where the worker fetches the song; or give audio_file."},
    "model": {"type": "string", "description": "One of GET /api/models."},
    "format": {"type": "string", "description": "Of the stems: mp3, wav, flac ..."},
    "stems": {"type": "string", "default": "all", "description": "all, or names, comma-separated."},
    "two_stems": {"type": "string", "description": "This stem, and everything else as no_<stem>."},
    "shifts": {"type": "integer", "description": "Passes with a random shift; more is better and slower."},
    "overlap": {"type": "number", "description": "Of neighbouring segments, 0 to 0.95."},
    "dc_offset": {
        "type": "string",
        "default": "auto",
        "description": "Of the mix: each (as Demucs) or shared by the stems.",
    },
    "priority": {"type": "integer", "default": 5, "description": "0 to 9; a higher one is done first."},
    "webhook_url": {"type": "string", "description": "Is told of the end of the job."},
}


def _body(**files: Any) -> dict[str, Any]:
    schema = {"type": "object", "properties": _PROPERTIES | files}
    return {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": schema}}}}


_SEVERAL = {"type": "array", "items": {"type": "string", "format": "binary"}, "description": "The songs."}


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": ErrorBody} for status in (401, 429, *statuses)}


class WebserverRoutes:
    """What the routes share."""

    def __init__(self, intake: Intake, callers: Callers, rates: Rates, *, upload_rate: str, rate: str) -> None:
        self.intake = intake
        self.deps: Deps = intake.deps
        self.callers = callers
        self.count_upload = rates.limit("uploads", upload_rate, callers.identify)
        self.count_one_more = partial(rates.count, "uploads", upload_rate, callers.identify)
        self.count_call = rates.limit("calls", rate, callers.identify)

    def router(self) -> APIRouter:
        """All routes of the dialect."""
        router = APIRouter(prefix="/api", tags=["webserver"])
        router.include_router(_submitting(self))
        counted = [Depends(self.count_call)]
        router.include_router(_watching(self), dependencies=counted)
        router.include_router(_results(self), dependencies=counted)
        router.include_router(_models(self), dependencies=counted)
        return router

    def job(self, caller: Principal, shown: str) -> Job:
        """The caller's job that came by this dialect. Raises NotFound."""
        job = owned_job(self.deps, caller, read_id(shown))
        if job.options.dialect != DIALECT:
            raise NotFound(f"There is no job {shown!r}.", code="job_not_found")
        return job

    def view(self, job: Job, links: Links) -> StatusResponse:
        """The job as it is now."""
        queued = job.state is JobState.QUEUED
        position = self.deps.repository.ahead(job) + 1 if queued else None
        return status_response(job, links, heard_at=self.deps.policy.heard_at(job), queue_position=position)

    def addresses(self, request: Request) -> Addresses:
        """For what is told later."""
        return Addresses(own=self.callers.own_url(request), arrival=self.callers.arrival_url(request))

    def links(self, request: Request) -> Links:
        """URLs as the caller of this request has to see them."""
        absolute = self.callers.absolute(request)
        return Links(blob=lambda artifact, song: absolute(download_url(self.deps, artifact, song=song)), page=absolute)


def _submitting(routes: WebserverRoutes) -> APIRouter:
    router = APIRouter()
    intake, caller_of = routes.intake, Depends(routes.callers.caller)

    @router.post(
        "/upload",
        status_code=202,
        responses=_refusals(400, 413, 507),
        openapi_extra=_body(),
        dependencies=[Depends(routes.count_upload)],
    )
    async def upload(
        request: Request,
        caller: Annotated[Principal, caller_of],
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
    ) -> JobCreated:
        """Make a job of a song. The same Idempotency-Key gets the same job for 24 hours."""
        async with received(
            request, intake.deps.blobs, intake.deps.probe, max_bytes=intake.max_bytes, max_files=1
        ) as form:
            job = await STORE.run(_submit, intake, caller, form, routes.addresses(request), idempotency_key)
        return JobCreated.of(job)

    @router.post(
        "/batch",
        status_code=202,
        responses=_refusals(400, 413, 507),
        openapi_extra=_body(audio_file=_SEVERAL),
        dependencies=[Depends(routes.count_upload)],
    )
    async def batch(request: Request, caller: Annotated[Principal, caller_of]) -> BatchCreated:
        """Make a job of each of several songs, all with the same options. One that is refused keeps no other back."""

        def submit_all(form: Form) -> list[BatchEntry]:
            asked = intake.read(form.fields, routes.addresses(request))
            if not form.files or asked.source_url is not None:
                raise InvalidRequest("Send at least one file as the field 'audio_file'.", code="no_input")
            entries = []
            for number, file in enumerate(form.files):
                entry = BatchEntry(filename=file.filename)
                try:
                    if number:  # the first was counted with the request
                        routes.count_one_more(request)
                    job = intake.submit_file(caller, asked, file, key=None)
                    entry = entry.model_copy(update=JobCreated.of(job).model_dump())
                except ServiceError as error:
                    entry = entry.model_copy(update={"error": str(error), "code": error.code})
                entries.append(entry)
            return entries

        caps = {"max_bytes": intake.max_bytes, "max_files": _BATCH_FILES}
        async with received(request, intake.deps.blobs, intake.deps.probe, **caps) as form:
            return BatchCreated(jobs=await STORE.run(submit_all, form))

    return router


def _submit(intake: Intake, caller: Principal, form: Form, addresses: Addresses, key: str | None) -> Job:
    asked = intake.read(form.fields, addresses)
    if bool(form.files) == bool(asked.source_url):
        code = "two_inputs" if form.files else "no_input"
        raise InvalidRequest("Send one file as the field 'audio_file', or a source_url.", code=code)
    if not form.files:
        return intake.submit_link(caller, asked, key=key)
    return intake.submit_file(caller, asked, form.files[0], key=key)


def _watching(routes: WebserverRoutes) -> APIRouter:
    router = APIRouter()
    deps, caller_of = routes.deps, Depends(routes.callers.caller)

    @router.get("/status/{job_id}", responses=_refusals(404))
    def status(job_id: str, caller: Annotated[Principal, caller_of], request: Request) -> StatusResponse:
        """A job as it is now; once completed, its stems with fresh URLs."""
        return routes.view(routes.job(caller, job_id), routes.links(request))

    @router.get("/jobs", responses=_refusals(400))
    def jobs(
        request: Request,
        caller: Annotated[Principal, caller_of],
        limit: Annotated[int, Query(ge=1, le=100)] = 50,
        before: Annotated[
            datetime | None, Query(description="Only jobs created before; UTC unless it says otherwise.")
        ] = None,
    ) -> JobsResponse:
        """Your jobs that are still here, newest first."""
        since = None if before is None else before.replace(tzinfo=before.tzinfo or UTC).timestamp()
        found = deps.repository.history(caller.subject, DIALECT, limit=limit, before=since)
        now, links = deps.clock(), routes.links(request)
        here = [job for job in found if job.expires_at is None or job.expires_at > now]
        return JobsResponse(jobs=[routes.view(job, links) for job in here])

    @router.post("/cancel/{job_id}", responses=_refusals(404, 409))
    def cancel_job(job_id: str, caller: Annotated[Principal, caller_of]) -> JobChanged:
        """Call a job off. A running one stops within a segment; canceling again changes nothing."""
        return JobChanged.of(cancel(deps, caller, routes.job(caller, job_id).id))

    @router.delete("/jobs/{job_id}", status_code=204, responses=_refusals(404))
    async def delete_job(job_id: str, caller: Annotated[Principal, caller_of]) -> Response:
        """Remove a job, its upload and its stems. A running one is canceled."""
        await STORE.run(lambda: remove(deps, caller, routes.job(caller, job_id).id))
        return Response(status_code=204)

    return router


def _results(routes: WebserverRoutes) -> APIRouter:
    router = APIRouter()
    deps, caller_of = routes.deps, Depends(routes.callers.caller)

    @router.head("/download/{job_id}", include_in_schema=False)
    @router.get(
        "/download/{job_id}",
        response_class=Response,
        responses={200: {"content": {"application/zip": {}}}, **_refusals(400, 404, 409)},
    )
    async def download(
        job_id: str,
        request: Request,
        caller: Annotated[Principal, caller_of],
        stems: Annotated[str, Query(description="Names, comma-separated. Empty: all.")] = "",
        name: Annotated[Literal["job", "song"], Query(description="What the file is called after.")] = "job",
    ) -> Response:
        """The stems as a zip, not compressed. Range and If-Range are honoured: a download can be resumed."""
        job = await STORE.run(routes.job, caller, job_id)
        found = await STORE.run(archive, deps, job, [name for name in stems.split(",") if name])

        def chunks(start: int, stop: int) -> Iterator[bytes]:
            return read(deps, found, start, stop)

        def ended() -> None:
            keep = routes.intake.rules.keep_after_download
            if found.whole and keep is not None:
                apply(deps, job.id, Expire(at=deps.clock() + keep))

        filename = f"{song_of(job)} stems.zip" if name == "song" else f"stems_{shown_id(job)}.zip"
        return zip_response(request, found, filename, chunks, ended)

    @router.get("/peaks/{job_id}/{stem}", responses=_refusals(404))
    async def peaks(
        job_id: str, stem: str, caller: Annotated[Principal, caller_of], response: Response
    ) -> PeaksResponse:
        """A stem's waveform, to be drawn."""

        def drawn() -> dict[str, Any]:
            job = routes.job(caller, job_id)
            artifact = next((each for each in job.artifacts if each.role == PEAKS), None)
            return {} if artifact is None else dict(json.loads(b"".join(deps.blobs.read(artifact.key))))

        stems = await STORE.run(drawn)
        if stem not in stems:
            raise NotFound(f"There is no waveform of {stem!r}: the model made none.", code="no_peaks")
        response.headers["Cache-Control"] = "private, max-age=86400, immutable"
        return PeaksResponse(**stems[stem])

    return router


def _models(routes: WebserverRoutes) -> APIRouter:
    router = APIRouter()
    intake, deps = routes.intake, routes.deps

    @router.get("/models", responses=_refusals())
    def models() -> ModelsResponse:
        """What can be asked for."""
        rules = intake.rules
        found = [each.model for each in offered(askable(deps.planner.services()))]
        return ModelsResponse(
            models=[
                model_view(each, default=rules.default_model, default_format=rules.default_format) for each in found
            ],
            max_file_size=intake.max_bytes,
            max_duration=deps.limits.max_seconds,
            links=intake.takes_links,
        )

    return router
