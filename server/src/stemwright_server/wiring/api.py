"""The wiring of the API: which adapter stands behind which port, and the app over them. No container, no globals."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from fastapi import FastAPI
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from stemwright_server.adapters.blobs.local import LocalBlobs
from stemwright_server.adapters.jobs.sql import SqlJobRepository
from stemwright_server.adapters.services.announced import AnnouncedServices
from stemwright_server.adapters.wakeups.in_process import InProcessWakeUps
from stemwright_server.adapters.wakeups.several_notifiers import SeveralNotifiers
from stemwright_server.adapters.wakeups.track_notifier import TrackNotifier
from stemwright_server.adapters.webhooks.http import HttpWebhooks
from stemwright_server.dialects import DIALECTS
from stemwright_server.dialects.dialect import Context, Dialect
from stemwright_server.domain.delivery import Backoff
from stemwright_server.domain.lifecycle import Policy
from stemwright_server.http.callers import Callers
from stemwright_server.http.errors import ErrorShapes, add_error_handlers
from stemwright_server.http.ids import REQUEST_ID
from stemwright_server.http.middleware.body_limit import MAX_JSON_BYTES, BodyLimit
from stemwright_server.http.middleware.count_requests import CountRequests
from stemwright_server.http.middleware.own_origin import OwnOrigin
from stemwright_server.http.middleware.plain_requests import PlainRequests
from stemwright_server.http.middleware.prepare_caller import PrepareCaller
from stemwright_server.http.middleware.request_context import RequestContext
from stemwright_server.http.middleware.socket import SocketMiddleware
from stemwright_server.http.middleware.trace_requests import TraceRequests
from stemwright_server.http.openapi import describe_as_it_is
from stemwright_server.http.rates import Rates
from stemwright_server.http.socketio import Channel, SocketEvents
from stemwright_server.ports.auth import Authenticator
from stemwright_server.ports.blobs import BlobStore
from stemwright_server.ports.jobs import JobRepository
from stemwright_server.ports.planner import Planner
from stemwright_server.ports.wakeups import WakeUps
from stemwright_server.routes.blobs.router import blobs_router
from stemwright_server.routes.metrics.router import Metrics, metrics_router
from stemwright_server.routes.page.router import page_router
from stemwright_server.routes.verify.router import verify_router
from stemwright_server.routes.workers.router import BODY_LIMITS, workers_router
from stemwright_server.settings import Settings
from stemwright_server.settings.webhooks import webhook_key
from stemwright_server.usecases.deps import Deps, Limits
from stemwright_server.usecases.measure import measure
from stemwright_server.usecases.outbox import Outbox, WebhookKeys
from stemwright_server.usecases.store_watch import StoreWatch
from stemwright_server.usecases.upload import receive
from stemwright_server.usecases.webhook_dispatcher import WebhookDispatcher
from stemwright_server.usecases.worker_registry import WorkerRegistry
from stemwright_server.wiring.callers import build_authenticator
from stemwright_server.wiring.stores import build_broker, check_owner, open_blobs, open_jobs
from stemwright_worker.contract.signing import Verifier
from stemwright_worker.contract.worker_token import PREFIX
from stemwright_worker.errors import InvalidRequest
from stemwright_worker.installed import InstalledProbe
from stemwright_worker.ports.sources import SourceFetcher
from stemwright_worker.ports.tracing import NO_TRACER, Tracer
from stemwright_worker.sources.http import HttpSources
from stemwright_worker.sources.youtube import YouTubeSource
from stemwright_worker.tracing.build import build_tracer
from stemwright_worker.wiring import youtube_limits

Dialects = Sequence[Dialect[Any]]

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]", "::1")
_UNCOMPRESSED = (
    *DEFAULT_EXCLUDED_CONTENT_TYPES,
    "application/octet-stream",
)  # blobs are audio, whatever they are called
_CORS: Mapping[str, Any] = {
    "allow_methods": ["GET", "POST", "PUT", "DELETE"],
    "allow_headers": [
        "Authorization",
        "Content-Type",
        "Content-Digest",
        "Idempotency-Key",
        "If-Range",
        "Range",
        REQUEST_ID,
    ],
    "expose_headers": [
        REQUEST_ID,
        "Content-Disposition",
        "Content-Range",
        "ETag",
        "RateLimit",
        "RateLimit-Policy",
        "Retry-After",
    ],
}


@dataclass(frozen=True, kw_only=True)
class Api:
    """The API's process: what ``serve`` runs, and has to close."""

    app: FastAPI
    deps: Deps
    wakeups: InProcessWakeUps
    repository: SqlJobRepository
    dispatcher: WebhookDispatcher
    metrics: Metrics


def build_api(
    settings: Settings,
    *,
    me: str,
    worker_secret: str,
    hosts: Sequence[str] = (),
    closed: bool = False,
    dialects: Dialects = DIALECTS,
) -> Api:
    """The API over the job store and the blobs of the settings; ``settings.data_dir`` exists.

    ``me``: names this process among those that share the folder. ``worker_secret``: of the workers that ``serve`` itself
    starts. ``hosts``: the names it may be addressed by; none means any. ``closed``: without tokens nobody is let in,
    instead of everybody, where a token is asked for.
    """
    tracer = build_tracer(settings.traces_endpoint, service="stemwright-api")
    repository, wakeups, clock = open_jobs(settings)
    if settings.on_postgres and settings.s3_options() is None:  # else the lock on the folder says whose it is
        check_owner(settings.data_dir, repository.installation())
    planner = AnnouncedServices(repository, names=settings.models, clock=clock)
    deps = build_deps(settings, repository, open_blobs(settings, me), wakeups, planner, clock=clock, tracer=tracer)
    authenticator = build_authenticator(settings, closed=closed)
    on = [dialect for dialect in dialects if dialect.is_on(settings)]
    live = SocketEvents(
        [dialect.live(deps, authenticator) for dialect in on if dialect.live is not None],
        origins=settings.api_cors_origins,
        channel=_channel(settings),
    )
    dispatcher = _dispatcher(settings, deps, dialects)
    deps = replace(deps, notifier=SeveralNotifiers(deps.notifier, dispatcher, live))
    metrics = Metrics(lambda: measure(deps), data_dir=settings.data_dir)
    outside = [each.get_secret_value() for each in (settings.worker_secret, settings.worker_secret_previous) if each]
    if any(each.startswith(PREFIX) for each in outside):
        raise InvalidRequest(
            "STEMWRIGHT_WORKER_SECRET is a worker's token; the service needs the secret it was made of."
        )
    app = build_app(
        settings,
        build_context(settings, deps, wakeups, authenticator),
        Verifier([worker_secret, *outside]),
        metrics,
        live,
        hosts=hosts,
        dialects=dialects,
    )
    return Api(app=app, deps=deps, wakeups=wakeups, repository=repository, dispatcher=dispatcher, metrics=metrics)


def build_app(
    settings: Settings,
    context: Context,
    verifier: Verifier,
    metrics: Metrics,
    live: SocketEvents,
    *,
    hosts: Sequence[str] = (),
    dialects: Dialects = DIALECTS,
) -> FastAPI:
    """The HTTP app: every dialect that is on, and the routes that belong to none, over the same use cases."""
    on = [dialect for dialect in dialects if dialect.is_on(settings)]
    off = [dialect for dialect in dialects if dialect not in on]
    shapes = ErrorShapes([shape for dialect in on for shape in dialect.error_shapes])
    uncapped = ("/blobs/", *(path for dialect in on for path in dialect.uncapped))
    origins = list(settings.api_cors_origins)
    ours = [*origins, *([settings.public_url] if settings.public_url else [])]
    deps, blobs = context.deps, context.deps.blobs
    middleware = [  # the first one is the outermost: the first to see a request, the last to see its answer
        Middleware(CountRequests, counts=metrics.requests),  # what the others refuse is counted as well
        Middleware(RequestContext, shapes=shapes),  # from here on there is a request id, and no error without a shape
        Middleware(TraceRequests, tracer=deps.tracer),
        Middleware(PlainRequests, shapes=shapes),
        *([Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)] if hosts else []),
        *([Middleware(CORSMiddleware, allow_origins=origins, **_CORS)] if origins else []),
        *([Middleware(OwnOrigin, allowed=ours, shapes=shapes)] if not settings.sign_in else []),
        Middleware(GZipMiddleware, minimum_size=1000, compresslevel=6, exclude_content_types=_UNCOMPRESSED),
        *([Middleware(PrepareCaller, authenticator=context.callers.authenticator)] if settings.sign_in else []),
        Middleware(BodyLimit, max_bytes=MAX_JSON_BYTES, own=BODY_LIMITS, exempt=uncapped, shapes=shapes),
        *([Middleware(SocketMiddleware, events=live)] if live.namespaces else []),
    ]
    app = FastAPI(
        title="Stemwright",
        version=version("stemwright-server"),
        description="Takes a mix apart into stems.",
        docs_url=None,  # it loads scripts of others, on the origin where the page keeps its token
        redoc_url=None,
        middleware=middleware,
    )
    add_error_handlers(app, shapes)
    describe_as_it_is(app, shapes)
    for dialect in on:
        app.include_router(dialect.routes(context, settings))
    for dialect in off:
        if dialect.routes_when_off is not None:
            app.include_router(dialect.routes_when_off())
    app.include_router(page_router(connect=[origin] if (origin := blobs.origin()) else []))
    app.include_router(verify_router(context.callers), include_in_schema=False)
    app.include_router(workers_router(deps, context.wakeups, verifier), include_in_schema=False)
    if isinstance(blobs, LocalBlobs):  # a bucket answers its URLs itself
        app.include_router(blobs_router(blobs, lambda track_id, sha256: receive(deps, track_id, sha256=sha256)))
    if settings.metrics:
        app.include_router(metrics_router(metrics))
    return app


def build_context(settings: Settings, deps: Deps, wakeups: WakeUps, authenticator: Authenticator) -> Context:
    """What every dialect makes its routes of.

    Raises:
        Unavailable: REDIS_URL is set and the client of Redis is not here.
    """
    return Context(
        deps=deps,
        callers=Callers(authenticator, settings.public_url, settings.allowed_hosts),
        rates=Rates(settings.redis_address),
        wakeups=wakeups,
        sources=_sources(settings),
        webhooks=frozenset(settings.api_webhook_url_allowlist) if _webhook_keys(settings).standard else None,
        origins=(*settings.api_cors_origins, *([settings.public_url] if settings.public_url else [])),
    )


def build_deps(
    settings: Settings,
    repository: JobRepository,
    blobs: BlobStore,
    wakeups: WakeUps,
    planner: Planner,
    *,
    clock: Callable[[], float] = time.time,
    tracer: Tracer = NO_TRACER,
) -> Deps:
    """The ports and rules that every use case works with."""
    return Deps(
        repository=repository,
        blobs=blobs,
        broker=build_broker(settings, wakeups),
        notifier=TrackNotifier(wakeups),
        workers=WorkerRegistry(repository, clock),
        planner=planner,
        probe=InstalledProbe.find(name=settings.probe, max_seconds=settings.max_duration),
        policy=Policy(
            lease_seconds=settings.lease_seconds,
            max_attempts=settings.max_attempts,
            retry_seconds=settings.retry_seconds,
        ),
        limits=Limits(
            max_bytes=settings.max_file_size,
            max_seconds=settings.max_duration,
            upload_seconds=settings.upload_seconds,
            url_seconds=settings.url_seconds,
            job_seconds=settings.job_seconds,
            upload_retention=settings.upload_retention,
            output_retention=settings.output_retention,
            max_queued=settings.max_queued or None,
            urgent_subjects=settings.urgent_subjects,
        ),
        clock=clock,
        store=StoreWatch(blobs, clock=clock),
        tracer=tracer,
    )


def _channel(settings: Settings) -> Channel | None:
    """To the other processes of the API, by the Redis of the settings."""
    if settings.redis_address is None or find_spec("redis") is None:  # whose absence the counts of calls complain of
        return None
    from stemwright_server.adapters.live.redis_channel import RedisChannel

    return RedisChannel(settings.redis_address)


def _sources(settings: Settings) -> Mapping[str, SourceFetcher]:
    """What looks at callers' links before their jobs are queued, by the name under which a worker has the same."""
    found: dict[str, SourceFetcher] = {"http": HttpSources(settings.source_origin_allowlist)}
    if (youtube := youtube_limits(settings)) is not None:
        found["youtube"] = YouTubeSource(youtube)
    return found


def _dispatcher(settings: Settings, deps: Deps, dialects: Dialects) -> WebhookDispatcher:
    """What sends the webhooks of ended jobs: those of dialects that are off now as well."""
    allowed = frozenset(settings.api_webhook_url_allowlist)
    outbox = Outbox(
        deps=deps,
        sender=HttpWebhooks(allowed, seconds=settings.webhook_seconds),
        bodies={each.name: each.webhook_body(deps) for each in dialects if each.webhook_body is not None},
        keys=_webhook_keys(settings),
        allowed=allowed,
        backoff=Backoff(tries=settings.webhook_tries, first=settings.webhook_retry_seconds),
        send_seconds=settings.webhook_seconds,
    )
    return WebhookDispatcher(outbox, hands=settings.webhook_senders)


def _webhook_keys(settings: Settings) -> WebhookKeys:
    tokens = settings.split_tokens
    both = (settings.webhook_secret, settings.webhook_secret_previous)
    standard = [webhook_key(each.get_secret_value()) for each in both if each is not None]
    return WebhookKeys(token=tokens[0] if tokens else None, standard=standard or [each.encode() for each in tokens])
