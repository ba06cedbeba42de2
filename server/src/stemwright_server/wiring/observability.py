"""The wiring of metrics and traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemwright_server.settings import Settings

if TYPE_CHECKING:  # the worker process shares this module and must not import the API's half
    from fastapi import FastAPI

    from stemwright_server.usecases.deps import Deps
    from stemwright_server.usecases.workers import WorkerRegistry


def add_metrics(app: FastAPI, settings: Settings, deps: Deps, registry: WorkerRegistry) -> None:
    """Count requests, and answer ``/metrics``; ``app.state.metrics`` makes the registry for a port of its own."""
    from stemwright_server.routes.metrics.requests import CountRequests, RequestCounts
    from stemwright_server.routes.metrics.router import metrics_registry, metrics_router
    from stemwright_server.usecases.measure import measure

    counts = RequestCounts()
    app.state.metrics = metrics_registry(lambda: measure(deps, registry), counts, data_dir=settings.data_dir)
    if settings.metrics:
        app.include_router(metrics_router(app.state.metrics))
    app.add_middleware(CountRequests, counts=counts)


def traces_endpoint(settings: Settings) -> str | None:
    """Where traces go; None: nobody traces."""
    return settings.otlp_endpoint if settings.enable_tracing else None
