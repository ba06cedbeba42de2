"""For administrators: everybody's jobs, webhooks, workers and services. See README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemwright_server.dialects.dialect import Context, Dialect
from stemwright_server.settings_section import Section

if TYPE_CHECKING:
    from fastapi import APIRouter


def _routes(context: Context, settings: Section) -> APIRouter:
    from stemwright_server.dialects.admin.router import admin_router

    return admin_router(context.deps, context.callers)


DIALECT = Dialect(name="admin", routes=_routes)
