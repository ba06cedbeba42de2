"""The devices of this machine that workers run on. Counted without torch, which is the services' alone."""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path

from stemwright_worker.settings import WorkerSettings

NVIDIA_GPUS = Path("/proc/driver/nvidia/gpus")


def devices(settings: WorkerSettings, *, gpus: Path = NVIDIA_GPUS) -> list[str]:
    """The device of each worker on this machine. ``gpus``: where the driver lists those that are present."""
    if settings.workers is not None:
        return [device_of_one(settings, gpus=gpus)] * settings.workers
    if settings.worker_device != "auto":
        return [settings.worker_device]
    return [f"cuda:{index}" for index in range(_count(gpus))] or ["auto"]


def device_of_one(settings: WorkerSettings, *, gpus: Path = NVIDIA_GPUS) -> str:
    """The device of a worker that is alone: what `auto` means here, so that the API is told of a GPU."""
    return "cuda:0" if settings.worker_device == "auto" and _count(gpus) else settings.worker_device


def devices_elsewhere(settings: WorkerSettings) -> list[str]:
    """The device of each worker outside ``serve``: 0 workers is said of ``serve``, which may share the settings."""
    return devices(settings.model_copy(update={"workers": settings.workers or None}))


def _count(gpus: Path) -> int:
    """How many GPUs this process may use."""
    present = len(list(gpus.iterdir())) if gpus.is_dir() else 0
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return present if visible is None else _count_visible(visible, present)


def _count_visible(visible: str, present: int) -> int:
    """How many GPUs CUDA_VISIBLE_DEVICES leaves of those ``present``: CUDA reads it up to the first name of none."""

    def there(name: str) -> bool:
        try:
            return 0 <= int(name) < present
        except ValueError:
            return bool(name)  # a GPU may go by its UUID

    named = sum(1 for _ in takewhile(there, map(str.strip, visible.split(","))))
    return min(named, present)
