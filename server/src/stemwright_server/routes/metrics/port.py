"""/metrics on a port of its own, which a firewall can keep for Prometheus."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

import structlog
import uvicorn

from stemwright_server.http.connection import Connection
from stemwright_server.routes.metrics.router import Metrics
from stemwright_worker.errors import Unavailable

_log = structlog.get_logger(__name__)


@contextmanager
def metrics_port(metrics: Metrics, host: str, port: int) -> Iterator[None]:
    """Answer there, in a thread of this process, under the limits that hold for every connection.

    Raises:
        Unavailable: the port cannot be had.
    """
    from prometheus_client import make_asgi_app

    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise Unavailable(
            f"Cannot listen on {host} port {port} (OBSERVABILITY_PROMETHEUS_PORT): {error.strerror}.",
            code="cannot_listen",
        ) from error
    config = uvicorn.Config(
        make_asgi_app(registry=metrics.registry),
        http=Connection,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    with listener:
        thread = Thread(target=server.run, args=([listener],), name="metrics_port", daemon=True)
        thread.start()
        _log.info("metrics_listen", host=host, port=listener.getsockname()[1])
        try:
            yield
        finally:
            server.should_exit = True
            thread.join()
