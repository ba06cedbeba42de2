"""What the OpenAPI document says of errors and of who may call: as it is, where the framework assumes its own ways."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI

from stemwright_server.http.errors import PROBLEM, ErrorShapes

_ASSUMED = "#/components/schemas/HTTPValidationError"
_PROBLEM = "#/components/schemas/Problem"
_METHODS = ("get", "put", "post", "delete", "head", "patch")
_SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "Where JWT_ISSUER, JWT_JWKS_URL or JWT_SECRET is set.",
    },
    "signature": {"type": "apiKey", "in": "header", "name": "X-Signature", "description": "With X-Timestamp."},
}


def describe_as_it_is(app: FastAPI, shapes: ErrorShapes) -> None:
    """Let ``app.openapi`` tell the errors that are sent, and the two ways to say who calls."""
    assumed: Callable[[], dict[str, Any]] = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = assumed()
            for path, methods in document["paths"].items():
                for method, operation in methods.items():
                    if method in _METHODS:
                        _errors(operation, shapes.status(path, 422))
                        _security(operation)
            components = document.setdefault("components", {})
            components["securitySchemes"] = _SCHEMES
            for name in ("HTTPValidationError", "ValidationError"):
                components.get("schemas", {}).pop(name, None)
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the framework's own way to change it


def _errors(operation: dict[str, Any], status: int) -> None:
    """The framework's own words for a wrong request are never sent; a dialect may answer with another status."""
    responses = operation["responses"]
    if _ref(responses.get("422", {})) == _ASSUMED:
        del responses["422"]
        like = next((responses[each] for each in ("400", "404", "401") if each in responses), None)
        content = (
            like["content"] if like and "content" in like else {"application/json": {"schema": {"$ref": _PROBLEM}}}
        )
        responses.setdefault(str(status), {"description": "The request is not understood.", "content": content})
    for response in responses.values():
        if _ref(response) == _PROBLEM:
            response["content"] = {PROBLEM: response["content"]["application/json"]}


def _security(operation: dict[str, Any]) -> None:
    if "401" not in operation["responses"]:
        return
    signed = any(each["name"] == "X-Signature" for each in operation.get("parameters", ()))
    operation["security"] = [{"signature" if signed else "token": []}]


def _ref(response: dict[str, Any]) -> str:
    schema = response.get("content", {}).get("application/json", {}).get("schema", {})
    return str(schema.get("$ref", ""))
