"""Track Tree's API: a signed request with links in, a signed webhook with links out. See README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

import structlog

from stemwright_server.dialects.dialect import Context, Dialect
from stemwright_server.dialects.split.settings import SplitSettings

if TYPE_CHECKING:
    from fastapi import APIRouter

    from stemwright_server.ports.deliveries import WebhookBody
    from stemwright_server.usecases.deps import Deps

_log = structlog.get_logger(__name__)


def _routes(context: Context, settings: SplitSettings) -> APIRouter:
    from fastapi import APIRouter

    from stemwright_server.dialects.split.router import SplitConfig, split_router

    config = SplitConfig(secrets=settings.split_tokens, webhooks=context.webhooks or ())
    router = APIRouter()
    router.include_router(_healthz())
    router.include_router(split_router(context.deps, config, context.sources["http"], context.callers))
    return router


def _healthz() -> APIRouter:
    from stemwright_server.dialects.split.router import healthz_router

    return healthz_router()


def _routes_when_off() -> APIRouter:
    _log.info("split_is_off", reason="POST /split and GET /queue/status answer 404 until DEMUCSSVC_TOKEN is set")
    return _healthz()


def _webhook_body(deps: Deps) -> WebhookBody:
    from stemwright_server.dialects.split.webhook import SplitWebhook

    return SplitWebhook(deps)


DIALECT = Dialect(
    name="split",
    routes=_routes,
    settings=SplitSettings,
    is_on=lambda settings: bool(settings.split_tokens),
    routes_when_off=_routes_when_off,
    webhook_body=_webhook_body,
)
