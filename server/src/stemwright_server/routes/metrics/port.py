"""/metrics on a port of its own, which a firewall can keep for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from stemwright_server.routes.metrics.router import Metrics
from stemwright_worker.errors import Unavailable

_log = structlog.get_logger(__name__)


@contextmanager
def metrics_port(metrics: Metrics, host: str, port: int) -> Iterator[None]:
    """Answer there, in threads of this process.

    Raises:
        Unavailable: the port cannot be had.
    """
    from prometheus_client import start_http_server

    try:
        server, thread = start_http_server(port, addr=host, registry=metrics.registry)
    except OSError as error:
        raise Unavailable(
            f"Cannot listen on {host} port {port} (OBSERVABILITY_PROMETHEUS_PORT): {error.strerror}.",
            code="cannot_listen",
        ) from error
    _log.info("metrics_listen", host=host, port=server.server_port)
    try:
        yield
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
