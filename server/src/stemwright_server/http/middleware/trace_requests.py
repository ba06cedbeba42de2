"""A span for each request: ASGI middleware."""

from __future__ import annotations

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stemwright_server.http.route import route_of
from stemwright_worker.ports.tracing import Tracer, current_traceparent, trace_id

_QUIET = ("/worker/", "/metrics", "/health", "/api/v1/health", "/blobs/outputs/")  # often, and part of no request


class TraceRequests:
    """Begins or goes on with a trace; the request's log lines carry its ``trace_id``. Inside of ``RequestContext``."""

    def __init__(self, app: ASGIApp, *, tracer: Tracer) -> None:
        self._app = app
        self._tracer = tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on within a span of its trace."""
        if scope["type"] != "http" or scope["path"].startswith(_QUIET):
            await self._app(scope, receive, send)
            return
        method, status = scope["method"], 0
        parent = Headers(scope=scope).get("traceparent")
        span = self._tracer.begin(method, parent=parent, kind="server", http__request__method=method)
        token = current_traceparent.set(span.traceparent)
        structlog.contextvars.bind_contextvars(trace_id=trace_id(span.traceparent))

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, send_and_see)
        finally:
            current_traceparent.reset(token)
            route = route_of(scope)
            span.end(
                name=f"{method} {route}",
                error=f"{status}" if status >= 500 else None,
                http__route=route,
                http__response__status_code=status,
                request_id=str(structlog.contextvars.get_contextvars().get("request_id", "")),
            )
