"""The wiring of a worker: services, and a client of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemwright_worker.tracing.build import build_tracer

if TYPE_CHECKING:
    from stemwright_worker.ports.sources import SourceFetcher
    from stemwright_worker.runtime import Runtime


def build_worker(
    *,
    api_url: str,
    secret: str,
    worker: str,
    device: str,
    work_dir: Path,
    heartbeat: float,
    stop_seconds: float,
    services: Sequence[str] = (),
    probe: str = "",
    source_origins: Sequence[str] = (),
    youtube: Mapping[str, Any] | None = None,
    least_priority: int = 0,
    work_bytes: int | None = None,
    watchdog: int | None = None,
    traces: str | None = None,
) -> Runtime:
    """The worker: models, and a client of the API."""
    from stemwright_worker.client import ApiClient
    from stemwright_worker.control import Pace
    from stemwright_worker.installed import InstalledProbe, InstalledServices
    from stemwright_worker.net.outbound import Outbound
    from stemwright_worker.process.watchdog import Watchdog
    from stemwright_worker.runtime import Identity, Runtime
    from stemwright_worker.sources.http import HttpSources
    from stemwright_worker.transfers import Transfers

    client = ApiClient(api_url, secret)
    sources: dict[str, SourceFetcher] = {"http": HttpSources(source_origins)}
    if youtube is not None:
        from stemwright_worker.sources.youtube import youtube_source

        sources["youtube"] = youtube_source(**youtube)
    return Runtime(
        client,
        Transfers(
            client,
            sources=sources,
            probe=lambda max_seconds: InstalledProbe.find(name=probe, max_seconds=max_seconds),
            outbound=Outbound(source_origins),
        ),
        InstalledServices.find(services),
        Identity(worker=worker, device=device, work_dir=work_dir, work_bytes=work_bytes, least_priority=least_priority),
        Pace(heartbeat=heartbeat, grace=stop_seconds),
        watchdog=Watchdog(watchdog),
        tracer=build_tracer(traces, service="stemwright-worker"),
    )
