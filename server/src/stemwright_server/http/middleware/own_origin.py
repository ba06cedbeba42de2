"""Pages of others do not act in the name of whoever looks at them."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from stemwright_server.http.errors import ErrorShapes

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class OwnOrigin:
    """ASGI middleware for a service where nobody signs in: what changes something comes from our own pages, or from none.

    A browser sends a form of any page to any address, loopback included, without asking; it says where the page is from
    in ``Origin`` (and ``Sec-Fetch-Site``), which the page cannot change. Other programs send neither.
    Source: https://cheatsheetseries.owasp.org/cheatsheets/Cross-Site_Request_Forgery_Prevention_Cheat_Sheet.html
    """

    def __init__(self, app: ASGIApp, *, allowed: Collection[str], shapes: ErrorShapes) -> None:
        """``allowed``: origins beside the one that the request's Host names."""
        self._app = app
        self._allowed = frozenset(each.rstrip("/").lower() for each in allowed)
        self._shapes = shapes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, unless a page of another origin made a browser send it."""
        if scope["type"] == "http" and scope["method"] not in _SAFE and not self._is_ours(Headers(scope=scope)):
            message = (
                "A page of another origin may not do this: call it from the service's own page or from a program, "
                "or name the origin in API_CORS_ORIGINS."
            )
            await self._shapes.refusal(scope["path"], 403, "foreign_origin", message)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_ours(self, headers: Headers) -> bool:
        origin = headers.get("Origin")
        if origin is None:
            return headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
        origin = origin.lower()
        return origin in self._allowed or urlsplit(origin).netloc == headers.get("Host", "").lower() != ""
