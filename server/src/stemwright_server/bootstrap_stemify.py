"""The wiring of the stemify dialect, and of links to videos in the workers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemwright_server.settings import Settings

if TYPE_CHECKING:  # the worker process shares this module and must not import the API's half
    from fastapi import FastAPI

    from stemwright_server.dialects.common import Door
    from stemwright_server.dialects.rates import Rates
    from stemwright_server.ports.sources import SourceFetcher
    from stemwright_server.usecases.parts import Parts
    from stemwright_server.usecases.workers import Presence


def add_stemify(app: FastAPI, settings: Settings, parts: Parts, door: Door, presence: Presence, rates: Rates) -> None:
    """The routes of the dialect, and its shape of errors."""
    from stemwright_server.dialects.common import shape_errors
    from stemwright_server.dialects.stemify.intake import Intake, StemifyLimits
    from stemwright_server.dialects.stemify.router import PREFIX, stemify_router
    from stemwright_server.dialects.stemify.wire import error_body

    limits = StemifyLimits(
        default_model=settings.demucs_default_model,
        max_bytes=settings.demucs_max_file_size,
        max_seconds=settings.demucs_max_duration,
        youtube_max_seconds=settings.youtube_max_duration,
    )
    youtube = youtube_config(settings)
    intake = Intake(parts, presence, limits, links=None if youtube is None else youtube_source(**youtube))
    rate = rates.limit("stemify", settings.stemify_rate, door.identify)
    app.include_router(stemify_router(parts, door, presence, intake, rate=rate))
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


def youtube_source(
    *, max_seconds: float, total_seconds: float, hosts: Sequence[str], folder: str | None
) -> SourceFetcher:
    from stemwright_server.adapters.sources.youtube import YouTubeLimits, YouTubeSource

    return YouTubeSource(
        YouTubeLimits(
            max_seconds=max_seconds,
            total_seconds=total_seconds,
            hosts=tuple(hosts),
            folder=Path(folder) if folder else None,
        )
    )
