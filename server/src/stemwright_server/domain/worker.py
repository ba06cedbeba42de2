"""A worker, as the API sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class GpuMemory:
    """The memory of one GPU, as its driver tells."""

    host: str
    index: int  # the driver's number of it
    used_bytes: int  # by any process
    total_bytes: int


@dataclass(frozen=True, kw_only=True)
class SeenWorker:
    """A worker that was heard of lately."""

    worker: str  # its id, unique for each process ever started
    device: str
    models: tuple[str, ...]
    seen_at: float  # unix seconds
