"""The wiring of the stemify dialect, and of links to videos in the workers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from stemwright_server.settings import Settings

if TYPE_CHECKING:  # the worker process shares this module and must not import the API's half
    from fastapi import FastAPI

    from stemwright_server.http.common import Callers
    from stemwright_server.http.rates import Rates
    from stemwright_server.usecases.deps import Deps
    from stemwright_server.usecases.workers import WorkerRegistry


def add_stemify(
    app: FastAPI, settings: Settings, deps: Deps, callers: Callers, registry: WorkerRegistry, rates: Rates
) -> None:
    """The routes of the dialect, and its shape of errors."""
    from stemwright_server.dialects.stemify.intake import Intake, StemifyLimits
    from stemwright_server.dialects.stemify.router import PREFIX, stemify_router
    from stemwright_server.dialects.stemify.wire import error_body
    from stemwright_server.http.common import shape_errors
    from stemwright_worker.sources.youtube import youtube_source

    limits = StemifyLimits(
        default_model=settings.demucs_default_model,
        max_bytes=settings.demucs_max_file_size,
        max_seconds=settings.demucs_max_duration,
        youtube_max_seconds=settings.youtube_max_duration,
    )
    youtube = youtube_config(settings)
    intake = Intake(deps, registry, limits, links=None if youtube is None else youtube_source(**youtube))
    rate = rates.limit("stemify", settings.stemify_rate, callers.identify)
    app.include_router(stemify_router(deps, callers, registry, intake, rate=rate))
    shape_errors(app, PREFIX, error_body)


def youtube_config(settings: Settings) -> dict[str, Any] | None:
    """What a worker has to know of links to videos, as JSON values; None: they are off."""
    if not settings.youtube_hosts:
        return None
    return {
        "max_seconds": settings.youtube_max_duration,
        "total_seconds": settings.youtube_seconds,
        "hosts": settings.youtube_hosts,
        "folder": str(settings.youtube_download_dir) if settings.youtube_download_dir else None,
    }
