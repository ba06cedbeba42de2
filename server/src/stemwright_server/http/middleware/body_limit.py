"""A cap on the bodies of requests."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stemwright_server.http.errors import ErrorShapes

MAX_JSON_BYTES = 1 << 20  # of any body but an upload and an announcement


class BodyLimit:
    """ASGI middleware: caps request bodies, but on paths whose routes say themselves how much they take."""

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, own: Mapping[str, int], exempt: tuple[str, ...], shapes: ErrorShapes
    ) -> None:
        """``own``: paths with a cap of their own; ``exempt``: how the paths begin whose routes cap their bodies."""
        self._app = app
        self._max_bytes = max_bytes
        self._own = own
        self._exempt = exempt
        self._shapes = shapes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 413 as soon as more bytes than the path may have are declared or have come."""
        if scope["type"] != "http" or scope["path"].startswith(self._exempt):
            await self._app(scope, receive, send)
            return
        max_bytes = self._own.get(scope["path"], self._max_bytes)
        message = f"The body is over the {max_bytes} bytes allowed."
        length = Headers(scope=scope).get("Content-Length", "")
        if length.isdigit() and int(length[:20]) > max_bytes:
            await self._shapes.refusal(scope["path"], 413, "too_large", message)(scope, receive, send)
            return
        size = 0

        async def receive_within_limit() -> Message:
            nonlocal size
            received = await receive()
            size += len(received.get("body", b""))
            if size > max_bytes:  # the one kind of error that the framework's reader of bodies lets pass
                raise HTTPException(413, message)
            return received

        await self._app(scope, receive_within_limit, send)
