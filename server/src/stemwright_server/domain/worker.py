"""A worker, as the API sees it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SeenWorker:
    """A worker that was heard of lately."""

    worker: str  # its id, unique for each process ever started
    device: str
    services: tuple[str, ...]
    seen_at: float  # unix seconds
