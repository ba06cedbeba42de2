"""The wiring of a worker, and where workers run. Nothing of the API's half is imported."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path
from typing import Any

from stemwright_server.settings import Settings

_GPUS = Path("/proc/driver/nvidia/gpus")  # counted here without torch, which is the workers' alone


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
            "services": settings.models,
            "probe": settings.probe,
            "source_origins": settings.source_origin_allowlist,
            "youtube": settings.youtube_options,
            "work_bytes": settings.work_bytes,
            "least_priority": settings.worker_least_priority,
            "traces": settings.traces_endpoint,
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
