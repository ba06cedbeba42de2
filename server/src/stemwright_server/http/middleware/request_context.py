"""The id of a request, its line in the log, and an answer to what nobody expected."""

from __future__ import annotations

import asyncio
import re
import time
import uuid
from collections.abc import Mapping

import structlog
from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stemwright_server.http.errors import ErrorShapes
from stemwright_server.http.ids import REQUEST_ID

_ADDED = "added_headers"  # in a request's state
_PLAIN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_log = structlog.get_logger(__name__)


def add_headers(request: Request, headers: Mapping[str, str]) -> None:
    """Send these with the answer to this request, whatever it will be."""
    request.scope.get("state", {}).get(_ADDED, {}).update(headers)


class RequestContext:
    """ASGI middleware: gives each request an id, logs it, and turns what nobody expected into a plain 500."""

    def __init__(self, app: ASGIApp, *, shapes: ErrorShapes | None = None) -> None:
        self._app = app
        self._shapes = shapes or ErrorShapes()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on under the id it came with, if that is plain, or a new one."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        identity = given if _PLAIN_ID.fullmatch(given) else uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=identity)
        began, status, path = time.monotonic(), 0, scope["path"]
        added: dict[str, str] = {}
        scope.setdefault("state", {})[_ADDED] = added

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = identity
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.update(added)
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        except ClientDisconnect:
            # The caller hung up while it sent: a worker that was killed, a phone that lost its network. No fault of ours.
            if not status:
                message = "The connection was closed before the request was whole."
                await self._shapes.refusal(path, 400, "cut_off", message)(scope, receive, send_with_id)
        except asyncio.CancelledError:  # the service stops, and this request took longer than that may
            if status:
                raise
            message = "The service stops; send the request again, to the next one."
            refusal = self._shapes.refusal(path, 503, "stopping", message, headers={"Retry-After": "5"})
            await refusal(scope, receive, send_with_id)
        except Exception:  # the outermost: a fault of ours is logged in full, and the caller gets one line
            _log.exception("unexpected_error", method=scope["method"], path=path)
            if status:
                raise
            message = "The service failed on this request; its log has the request id."
            await self._shapes.refusal(path, 500, "internal", message)(scope, receive, send_with_id)
        finally:
            seconds = round(time.monotonic() - began, 4)
            # Workers call all the time; what they say is logged by itself.
            log = _log.debug if path.startswith("/worker/") and status < 400 else _log.info
            log("request", method=scope["method"], path=path, status=status, seconds=seconds)
