"""Socket.IO within the app."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from stemwright_server.http.socketio import PATH, SocketEvents


class SocketMiddleware:
    """ASGI middleware: lets Socket.IO answer on its path."""

    def __init__(self, app: ASGIApp, *, events: SocketEvents) -> None:
        self._app = app
        self._events = events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass requests for Socket.IO's path to it, and all others on."""
        self._events.attach()
        ours = scope["type"] in ("http", "websocket") and scope["path"].startswith(PATH)
        await (self._events if ours else self._app)(scope, receive, send)
