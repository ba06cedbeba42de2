"""The wiring of the API: which adapter stands behind which port. No container, no globals, nothing connected at import."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import structlog

from stemwright_server.settings import Settings
from stemwright_server.wiring.observability import add_metrics, traces_endpoint
from stemwright_server.wiring.stemify import add_stemify
from stemwright_worker.tracing.build import build_tracer

if TYPE_CHECKING:
    from fastapi import FastAPI
    from sqlalchemy import Engine

    from stemwright_server.adapters.broker.in_process import InProcessBroker
    from stemwright_server.adapters.jobs.sql import SqlJobRepository
    from stemwright_server.adapters.wakeups.in_process import InProcessWakeUps
    from stemwright_server.http.socketio import SocketEvents
    from stemwright_server.ports.blobs import BlobStore
    from stemwright_server.ports.catalogue import Catalogue
    from stemwright_server.ports.jobs import JobRepository
    from stemwright_server.usecases.deps import Deps
    from stemwright_server.usecases.webhook_dispatcher import WebhookDispatcher
    from stemwright_server.usecases.workers import WorkerRegistry
    from stemwright_worker.ports.tracing import Tracer

_log = structlog.get_logger(__name__)
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]", "::1")


@dataclass(frozen=True, kw_only=True)
class Api:
    """The API's process: what ``serve`` runs, and has to close."""

    app: FastAPI
    deps: Deps
    registry: WorkerRegistry
    wakeups: InProcessWakeUps
    repository: SqlJobRepository
    dispatcher: WebhookDispatcher


def build_api(
    settings: Settings, *, me: str, worker_secret: str, hosts: Sequence[str] = (), closed: bool = False
) -> Api:
    """The API over the job store and the blobs of the settings; ``settings.data_dir`` exists.

    ``me``: names this process among those that share the folder. ``worker_secret``: of the workers that ``serve`` itself
    starts. ``hosts``: the names it may be addressed by; none means any. ``closed``: without JWT_SECRET nobody is let in,
    instead of everybody, where a token is asked for.
    """
    from stemwright_server.adapters.wakeups.several import SeveralNotifiers
    from stemwright_server.usecases.workers import WorkerRegistry
    from stemwright_server.wiring.split import build_dispatcher
    from stemwright_server.wiring.webserver import build_live
    from stemwright_worker.installed import InstalledServices

    tracer = build_tracer(traces_endpoint(settings), service="stemwright-api")
    repository, wakeups, clock = open_jobs(settings)
    blobs = open_blobs(settings, me)
    registry = WorkerRegistry()
    deps = build_deps(
        settings, repository, blobs, wakeups, InstalledServices.find(settings.models), clock=clock, tracer=tracer
    )
    dispatcher = build_dispatcher(settings, deps)
    live = build_live(settings, deps, _authenticator(settings, closed=closed))
    deps = replace(deps, notifier=SeveralNotifiers(deps.notifier, dispatcher, live))
    app = build_app(
        settings, deps, blobs, wakeups, registry, live, worker_secret=worker_secret, hosts=hosts, closed=closed
    )
    return Api(app=app, deps=deps, registry=registry, wakeups=wakeups, repository=repository, dispatcher=dispatcher)


def incoming_folders(settings: Settings, process: str) -> tuple[Path, Path]:
    """Where a process keeps files on their way into a bucket, and into the data folder; they go with it."""
    data = settings.data_dir
    return data / "fetched" / process, data / "blobs" / ".parts" / process  # no key of a blob begins with a dot


def open_blobs(settings: Settings, me: str) -> BlobStore:
    """The blobs that the settings name. Raises Unavailable if they name a bucket that refuses us or is not there."""
    fetched, deps = incoming_folders(settings, me)
    if (options := settings.s3_options()) is not None:
        from stemwright_server.adapters.blobs.s3 import open_bucket

        public = settings.s3_public_endpoint or None
        return open_bucket(options, fetched, public_endpoint=public, part_bytes=settings.part_bytes)
    from stemwright_server.adapters.blobs.local import LocalBlobs

    return LocalBlobs(
        settings.data_dir / "blobs",
        deps,
        secret=_kept_secret(settings.data_dir / "url.key"),
        min_free_bytes=settings.min_free_bytes,
    )


def job_engine(settings: Settings) -> Engine:
    """The engine of the job store that the settings name; nothing is opened or made. Raises Unavailable without a driver."""
    url = settings.database_url.get_secret_value() if settings.database_url else ""
    if settings.on_postgres:
        from sqlalchemy import make_url

        from stemwright_server.adapters.jobs.postgres import postgres_engine

        return postgres_engine(make_url(url.replace("postgres://", "postgresql://", 1)), pool=settings.database_pool)
    from stemwright_server.adapters.jobs.sqlite import sqlite_engine

    return sqlite_engine(Path(url.removeprefix("sqlite:///")) if url else settings.data_dir / "stemwright.db")


def open_jobs(settings: Settings) -> tuple[SqlJobRepository, InProcessWakeUps, Callable[[], float]]:
    """The job store that the settings name, brought forward, its wake-ups and its clock. Raises Unavailable."""
    from stemwright_server.adapters.jobs.sql import SqlJobRepository

    engine = job_engine(settings)
    repository = SqlJobRepository(engine)
    if settings.on_postgres:
        from stemwright_server.adapters.jobs.postgres import DatabaseClock
        from stemwright_server.adapters.wakeups.postgres import (
            PostgresWakeUps,  # needs the driver, as the engine has said
        )

        return repository, PostgresWakeUps(engine), DatabaseClock(repository.time)
    from stemwright_server.adapters.wakeups.in_process import InProcessWakeUps

    return repository, InProcessWakeUps(), time.time


def build_broker(settings: Settings, wakeups: InProcessWakeUps) -> InProcessBroker:
    """The broker that the settings name; whichever it is, workers that ask the API themselves are woken as well."""
    from importlib.util import find_spec

    from stemwright_server.adapters.broker.in_process import InProcessBroker
    from stemwright_worker.errors import Unavailable

    address = settings.broker_address or ""
    extras = ["celery", "redis"] if address.startswith("redis") else ["celery"]
    missing = [extra for extra in extras if find_spec(extra) is None]
    if not address or (settings.broker_url is None and missing):
        return InProcessBroker(wakeups)
    if missing:
        raise Unavailable(
            f"BROKER_URL needs what is not here: pip install 'stemwright-server[{','.join(extras)}]'.",
            code="extra_missing",
        )
    from stemwright_server.adapters.broker.celery_broker import CeleryBroker

    return CeleryBroker(wakeups, address, job_seconds=settings.job_seconds, stop_seconds=settings.stop_seconds)


def build_deps(
    settings: Settings,
    repository: JobRepository,
    blobs: BlobStore,
    wakeups: InProcessWakeUps,
    catalogue: Catalogue,
    *,
    clock: Callable[[], float] = time.time,
    tracer: Tracer | None = None,
) -> Deps:
    """The ports and rules that every use case works with."""
    from stemwright_server.adapters.wakeups.notifier import InProcessNotifier
    from stemwright_server.domain.lifecycle import Policy
    from stemwright_server.usecases.deps import Deps, Limits
    from stemwright_worker.installed import InstalledProbe
    from stemwright_worker.ports.tracing import NO_TRACER

    return Deps(
        repository=repository,
        blobs=blobs,
        broker=build_broker(settings, wakeups),
        notifier=InProcessNotifier(wakeups),
        catalogue=catalogue,
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
        ),
        clock=clock,
        tracer=tracer or NO_TRACER,
    )


def build_app(
    settings: Settings,
    deps: Deps,
    blobs: BlobStore,
    wakeups: InProcessWakeUps,
    registry: WorkerRegistry,
    live: SocketEvents | None = None,
    *,
    worker_secret: str,
    hosts: Sequence[str] = (),
    closed: bool = False,
) -> FastAPI:
    """The HTTP app: every dialect over the same parts."""
    from importlib.metadata import version

    from fastapi import FastAPI
    from starlette.middleware.cors import CORSMiddleware
    from starlette.middleware.gzip import DEFAULT_EXCLUDED_CONTENT_TYPES, GZipMiddleware
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from stemwright_server.adapters.blobs.local import LocalBlobs
    from stemwright_server.adapters.broker.in_process import InProcessBroker
    from stemwright_server.adapters.wakeups.notifier import InProcessNotifier
    from stemwright_server.dialects.stemify.router import SUBMIT
    from stemwright_server.dialects.studio.router import studio_router
    from stemwright_server.http import common
    from stemwright_server.http.rates import Rates
    from stemwright_server.http.tracing import TraceRequests
    from stemwright_server.routes.blobs.router import blobs_router
    from stemwright_server.routes.page.router import page_router
    from stemwright_server.routes.workers.router import workers_router
    from stemwright_server.usecases.upload import receive
    from stemwright_server.wiring.split import include_split
    from stemwright_server.wiring.webserver import add_webserver
    from stemwright_worker.contract.signing import Verifier

    outside = [settings.worker_secret, settings.worker_secret_previous]
    verifier = Verifier([worker_secret, *(each.get_secret_value() for each in outside if each)])
    rates = Rates(settings.redis_address)
    callers = common.Callers(_authenticator(settings, closed=closed), settings.public_url)
    app = FastAPI(
        title="Stemwright",
        version=version("stemwright-server"),
        description="Takes a mix apart into stems.",
    )
    common.add_error_handlers(app)
    app.include_router(studio_router(deps, callers, InProcessNotifier(wakeups), registry))
    app.include_router(page_router(connect=[origin] if (origin := blobs.origin()) else []))
    include_split(app, settings, deps, callers, registry)
    if isinstance(blobs, LocalBlobs):  # a bucket answers its URLs itself
        app.include_router(blobs_router(blobs, lambda track_id, sha256: receive(deps, track_id, sha256=sha256)))
    app.include_router(workers_router(deps, InProcessBroker(wakeups), verifier, registry), include_in_schema=False)
    add_stemify(app, settings, deps, callers, registry, rates)
    uploads = ["/blobs/", SUBMIT]  # whose routes say themselves how much they take
    if settings.webserver:
        uploads += add_webserver(app, settings, deps, callers, rates, live)
    app.add_middleware(common.BodyLimit, max_bytes=common.MAX_JSON_BYTES, exempt=tuple(uploads))
    # Blobs are audio, whatever they are called.
    uncompressed = (*DEFAULT_EXCLUDED_CONTENT_TYPES, "application/octet-stream")
    app.add_middleware(GZipMiddleware, minimum_size=1000, compresslevel=6, exclude_content_types=uncompressed)
    if settings.api_cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.api_cors_origins),
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=[
                "Authorization",
                "Content-Type",
                "Content-Digest",
                "Idempotency-Key",
                "If-Range",
                "Range",
                "X-Request-ID",
            ],
            expose_headers=[
                common.REQUEST_ID,
                "Content-Disposition",
                "Content-Range",
                "ETag",
                "RateLimit",
                "RateLimit-Policy",
                "Retry-After",
            ],
        )
    if hosts:
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts), www_redirect=False)
    app.add_middleware(TraceRequests, tracer=deps.tracer)
    app.add_middleware(common.RequestContext)
    add_metrics(app, settings, deps, registry)  # the middleware that is added last is the first to see a request
    return app


def _authenticator(settings: Settings, *, closed: bool) -> Any:
    if settings.jwt_secret is None and closed:
        from stemwright_server.adapters.auth.closed import ClosedAuthenticator

        return ClosedAuthenticator()
    if settings.jwt_secret is None:
        from stemwright_server.adapters.auth.anonymous import AnonymousAuthenticator

        return AnonymousAuthenticator()
    from stemwright_server.adapters.auth.jwt import JwtAuthenticator

    return JwtAuthenticator(
        settings.jwt_secret.get_secret_value(),
        algorithm=settings.jwt_algorithm,
        audience=settings.jwt_audience,
        issuer=settings.jwt_issuer,
    )


def _kept_secret(path: Path) -> bytes:
    """The key that signs our own URLs: made once and kept, so that URLs outlive a restart."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        secret = path.read_bytes()
        if len(secret) >= 32:
            return secret
        path.unlink()  # a crash cut it short before anything was signed with it
        return _kept_secret(path)
    with os.fdopen(descriptor, "wb") as file:
        secret = secrets.token_bytes(32)
        file.write(secret)
    return secret
