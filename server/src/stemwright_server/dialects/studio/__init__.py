"""The orchestrator's API: upload, process, status, events. See README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemwright_server.dialects.dialect import Context, Dialect
from stemwright_server.settings_section import Section

if TYPE_CHECKING:
    from fastapi import APIRouter

    from stemwright_server.ports.deliveries import WebhookBody
    from stemwright_server.usecases.deps import Deps


def _routes(context: Context, settings: Section) -> APIRouter:
    from stemwright_server.dialects.studio.router import studio_router

    return studio_router(context)


def _webhook_body(deps: Deps) -> WebhookBody:
    from stemwright_server.dialects.studio.webhook import StudioWebhook

    return StudioWebhook(deps)


DIALECT = Dialect(
    name="studio", routes=_routes, webhook_body=_webhook_body, openapi="orchestrator", openapi_tags=("blobs",)
)
