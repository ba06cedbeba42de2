"""A worker and its services, as the API sees them."""

from __future__ import annotations

from dataclasses import dataclass

from stemwright_worker.contract.description import ServiceDescription


@dataclass(frozen=True, kw_only=True)
class SeenWorker:
    """A worker that was heard of lately."""

    worker: str  # its id, unique for each process ever started
    device: str
    services: tuple[str, ...]
    seen_at: float  # unix seconds


@dataclass(frozen=True, kw_only=True)
class AnnouncedService:
    """What a worker said that a service offers."""

    description: ServiceDescription
    described: str  # hash of all that the worker announced
    announced_at: float  # unix seconds
    worker: str  # its id
