"""The wiring of a worker, and where workers run. Nothing of the API's half is imported."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemwright_server.bootstrap_observability import build_tracer, traces_endpoint
from stemwright_server.bootstrap_stemify import youtube_config, youtube_source
from stemwright_server.settings import Settings

if TYPE_CHECKING:
    from stemwright_server.ports.sources import SourceFetcher
    from stemwright_server.worker.runtime import Runtime

_GPUS = Path("/proc/driver/nvidia/gpus")  # counted here without torch, which is the workers' alone


def build_worker(
    *,
    api_url: str,
    secret: str,
    worker: str,
    device: str,
    work_dir: Path,
    heartbeat: float,
    stop_seconds: float,
    models: Sequence[str] = (),
    probe: str = "",
    source_origins: Sequence[str] = (),
    youtube: Mapping[str, Any] | None = None,
    least_priority: int = 0,
    work_bytes: int | None = None,
    fuse: int | None = None,
    traces: str | None = None,
) -> Runtime:
    """The worker: models, and a client of the API."""
    from stemwright_server.adapters.models.installed import InstalledModels, InstalledProbe
    from stemwright_server.adapters.outbound import Outbound
    from stemwright_server.adapters.sources.http import HttpSources
    from stemwright_server.worker.client import ApiClient
    from stemwright_server.worker.control import Pace
    from stemwright_server.worker.fuse import Fuse
    from stemwright_server.worker.runtime import Identity, Runtime
    from stemwright_server.worker.transfers import Transfers

    client = ApiClient(api_url, secret)
    sources: dict[str, SourceFetcher] = {"http": HttpSources(source_origins)}
    if youtube is not None:
        sources["youtube"] = youtube_source(**youtube)
    return Runtime(
        client,
        Transfers(
            client,
            sources=sources,
            probe=lambda max_seconds: InstalledProbe.find(name=probe, max_seconds=max_seconds),
            outbound=Outbound(source_origins),
        ),
        InstalledModels.find(models),
        Identity(worker=worker, device=device, work_dir=work_dir, work_bytes=work_bytes, least_priority=least_priority),
        Pace(heartbeat=heartbeat, grace=stop_seconds),
        fuse=Fuse(fuse),
        tracer=build_tracer(traces, service="stemwright-worker"),
    )


def worker_config(
    settings: Settings, *, api_url: str, secret: str, work_dir: Path
) -> Callable[[str, str], dict[str, Any]]:
    """What a worker process reads from its stdin, by its id and device."""

    def config(worker: str, device: str) -> dict[str, Any]:
        return {
            "api_url": api_url,
            "secret": secret,
            "worker": worker,
            "device": device,
            "work_dir": str(work_dir / worker),
            "heartbeat": settings.heartbeat_seconds,
            "stop_seconds": settings.stop_seconds,
            "models": settings.models,
            "probe": settings.probe,
            "source_origins": settings.source_origin_allowlist,
            "youtube": youtube_config(settings),
            "work_bytes": settings.work_bytes,
            "least_priority": settings.worker_least_priority,
            "traces": traces_endpoint(settings),
            "nice": settings.worker_nice,
            "log_level": settings.log_threshold,
        }

    return config


def local_devices(settings: Settings) -> list[str]:
    """The device of each worker that ``serve`` starts: none if there is a broker for workers elsewhere."""
    return [] if settings.workers is None and settings.broker_url is not None else devices(settings)


def devices_elsewhere(settings: Settings) -> list[str]:
    """The device of each worker that ``stemwright worker`` starts: "none" is said of ``serve``, which may share the settings."""
    return devices(settings.model_copy(update={"workers": settings.workers or None}))


def devices(settings: Settings) -> list[str]:
    """The device of each worker on this machine."""
    if settings.workers is not None:
        return [settings.worker_device] * settings.workers
    if settings.worker_device != "auto":
        return [settings.worker_device]
    present = len(list(_GPUS.iterdir())) if _GPUS.is_dir() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    count = present if visible is None else _count_visible(visible, present)
    return [f"cuda:{index}" for index in range(count)] or ["auto"]


def _count_visible(visible: str, present: int) -> int:
    """How many GPUs CUDA_VISIBLE_DEVICES leaves of those ``present``: CUDA reads it up to the first name of none."""

    def there(name: str) -> bool:
        try:
            return 0 <= int(name) < present
        except ValueError:
            return bool(name)  # a GPU may go by its UUID

    named = sum(1 for _ in takewhile(there, map(str.strip, visible.split(","))))
    return min(named, present)
