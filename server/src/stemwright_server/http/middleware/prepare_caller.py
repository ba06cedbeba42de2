"""What has to be waited for before a caller's token can be looked at."""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from stemwright_server.http.pools import CALLERS
from stemwright_server.ports.auth import Authenticator


class PrepareCaller:
    """ASGI middleware: routes and rate limits find out who calls without waiting, since what they need is there by then."""

    def __init__(self, app: ASGIApp, *, authenticator: Authenticator) -> None:
        self._app = app
        self._authenticator = authenticator

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, once the key that its token names was asked for if it is not known."""
        if (
            scope["type"] in ("http", "websocket")
            and (authorization := Headers(scope=scope).get("Authorization")) is not None
        ):
            wait = self._authenticator.preparation(authorization)
            if wait is not None:
                await CALLERS.run(wait)
        await self._app(scope, receive, send)
