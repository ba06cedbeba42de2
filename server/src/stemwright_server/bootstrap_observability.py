"""The wiring of metrics and traces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stemwright_server.settings import Settings

if TYPE_CHECKING:  # the worker process shares this module and must not import the API's half
    from fastapi import FastAPI

    from stemwright_server.ports.tracing import Tracer
    from stemwright_server.usecases.parts import Parts
    from stemwright_server.usecases.workers import Presence


def add_metrics(app: FastAPI, settings: Settings, parts: Parts, presence: Presence) -> None:
    """Count requests, and answer ``/metrics``; ``app.state.metrics`` makes the registry for a port of its own."""
    from stemwright_server.dialects.metrics.requests import CountRequests, RequestCounts
    from stemwright_server.dialects.metrics.router import metrics_registry, metrics_router
    from stemwright_server.usecases.measure import measure

    counts = RequestCounts()
    app.state.metrics = metrics_registry(lambda: measure(parts, presence), counts, data_dir=settings.data_dir)
    if settings.metrics:
        app.include_router(metrics_router(app.state.metrics))
    app.add_middleware(CountRequests, counts=counts)


def traces_endpoint(settings: Settings) -> str | None:
    """Where traces go; None: nobody traces."""
    return settings.otlp_endpoint if settings.enable_tracing else None


def build_tracer(endpoint: str | None, *, service: str) -> Tracer:
    """What sends traces to a collector at ``endpoint``, or nowhere. Raises Unavailable if its libraries are missing."""
    from stemwright_server.domain.errors import Unavailable
    from stemwright_server.ports.tracing import NO_TRACER

    if endpoint is None:
        return NO_TRACER
    try:
        from stemwright_server.adapters.tracing.otlp import OtlpTracer
    except ImportError as error:
        raise Unavailable(
            "OBSERVABILITY_ENABLE_TRACING needs: pip install 'stemwright-server[tracing]'.", code="tracing_missing"
        ) from error
    return OtlpTracer(endpoint, service=service)
