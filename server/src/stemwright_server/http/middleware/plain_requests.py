"""Requests that are spelled as every program between the caller and us understands them."""

from __future__ import annotations

import re

from starlette.types import ASGIApp, Receive, Scope, Send

from stemwright_server.http.errors import ErrorShapes

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_HOST = re.compile(rb"[A-Za-z0-9._~-]{1,253}(:[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:[0-9]{1,5})?")


class PlainRequests:
    """ASGI middleware: 404 for control characters in a path, 400 unless there is one Host that is a host.

    A proxy before us that has a rule for ``/metrics`` has none for ``/metrics%0a``; and where two names are given, it may
    have looked at the other one.
    """

    def __init__(self, app: ASGIApp, *, shapes: ErrorShapes) -> None:
        self._app = app
        self._shapes = shapes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a plain request on."""
        if scope["type"] == "http":
            path = scope["path"]
            if _CONTROL.search(path) is not None:
                refusal = self._shapes.refusal(_CONTROL.sub("", path), 404, "not_found", "Not Found")
                await refusal(scope, receive, send)
                return
            hosts = [value for name, value in scope["headers"] if name == b"host"]
            if len(hosts) > 1 or (hosts and _HOST.fullmatch(hosts[0]) is None):
                message = "The request has to name one host, as host or host:port."
                await self._shapes.refusal(path, 400, "bad_host", message)(scope, receive, send)
                return
        await self._app(scope, receive, send)
