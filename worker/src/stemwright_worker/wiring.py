"""The wiring of a worker process: what it is told at its start, and what it is built of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from stemwright_worker.settings import WorkerSettings, YouTubeSettings
from stemwright_worker.sources.youtube import YouTubeLimits, YouTubeSource

if TYPE_CHECKING:
    from stemwright_worker.ports.sources import SourceFetcher
    from stemwright_worker.runtime import Runtime


@dataclass(frozen=True, kw_only=True)
class WorkerConfig:
    """All that a worker process is told. It may be of another version than its parent: what it does not know, it ignores."""

    api_url: str
    secret: str
    worker: str  # its id, unique for each process ever started
    device: str
    work_dir: Path  # this worker's alone
    services: tuple[str, ...]  # those that it runs
    heartbeat: float
    stop_seconds: float
    probe: str = ""
    source_origins: tuple[str, ...] = ()
    youtube: YouTubeLimits | None = None  # None: links to videos are off
    least_priority: int = 0
    work_bytes: int | None = None
    watchdog: int | None = None  # descriptor of the pipe to the parent's watchdog
    traces: str | None = None
    nice: int = 0
    log_level: str = "INFO"


def worker_config(
    settings: WorkerSettings,
    *,
    secret: str,
    worker: str,
    device: str,
    work_dir: Path,
    services: tuple[str, ...],
    api_url: str | None = None,
    watchdog: int | None = None,
) -> WorkerConfig:
    """What a worker process is told. ``api_url``: if it is another one than that of the settings."""
    return WorkerConfig(
        api_url=api_url or settings.api_url,
        secret=secret,
        worker=worker,
        device=device,
        work_dir=work_dir,
        services=services,
        heartbeat=settings.heartbeat_seconds,
        stop_seconds=settings.stop_seconds,
        probe=settings.probe,
        source_origins=settings.source_origin_allowlist,
        youtube=youtube_limits(settings),
        least_priority=settings.worker_least_priority,
        work_bytes=settings.work_bytes,
        watchdog=watchdog,
        traces=settings.traces_endpoint,
        nice=settings.worker_nice,
        log_level=settings.log_threshold,
    )


def youtube_limits(settings: YouTubeSettings) -> YouTubeLimits | None:
    """What is taken of links to videos; None: they are off."""
    if not settings.youtube_hosts:
        return None
    return YouTubeLimits(
        max_seconds=settings.youtube_max_duration,
        total_seconds=settings.youtube_seconds,
        hosts=settings.youtube_hosts,
        folder=settings.youtube_download_dir,
    )


def dump_config(config: WorkerConfig) -> bytes:
    """The config as a line of JSON."""
    return TypeAdapter(WorkerConfig).dump_json(config)


def load_config(line: bytes) -> WorkerConfig:
    """The config in a line of JSON. Raises ValidationError."""
    return TypeAdapter(WorkerConfig).validate_json(line)


def build_worker(config: WorkerConfig) -> Runtime:
    """The worker: services, and a client of the API."""
    from stemwright_worker.client import ApiClient
    from stemwright_worker.control import Pace
    from stemwright_worker.installed import InstalledProbe, InstalledServices
    from stemwright_worker.net.outbound import Outbound
    from stemwright_worker.process.watchdog import Watchdog
    from stemwright_worker.runtime import Identity, Runtime
    from stemwright_worker.sources.http import HttpSources
    from stemwright_worker.tracing.build import build_tracer
    from stemwright_worker.transfers import Transfers

    client = ApiClient(config.api_url, config.secret)
    sources: dict[str, SourceFetcher] = {"http": HttpSources(config.source_origins)}
    if config.youtube is not None:
        sources["youtube"] = YouTubeSource(config.youtube)
    return Runtime(
        client,
        Transfers(
            client,
            sources=sources,
            probe=lambda max_seconds: InstalledProbe.find(name=config.probe, max_seconds=max_seconds),
            outbound=Outbound(config.source_origins),
        ),
        InstalledServices.find(config.services),
        Identity(
            worker=config.worker,
            device=config.device,
            work_dir=config.work_dir,
            work_bytes=config.work_bytes,
            least_priority=config.least_priority,
        ),
        Pace(heartbeat=config.heartbeat, grace=config.stop_seconds),
        watchdog=Watchdog(config.watchdog),
        tracer=build_tracer(config.traces, service="stemwright-worker"),
    )
