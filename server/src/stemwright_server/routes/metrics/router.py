"""``GET /metrics``, and the same on a port of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import Response

from stemwright_server.routes.metrics.requests import RequestCounts
from stemwright_server.usecases.measure import Measures

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


def metrics_registry(
    measure: Callable[[], Measures], requests: RequestCounts, *, data_dir: Path
) -> Callable[[], CollectorRegistry]:
    """The registry, made when it is first asked for: the service is up sooner."""

    @cache
    def registry() -> CollectorRegistry:
        from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

        from stemwright_server.routes.metrics.exposition import ServiceCollector

        found = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=found)
        release = version("stemwright-server")
        found.register(ServiceCollector(measure, requests, data_dir=data_dir, release=release))
        return found

    return registry


def metrics_router(registry: Callable[[], CollectorRegistry]) -> APIRouter:
    """The one route."""
    router = APIRouter(tags=["metrics"])

    @router.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """What Prometheus scrapes, in its text format."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return Response(generate_latest(registry()), media_type=CONTENT_TYPE_LATEST)

    return router
