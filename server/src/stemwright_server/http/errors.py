"""The one mapping of errors to HTTP: their status, and their body in the shape of the dialect that the request was for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from stemwright_server.http.error_shape import ErrorShape
from stemwright_server.http.ids import request_id
from stemwright_worker import errors

PROBLEM = "application/problem+json"
_UNREADABLE = "There was an error parsing the body"  # the framework's word for what it cannot decode
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
    """The HTTP status of an error."""
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)


class ErrorShapes:
    """The shapes of all dialects; a problem document where none has one."""

    def __init__(self, shapes: Sequence[ErrorShape] = ()) -> None:
        self._shapes = tuple(shapes)

    def status(self, path: str, status: int) -> int:
        """What is answered on this path in place of a usual status."""
        shape = self._shape(path)
        return status if shape is None else shape.statuses.get(status, status)

    def _shape(self, path: str) -> ErrorShape | None:
        found = [shape for shape in self._shapes if path == shape.prefix or path.startswith(f"{shape.prefix}/")]
        return max(found, key=lambda each: len(each.prefix)) if found else None

    def refusal(
        self,
        path: str,
        status: int,
        code: str,
        message: str,
        context: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> JSONResponse:
        """The answer to a request that failed."""
        shape = self._shape(path)
        if shape is None:
            return problem(status, code, message, context, headers)
        status = shape.statuses.get(status, status)
        body = shape.body(status, code, message, context or {})
        return JSONResponse(body, status_code=status, headers=dict(headers or {}))


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


def add_error_handlers(app: FastAPI, shapes: ErrorShapes | None = None) -> None:
    """Make every error that a route of the app raises leave in its shape."""
    shapes = shapes or ErrorShapes()

    def service_error(request: Request, error: Exception) -> JSONResponse:
        error = cast(errors.ServiceError, error)
        status = status_of(error)
        if status >= 500:
            _log.error("request_failed", code=error.code, error=str(error))
        scheme = "HMAC-SHA256" if isinstance(error, errors.Unsigned) else "Bearer"
        headers = {401: {"WWW-Authenticate": scheme}, 503: {"Retry-After": "2"}, 507: {"Retry-After": "60"}}
        told = headers.get(status, {})
        if (seconds := error.context.get("retry_after")) is not None:
            told = {"Retry-After": str(seconds)}
        return shapes.refusal(request.scope["path"], status, error.code, str(error), error.context, told)

    def validation_error(request: Request, error: Exception) -> JSONResponse:
        first = cast(RequestValidationError, error).errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return shapes.refusal(request.scope["path"], 422, "invalid_request", f"{where}: {first['msg']}.")

    def http_error(request: Request, error: Exception) -> JSONResponse:
        error = cast(HTTPException, error)
        if error.detail == _UNREADABLE:  # as any other body that is not understood
            return shapes.refusal(request.scope["path"], 422, "invalid_request", "body: is no JSON in UTF-8.")
        status = error.status_code
        code = "too_large" if status == 413 else HTTPStatus(status).name.lower()
        message, phrase = str(error.detail), HTTPStatus(status).phrase
        if message == phrase:  # the framework's own, of a path that no route has, or not with this method
            takes = f"; it takes {error.headers['Allow']}" if error.headers and "Allow" in error.headers else ""
            message = f"{phrase}: {request.method[:20]} {request.scope['path'][:200]}{takes}."
        return shapes.refusal(request.scope["path"], status, code, message, headers=error.headers)

    app.add_exception_handler(errors.ServiceError, service_error)
    app.add_exception_handler(RequestValidationError, validation_error)
    app.add_exception_handler(HTTPException, http_error)
