"""The upload API: a song in one request, its stems as a zip. See README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemwright_server.dialects.dialect import Context, Dialect
from stemwright_server.dialects.webserver.settings import (
    FOR_EVER,
    HOSTED,
    HOSTED_AFTER_DOWNLOAD,
    WebserverSettings,
)
from stemwright_server.dialects.webserver.wire import error_body
from stemwright_server.http.error_shape import ErrorShape

if TYPE_CHECKING:
    from fastapi import APIRouter

    from stemwright_server.http.socketio import EventSource
    from stemwright_server.ports.auth import Authenticator
    from stemwright_server.ports.deliveries import WebhookBody
    from stemwright_server.usecases.deps import Deps

_STATUSES = {422: 400}  # the document knows one status for what is wrong with a request


def _kept(settings: WebserverSettings) -> tuple[float, float | None]:
    """How long jobs stay after their end, and after a download (None: as long as without one), in seconds."""
    own = getattr(settings, "own_machine", False)
    keep, downloaded = settings.webserver_keep_seconds, settings.webserver_keep_after_download
    if keep == "auto":
        keep = None if own else HOSTED
    if downloaded == "auto":
        downloaded = None if own else HOSTED_AFTER_DOWNLOAD
    return (FOR_EVER if keep is None else keep), downloaded


def _routes(context: Context, settings: WebserverSettings) -> APIRouter:
    from stemwright_server.dialects.webserver.intake import Intake, UrlRules, WebserverRules
    from stemwright_server.dialects.webserver.router import WebserverRoutes

    keep_seconds, keep_after_download = _kept(settings)
    rules = WebserverRules(
        default_model=settings.webserver_model,
        default_format=settings.webserver_format,
        max_bytes=settings.webserver_max_file_size,
        keep_seconds=keep_seconds,
        keep_after_download=keep_after_download,
    )
    url_rules = UrlRules(webhooks=context.webhooks, source=context.sources["http"].check)
    return WebserverRoutes(
        Intake(context.deps, rules, url_rules),
        context.callers,
        context.rates,
        upload_rate=settings.webserver_upload_rate,
        rate=settings.webserver_rate,
    ).router()


def _webhook_body(deps: Deps) -> WebhookBody:
    from stemwright_server.dialects.webserver.webhook import WebserverWebhook

    return WebserverWebhook(deps)


def _live(deps: Deps, authenticator: Authenticator) -> EventSource:
    from stemwright_server.dialects.webserver.live import ProgressEvents

    return ProgressEvents(deps, authenticator)


DIALECT = Dialect(
    name="webserver",
    routes=_routes,
    settings=WebserverSettings,
    is_on=lambda settings: settings.webserver,
    error_shapes=(ErrorShape(prefix="/api", body=error_body, statuses=_STATUSES),),
    uncapped=("/api/upload", "/api/batch"),
    webhook_body=_webhook_body,
    live=_live,
)
