"""The routes of the studio dialect. Each translates, calls one use case, and translates back."""

import math
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, WebSocket
from fastapi.concurrency import run_in_threadpool
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.requests import HTTPConnection

from stemwright_server.dialects.dialect import Context
from stemwright_server.dialects.studio.live import LONGEST, LOOK_AGAIN, Changes, Places, Socket
from stemwright_server.dialects.studio.processing import Asked, Processing
from stemwright_server.dialects.studio.wire import (
    CancelResponse,
    HealthResponse,
    JobView,
    ModelsResponse,
    ModelView,
    ProcessQuery,
    ProcessRequest,
    ProcessResponse,
    QueueView,
    SongsResponse,
    SongView,
    StatusResponse,
    TicketResponse,
    UploadRequest,
    UploadResponse,
)
from stemwright_server.domain.job import Artifact, JobState
from stemwright_server.domain.work import askable
from stemwright_server.http.callers import Callers
from stemwright_server.http.errors import Problem, problem, status_of
from stemwright_server.http.ids import request_id
from stemwright_server.http.origins import check_origin
from stemwright_server.http.paging import Before, next_of, place_of
from stemwright_server.http.pools import HEALTH, STORE
from stemwright_server.ports.auth import Principal
from stemwright_server.ports.wakeups import of_track
from stemwright_server.usecases.access import owned_job
from stemwright_server.usecases.cancel import cancel
from stemwright_server.usecases.deps import Deps
from stemwright_server.usecases.status import MOST, download_url, songs, track_status
from stemwright_server.usecases.tickets import issue_ticket, redeem_ticket
from stemwright_server.usecases.upload import announce
from stemwright_worker.errors import ServiceError
from stemwright_worker.timestamp import timestamp


def _refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Problem} for status in (401, 422, *statuses)}


_Ticket = Annotated[str | None, Query(max_length=100, description="Of POST /events/ticket, in place of a token.")]


def studio_router(context: Context) -> APIRouter:
    """All routes of the dialect."""
    deps, callers = context.deps, context.callers
    router = APIRouter(tags=["studio"])
    router.include_router(_intake(deps, callers, Processing(deps, context.webhooks)))
    router.include_router(_watching(deps, callers))
    router.include_router(_events(context))
    router.include_router(_facts(deps))
    return router


def _intake(deps: Deps, callers: Callers, processing: Processing) -> APIRouter:
    router = APIRouter()
    caller_of = Depends(callers.caller)

    @router.post("/upload", responses=_refusals(409, 413, 507))
    def upload(body: UploadRequest, caller: Annotated[Principal, caller_of], request: Request) -> UploadResponse:
        """Announce a file and get a URL to PUT its bytes to.

        409 `{"error": "Song already exists", "file_id": ...}` if a file with the declared sha256 is here already; the
        PUT answers the same if the bytes turn out to be. Go on with the file_id of the answer.
        """
        announced = announce(
            deps,
            caller,
            filename=body.filename,
            size=body.size,
            sha256=body.sha256.lower() if body.sha256 else None,
            request_id=request_id(),
        )
        return UploadResponse(
            file_id=announced.track.id,
            upload_url=callers.absolute(request)(announced.upload_url),
            expires_at=timestamp(announced.track.upload_until),
        )

    @router.post("/process", responses=_refusals(404, 409, 410, 413, 507))
    async def process(
        caller: Annotated[Principal, caller_of],
        query: Annotated[ProcessQuery, Query()],
        request: Request,
        body: ProcessRequest | None = None,
        idempotency_key: Annotated[str | None, Header(min_length=1, max_length=255)] = None,
    ) -> ProcessResponse:
        """Queue a job on an uploaded file, on several, on what other jobs made, or on none, as the model takes them.

        Work that is done already is not done again: the answer is the finished job, with `skipped`. Work that is under
        way is joined. The same Idempotency-Key gets the same job for 24 hours. `file_id`, `model` and `variation` may stand
        in the query as well as in the body. The end of the job is told to `callback_url`, by a signed POST of a `Callback`.
        """
        asked = Asked(
            request=(body or ProcessRequest()).joined(query),
            caller=caller,
            key=idempotency_key,
            base_url=callers.arrival_url(request),
        )
        return await STORE.run(processing.process, asked)

    @router.post("/jobs/{job_id}/cancel", responses=_refusals(404, 409))
    def cancel_job(job_id: str, caller: Annotated[Principal, caller_of]) -> CancelResponse:
        """Call a job off. A running one stops within a segment; canceling again changes nothing."""
        job = cancel(deps, caller, job_id)
        return CancelResponse(job_id=job.id, status=job.state)

    return router


def _watching(deps: Deps, callers: Callers) -> APIRouter:
    router = APIRouter()
    caller_of = Depends(callers.caller)

    def link(request: Request) -> Callable[[Artifact], str]:
        absolute = callers.absolute(request)
        return lambda artifact: absolute(download_url(deps, artifact))

    @router.get("/songs", responses=_refusals())
    def songs_page(
        caller: Annotated[Principal, caller_of],
        limit: Annotated[int, Query(ge=1, le=200)] = 50,
        cursor: Annotated[str | None, Query(max_length=100, description="`next` of the page before.")] = None,
    ) -> SongsResponse:
        """Your songs, newest first: what was uploaded and looked at, with the last job of each model on it."""
        page, last = songs(deps, caller, limit=limit, before=place_of(cursor))
        return SongsResponse(songs=[SongView.of(song) for song in page], next=next_of(last.track) if last else None)

    @router.get("/status/{file_id}", responses=_refusals(404))
    def status(
        file_id: str,
        caller: Annotated[Principal, caller_of],
        request: Request,
        before: Before = None,
        limit: Annotated[int, Query(ge=1, le=500)] = MOST,
    ) -> StatusResponse:
        """The file and its newest jobs, oldest first, with progress, outputs and fidelity reports; `work` sums up all."""
        found = track_status(deps, caller, file_id, limit=limit, before=place_of(before))
        views = [JobView.of(job, link(request)) for job in found.jobs]
        latest = deps.repository.latest_of(file_id)
        return StatusResponse.of(found.track, latest, views, None if found.last is None else next_of(found.last))

    @router.get("/jobs/{job_id}", responses=_refusals(404))
    def job(job_id: str, caller: Annotated[Principal, caller_of], request: Request) -> JobView:
        """A job, whatever it takes in; as in GET /status."""
        return JobView.of(owned_job(deps, caller, job_id), link(request))

    return router


def _events(context: Context) -> APIRouter:
    router = APIRouter()
    deps, callers, wakeups, places = context.deps, context.callers, context.wakeups, Places()

    def link(connection: HTTPConnection) -> Callable[[Artifact], str]:
        absolute = callers.absolute(connection)
        return lambda artifact: absolute(download_url(deps, artifact))

    @router.post("/events/ticket", responses=_refusals(429))
    def ticket(caller: Annotated[Principal, Depends(callers.caller)]) -> TicketResponse:
        """A ticket that opens one event stream or WebSocket, as you, within a minute: for browsers, which send no token."""
        issued = issue_ticket(deps, caller)
        return TicketResponse(ticket=issued.text, expires_at=timestamp(issued.expires_at))

    def listener(file_id: str, request: Request, ticket: _Ticket = None) -> Iterator[Principal]:
        """Who listens. A stream has no way to say 401, 404 or 429 once it began."""
        caller = callers.identify(request) if ticket is None else redeem_ticket(deps, ticket)
        track_status(deps, caller, file_id)
        with places.place(caller):
            yield caller

    @router.get("/events/{file_id}", response_class=EventSourceResponse, responses=_refusals(404, 429))
    async def events(
        file_id: str,
        request: Request,
        caller: Annotated[Principal, Depends(listener)],
        ticket: _Ticket = None,
        last_event_id: Annotated[str | None, Query(max_length=4096, description="As the header, which wins.")] = None,
    ) -> AsyncIterator[ServerSentEvent]:
        """Server-sent events `progress`, `completed`, `failed`, `canceled`; the data is the job as in GET /status.

        A stream begins with the state of every job as it is now, so that nothing is missed by connecting late; with
        `Last-Event-ID` it begins with what changed since that event.
        """
        seen = request.headers.get("Last-Event-ID") or last_event_id or ""
        changes = Changes(deps, caller, file_id, link(request), seen)
        over = time.monotonic() + LONGEST if ticket else math.inf
        with wakeups.listen(of_track(file_id)) as heard:
            while not heard.closed and time.monotonic() < over:
                for change in await run_in_threadpool(changes.news):
                    yield ServerSentEvent(event=change.event, id=change.id, data=change.job)
                await heard.wait(LOOK_AGAIN)

    @router.websocket("/events/socket")
    async def socket(websocket: WebSocket, ticket: _Ticket = None) -> None:
        """The same of any number of files, over a WebSocket: see README.md."""
        try:
            check_origin(websocket, context.origins)
            if ticket is None:
                caller = callers.identify(websocket)
            else:
                caller = await run_in_threadpool(redeem_ticket, deps, ticket)
            with places.place(caller):
                await websocket.accept()
                seconds = LONGEST if ticket else None
                await Socket(websocket, deps, wakeups, caller, link(websocket), seconds=seconds).run()
        except ServiceError as error:
            await websocket.send_denial_response(problem(status_of(error), error.code, str(error), error.context))

    return router


def _facts(deps: Deps) -> APIRouter:
    router = APIRouter()
    release = version("stemwright-server")

    @router.get("/models")
    def models() -> ModelsResponse:
        """The models that may be asked for now, their variations, and how many workers are there for each."""
        services = askable(deps.planner.services())
        there = Counter(name for worker in deps.workers.present() for name in worker.services)
        go_on = deps.workers.open_services([each.name for each in services])
        return ModelsResponse(
            models=[ModelView.of(each, workers=there[each.name], paused=each.name not in go_on) for each in services]
        )

    @router.get("/health")
    async def health() -> HealthResponse:
        """Whether the service can do its work."""
        return await HEALTH.run(state)

    def state() -> HealthResponse:
        counts = deps.repository.counts()
        workers = deps.workers.present()
        return HealthResponse(
            status="store_away" if deps.store and deps.store.away else "ok" if workers else "no_workers",
            version=release,
            gpu=any(worker.device.startswith("cuda") for worker in workers),
            workers=len(workers),
            workers_set_aside=sum(deps.workers.is_aside(worker.worker) for worker in workers),
            queue=QueueView(**{state.value: counts[state] for state in JobState}),
        )

    return router
