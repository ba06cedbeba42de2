"""The stemify API: a song or a YouTube link in, stems out. See README.md."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemwright_server.dialects.dialect import Context, Dialect
from stemwright_server.dialects.stemify.settings import StemifySettings
from stemwright_server.dialects.stemify.wire import error_body
from stemwright_server.http.error_shape import ErrorShape

if TYPE_CHECKING:
    from fastapi import APIRouter


def _routes(context: Context, settings: StemifySettings) -> APIRouter:
    from stemwright_server.dialects.stemify.intake import YOUTUBE, Intake, StemifyLimits
    from stemwright_server.dialects.stemify.router import stemify_router

    limits = StemifyLimits(
        default_model=settings.demucs_default_model,
        max_bytes=settings.demucs_max_file_size,
        max_seconds=settings.demucs_max_duration,
        youtube_max_seconds=settings.youtube_max_duration,
    )
    intake = Intake(context.deps, limits, links=context.sources.get(YOUTUBE))
    rate = context.rates.limit("stemify", settings.stemify_rate, context.callers.identify)
    return stemify_router(context.deps, context.callers, intake, rate=rate)


DIALECT = Dialect(
    name="stemify",
    routes=_routes,
    settings=StemifySettings,
    error_shapes=(ErrorShape(prefix="/api/v1", body=error_body),),
    uncapped=("/api/v1/stemify",),
)
