"""``GET /metrics``, and the same on a port of its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import Response

from stemwright_server.http.request_counts import RequestCounts
from stemwright_server.usecases.measure import Measures

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class Metrics:
    """What this process knows in numbers. The registry is made when it is first asked for: the service is up sooner."""

    def __init__(self, measure: Callable[[], Measures], *, data_dir: Path) -> None:
        self.requests = RequestCounts()
        self._measure = measure
        self._data_dir = data_dir

    @cached_property
    def registry(self) -> CollectorRegistry:
        """Of Prometheus."""
        from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector

        from stemwright_server.routes.metrics.exposition import ServiceCollector

        found = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=found)
        release = version("stemwright-server")
        found.register(ServiceCollector(self._measure, self.requests, data_dir=self._data_dir, release=release))
        return found


def metrics_router(known: Metrics) -> APIRouter:
    """The one route."""
    router = APIRouter(tags=["metrics"])

    @router.get("/metrics", response_class=Response)
    def metrics() -> Response:
        """What Prometheus scrapes, in its text format."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return Response(generate_latest(known.registry), media_type=CONTENT_TYPE_LATEST)

    return router
