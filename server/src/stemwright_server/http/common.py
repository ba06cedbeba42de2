"""What every HTTP API here shares: request ids, who calls, absolute URLs, and the one mapping of errors to HTTP."""

from __future__ import annotations

import re
import time
import uuid
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stemwright_server.ports.auth import Authenticator, Principal
from stemwright_worker import errors

REQUEST_ID = "X-Request-ID"
MAX_JSON_BYTES = 1 << 20  # of any body but an upload
PROBLEM = "application/problem+json"
_ADDED = "added_headers"  # in a request's state

_PLAIN_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_log = structlog.get_logger(__name__)

_STATUS: Mapping[type[errors.ServiceError], int] = {
    errors.InvalidRequest: 422,
    errors.UnusableInput: 422,
    errors.TooLarge: 413,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.Gone: 410,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.TooManyRequests: 429,
    errors.StorageFull: 507,
    errors.Unavailable: 503,
}


class Problem(BaseModel):
    """An error, as RFC 9457 describes it. ``error`` repeats ``detail`` for clients of the older shape."""

    type: str = "about:blank"
    title: str = Field(description="The HTTP status in words.")
    status: int
    detail: str = Field(description="What was wrong, with which input, and what to do.")
    code: str = Field(description="A stable word for programs.")
    error: str = Field(description="The same sentence as in detail.")
    request_id: str


def status_of(error: errors.ServiceError) -> int:
    """The HTTP status of an error: the one mapping."""
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)


Shape = Callable[[int, str, str, Mapping[str, Any]], Mapping[str, Any]]
"""An error's JSON body, of its status, code, message and context."""


def shape_errors(app: FastAPI, prefix: str, shape: Shape, statuses: Mapping[int, int] | None = None) -> None:
    """Give errors on paths that begin with ``prefix`` the shape of the dialect that lives there.

    ``statuses``: what it answers in place of the statuses that are usual here.
    """
    known = getattr(app.state, "error_shapes", ())
    app.state.error_shapes = (*known, (prefix, shape, statuses or {}))


def refusal(
    scope: Scope,
    status: int,
    code: str,
    message: str,
    context: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer to a request that failed, in the shape of the dialect that it was for."""
    shapes = [each for each in getattr(scope["app"].state, "error_shapes", ()) if scope["path"].startswith(each[0])]
    if shapes:
        _, shape, statuses = max(shapes, key=lambda each: len(each[0]))  # the one that means it most
        status = statuses.get(status, status)
        body = shape(status, code, message, context or {})
        return JSONResponse(body, status_code=status, headers=dict(headers or {}))
    return problem(status, code, message, context, headers)


def problem(
    status: int,
    code: str,
    message: str,
    context: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """The answer to a request that failed, where a dialect has no shape of its own."""
    document = Problem(
        title=HTTPStatus(status).phrase,
        status=status,
        detail=message,
        code=code,
        error=message,
        request_id=request_id(),
    )
    content = dict(context or {}) | document.model_dump()
    return JSONResponse(content, status_code=status, media_type=PROBLEM, headers=dict(headers or {}))


def add_error_handlers(app: FastAPI) -> None:
    """Make every error of the app leave in one shape: the dialect's own, or a problem document."""
    app.add_exception_handler(errors.ServiceError, _service_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


def _service_error(request: Request, error: Exception) -> JSONResponse:
    error = cast(errors.ServiceError, error)
    status = status_of(error)
    if status >= 500:
        _log.error("request_failed", code=error.code, error=str(error))
    scheme = "HMAC-SHA256" if isinstance(error, errors.Unsigned) else "Bearer"
    headers = {401: {"WWW-Authenticate": scheme}, 503: {"Retry-After": "2"}, 507: {"Retry-After": "60"}}.get(status)
    return refusal(request.scope, status, error.code, str(error), error.context, headers)


def _validation_error(request: Request, error: Exception) -> JSONResponse:
    first = cast(RequestValidationError, error).errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return refusal(request.scope, 422, "invalid_request", f"{where}: {first['msg']}.")


def _http_error(request: Request, error: Exception) -> JSONResponse:
    error = cast(HTTPException, error)
    code = "too_large" if error.status_code == 413 else HTTPStatus(error.status_code).name.lower()
    return refusal(request.scope, error.status_code, code, str(error.detail), headers=error.headers)


def request_id() -> str:
    """The id of the request being answered."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


def add_headers(request: Request, headers: Mapping[str, str]) -> None:
    """Send these with the answer to this request, whatever it will be."""
    request.scope.get("state", {}).get(_ADDED, {}).update(headers)


class RequestContext:
    """ASGI middleware: gives each request an id, logs it, and turns what nobody expected into a plain 500."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(REQUEST_ID, "")
        identity = given if _PLAIN_ID.fullmatch(given) else uuid.uuid4().hex
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=identity)
        began, status = time.monotonic(), 0
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
        except (
            ClientDisconnect
        ):  # a worker that was killed, or a phone in a tunnel: no fault of ours, and nobody listens
            if not status:
                answer = refusal(scope, 400, "cut_off", "The connection was closed before the request was whole.")
                await answer(scope, receive, send_with_id)
        except Exception:  # the last door: a fault of ours is logged in full and told in one line
            _log.exception("unexpected_error", method=scope["method"], path=scope["path"])
            if status:
                raise
            answer = refusal(scope, 500, "internal", "The service failed on this request; its log has the request id.")
            await answer(scope, receive, send_with_id)
        finally:
            seconds = round(time.monotonic() - began, 4)
            # Workers call all the time; what they say is logged by itself.
            log = _log.debug if scope["path"].startswith("/worker/") and status < 400 else _log.info
            log("request", method=scope["method"], path=scope["path"], status=status, seconds=seconds)


class BodyLimit:
    """ASGI middleware: caps request bodies, but on paths whose routes say themselves how much they take."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, exempt: tuple[str, ...]) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._exempt = exempt

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(self._exempt):
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("Content-Length", "")
        if length.isdigit() and int(length[:20]) > self._max_bytes:
            answer = refusal(scope, 413, "too_large", f"The body is over the {self._max_bytes} bytes allowed.")
            await answer(scope, receive, send)
            return
        size = 0

        async def receive_within_limit() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > self._max_bytes:  # the one kind of error that the framework's reader of bodies lets pass
                raise HTTPException(413, f"The body is over the {self._max_bytes} bytes allowed.")
            return message

        await self._app(scope, receive_within_limit, send)


class Callers:
    """How a dialect finds out who calls and how to word a URL."""

    def __init__(self, authenticator: Authenticator, public_url: str | None) -> None:
        self._authenticator = authenticator
        self._public_url = public_url

    async def caller(self, request: Request) -> Principal:
        """Raises Unauthenticated. A dependency of every route that is not for everybody; it needs no thread to wait in."""
        return self.identify(request)

    def identify(self, request: Request) -> Principal:
        """The same, for those who do not await. Raises Unauthenticated."""
        return self._authenticator.authenticate(request.headers.get("Authorization"))

    def absolute(self, request: Request) -> Callable[[str], str]:
        """Makes URLs of the blob store absolute, as clients have to see them."""
        return absolute_to(self._public_url or str(request.base_url))


def absolute_to(base: str) -> Callable[[str], str]:
    """Puts ``base`` before URLs that begin with a slash, and leaves others as they are."""
    return lambda url: base.rstrip("/") + url if url.startswith("/") else url
