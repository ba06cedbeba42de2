"""The wiring of the webserver dialect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI

    from stemwright_server.http.common import Callers
    from stemwright_server.http.rates import Rates
    from stemwright_server.http.socketio import SocketEvents
    from stemwright_server.ports.auth import Authenticator
    from stemwright_server.settings import Settings
    from stemwright_server.usecases.deps import Deps


def build_live(settings: Settings, deps: Deps, authenticator: Authenticator) -> SocketEvents:
    """The live events of the upload API."""
    from stemwright_server.dialects.webserver.live import ProgressEvents
    from stemwright_server.http.socketio import SocketEvents

    return SocketEvents(
        ProgressEvents(deps, authenticator), origins=settings.api_cors_origins, redis_url=settings.redis_address
    )


def add_webserver(
    app: FastAPI, settings: Settings, deps: Deps, callers: Callers, rates: Rates, live: SocketEvents | None
) -> Sequence[str]:
    """Add the upload API and its live events; the paths whose bodies it caps itself."""
    from stemwright_server.dialects.webserver.intake import Gates, Intake, WebserverRules
    from stemwright_server.dialects.webserver.router import PATHS, STATUSES, UPLOADS, WebserverRoutes
    from stemwright_server.dialects.webserver.wire import error_body
    from stemwright_server.http.common import shape_errors
    from stemwright_server.http.socketio import SocketMiddleware
    from stemwright_worker.sources.http import HttpSources

    rules = WebserverRules(
        default_model=settings.webserver_model,
        default_format=settings.webserver_format,
        max_bytes=settings.webserver_max_file_size,
        keep_seconds=settings.webserver_keep_seconds,
        keep_after_download=settings.webserver_keep_after_download,
    )
    gates = Gates(
        webhooks=frozenset(settings.api_webhook_url_allowlist) if settings.signs_webhooks else None,
        source=HttpSources(settings.source_origin_allowlist).check,
    )
    routes = WebserverRoutes(
        Intake(deps, rules, gates),
        callers,
        rates,
        upload_rate=settings.webserver_upload_rate,
        rate=settings.webserver_rate,
    )
    app.include_router(routes.router())
    for path in PATHS:
        shape_errors(app, f"/api/{path}", error_body, STATUSES)
    if live is not None:
        app.add_middleware(SocketMiddleware, events=live)
    return UPLOADS
