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

from stemwright_server.bootstrap_observability import add_metrics, build_tracer, traces_endpoint
from stemwright_server.bootstrap_stemify import add_stemify
from stemwright_server.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI

    from stemwright_server.adapters.bell import Bell
    from stemwright_server.adapters.broker.embedded import EmbeddedBroker
    from stemwright_server.adapters.jobs.sql import SqlJobRepository
    from stemwright_server.adapters.notify.socketio import SocketEvents
    from stemwright_server.ports.blobs import BlobStore
    from stemwright_server.ports.catalogue import Catalogue
    from stemwright_server.ports.jobs import JobRepository
    from stemwright_server.ports.tracing import Tracer
    from stemwright_server.usecases.parts import Parts
    from stemwright_server.usecases.postman import Postman
    from stemwright_server.usecases.workers import Presence

_log = structlog.get_logger(__name__)
LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]", "::1")


@dataclass(frozen=True, kw_only=True)
class Api:
    """The API's process: what ``serve`` runs, and has to close."""

    app: FastAPI
    parts: Parts
    presence: Presence
    bell: Bell
    repository: SqlJobRepository
    postman: Postman


def build_api(
    settings: Settings, *, me: str, worker_secret: str, hosts: Sequence[str] = (), closed: bool = False
) -> Api:
    """The API over the job store and the blobs of the settings; ``settings.data_dir`` exists.

    ``me``: names this process among those that share the folder. ``worker_secret``: of the workers that ``serve`` itself
    starts. ``hosts``: the names it may be addressed by; none means any. ``closed``: without JWT_SECRET nobody is let in,
    instead of everybody, where a token is asked for.
    """
    from stemwright_server.adapters.models.installed import InstalledModels
    from stemwright_server.adapters.notify.several import SeveralNotifiers
    from stemwright_server.bootstrap_split import build_postman
    from stemwright_server.bootstrap_webserver import build_live
    from stemwright_server.usecases.workers import Presence

    tracer = build_tracer(traces_endpoint(settings), service="stemwright-api")
    repository, bell, clock = open_jobs(settings)
    blobs = open_blobs(settings, me)
    presence = Presence()
    parts = build_parts(
        settings, repository, blobs, bell, InstalledModels.find(settings.models), clock=clock, tracer=tracer
    )
    postman = build_postman(settings, parts)
    live = build_live(settings, parts, _authenticator(settings, closed=closed))
    parts = replace(parts, notifier=SeveralNotifiers(parts.notifier, postman, live))
    app = build_app(
        settings, parts, blobs, bell, presence, live, worker_secret=worker_secret, hosts=hosts, closed=closed
    )
    return Api(app=app, parts=parts, presence=presence, bell=bell, repository=repository, postman=postman)


def parts_folders(settings: Settings, process: str) -> tuple[Path, Path]:
    """Where a process keeps files on their way into a bucket, and into the data folder; they go with it."""
    data = settings.data_dir
    return data / "fetched" / process, data / "blobs" / ".parts" / process  # no key of a blob begins with a dot


def open_blobs(settings: Settings, me: str) -> BlobStore:
    """The blobs that the settings name. Raises Unavailable if they name a bucket that refuses us or is not there."""
    fetched, parts = parts_folders(settings, me)
    if (options := settings.s3_options()) is not None:
        from stemwright_server.adapters.blobs.s3 import open_bucket

        public = settings.s3_public_endpoint or None
        return open_bucket(options, fetched, public_endpoint=public, part_bytes=settings.part_bytes)
    from stemwright_server.adapters.blobs.local import LocalBlobs

    return LocalBlobs(
        settings.data_dir / "blobs",
        parts,
        secret=_kept_secret(settings.data_dir / "url.key"),
        min_free_bytes=settings.min_free_bytes,
    )


def open_jobs(settings: Settings) -> tuple[SqlJobRepository, Bell, Callable[[], float]]:
    """The job store that the settings name, its bell and its clock. Raises Unavailable."""
    from stemwright_server.adapters.jobs.sql import SqlJobRepository
    from stemwright_server.adapters.jobs.sqlite import sqlite_engine

    url = settings.database_url.get_secret_value() if settings.database_url else ""
    if settings.on_postgres:
        from sqlalchemy import make_url

        from stemwright_server.adapters.jobs.postgres import DatabaseClock, postgres_engine

        engine = postgres_engine(make_url(url.replace("postgres://", "postgresql://", 1)), pool=settings.database_pool)
        repository = SqlJobRepository(engine)
        from stemwright_server.adapters.postgres_bell import PostgresBell  # needs the driver, as the engine has said

        return repository, PostgresBell(engine), DatabaseClock(repository.time)
    from stemwright_server.adapters.bell import Bell

    path = Path(url.removeprefix("sqlite:///")) if url else settings.data_dir / "stemwright.db"
    return SqlJobRepository(sqlite_engine(path)), Bell(), time.time


def build_broker(settings: Settings, bell: Bell) -> EmbeddedBroker:
    """The broker that the settings name; whichever it is, workers that ask the API themselves are woken as well."""
    from importlib.util import find_spec

    from stemwright_server.adapters.broker.embedded import EmbeddedBroker
    from stemwright_server.domain.errors import Unavailable

    address = settings.broker_address or ""
    extras = ["celery", "redis"] if address.startswith("redis") else ["celery"]
    missing = [extra for extra in extras if find_spec(extra) is None]
    if not address or (settings.broker_url is None and missing):
        return EmbeddedBroker(bell)
    if missing:
        raise Unavailable(
            f"BROKER_URL needs what is not here: pip install 'stemwright-server[{','.join(extras)}]'.",
            code="extra_missing",
        )
    from stemwright_server.adapters.broker.celery_broker import CeleryBroker

    return CeleryBroker(bell, address, job_seconds=settings.job_seconds, stop_seconds=settings.stop_seconds)


def build_parts(
    settings: Settings,
    repository: JobRepository,
    blobs: BlobStore,
    bell: Bell,
    catalogue: Catalogue,
    *,
    clock: Callable[[], float] = time.time,
    tracer: Tracer | None = None,
) -> Parts:
    """The ports and rules that every use case works with."""
    from stemwright_server.adapters.models.installed import InstalledProbe
    from stemwright_server.adapters.notify.embedded import EmbeddedNotifier
    from stemwright_server.domain.lifecycle import Policy
    from stemwright_server.ports.tracing import NO_TRACER
    from stemwright_server.usecases.parts import Limits, Parts

    return Parts(
        repository=repository,
        blobs=blobs,
        broker=build_broker(settings, bell),
        notifier=EmbeddedNotifier(bell),
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
    parts: Parts,
    blobs: BlobStore,
    bell: Bell,
    presence: Presence,
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
    from stemwright_server.adapters.broker.embedded import EmbeddedBroker
    from stemwright_server.adapters.notify.embedded import EmbeddedNotifier
    from stemwright_server.bootstrap_split import include_split
    from stemwright_server.bootstrap_webserver import add_webserver
    from stemwright_server.contract.signing import Verifier
    from stemwright_server.dialects import common
    from stemwright_server.dialects.blobs.router import blobs_router
    from stemwright_server.dialects.page.router import page_router
    from stemwright_server.dialects.rates import Rates
    from stemwright_server.dialects.stemify.router import SUBMIT
    from stemwright_server.dialects.studio.router import studio_router
    from stemwright_server.dialects.tracing import TraceRequests
    from stemwright_server.dialects.workers.router import workers_router
    from stemwright_server.usecases.upload import receive

    outside = [settings.worker_secret, settings.worker_secret_previous]
    verifier = Verifier([worker_secret, *(each.get_secret_value() for each in outside if each)])
    rates = Rates(settings.redis_address)
    door = common.Door(_authenticator(settings, closed=closed), settings.public_url)
    app = FastAPI(
        title="Stemwright",
        version=version("stemwright-server"),
        description="Takes a mix apart into stems.",
    )
    common.add_error_handlers(app)
    app.include_router(studio_router(parts, door, EmbeddedNotifier(bell), presence))
    app.include_router(page_router(connect=[origin] if (origin := blobs.origin()) else []))
    include_split(app, settings, parts, door, presence)
    if isinstance(blobs, LocalBlobs):  # a bucket answers its URLs itself
        app.include_router(blobs_router(blobs, lambda track_id, sha256: receive(parts, track_id, sha256=sha256)))
    app.include_router(workers_router(parts, EmbeddedBroker(bell), verifier, presence), include_in_schema=False)
    add_stemify(app, settings, parts, door, presence, rates)
    uploads = ["/blobs/", SUBMIT]  # whose routes say themselves how much they take
    if settings.webserver:
        uploads += add_webserver(app, settings, parts, door, rates, live)
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
    app.add_middleware(TraceRequests, tracer=parts.tracer)
    app.add_middleware(common.RequestContext)
    add_metrics(app, settings, parts, presence)  # the middleware that is added last is the first to see a request
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
