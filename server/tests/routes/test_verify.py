"""What a gateway is told of a token."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from fastapi import FastAPI
from service import Client, running
from starlette.testclient import TestClient

from stemwright_server.adapters.auth.anonymous import AnonymousAuthenticator
from stemwright_server.adapters.auth.closed import ClosedAuthenticator
from stemwright_server.adapters.auth.jwt import JwtAuthenticator
from stemwright_server.http.callers import Callers
from stemwright_server.http.errors import add_error_handlers
from stemwright_server.http.middleware.request_context import RequestContext
from stemwright_server.ports.auth import Authenticator
from stemwright_server.routes.verify.router import verify_router

SECRET = "s" * 32


def client(authenticator: Authenticator) -> TestClient:
    app = FastAPI()
    add_error_handlers(app)
    app.add_middleware(RequestContext)
    app.include_router(verify_router(Callers(authenticator, None)))
    return TestClient(app)


def token(secret: str = SECRET, **claims: Any) -> str:
    return jwt.encode({"sub": "somebody", "exp": time.time() + 60} | claims, secret, algorithm="HS256")


def bearer(**claims: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(**claims)}"}


def test_a_good_token_is_named() -> None:
    answer = client(JwtAuthenticator([SECRET])).get("/auth/verify", headers=bearer(roles=["b", "a"]))
    assert (answer.status_code, answer.content) == (204, b"")
    assert (answer.headers["X-User"], answer.headers["X-Roles"]) == ("somebody", "a,b")
    assert answer.headers["Cache-Control"] == "no-store"


def test_a_name_is_one_name_in_the_header() -> None:
    answer = client(JwtAuthenticator([SECRET])).get("/auth/verify", headers=bearer(sub="é, x%2C", roles=["a,admin"]))
    assert (answer.headers["X-User"], answer.headers["X-Roles"]) == ("%C3%A9%2C%20x%252C", "a%2Cadmin")


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer x"}, bearer(secret="t" * 32), bearer(exp=1), {"X-User": "somebody"}],
    ids=["none", "nonsense", "another secret", "expired", "only a header"],
)
def test_anything_else_is_401_and_names_nobody(headers: dict[str, str]) -> None:
    answer = client(JwtAuthenticator([SECRET])).get("/auth/verify", headers=headers)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert "X-User" not in answer.headers


@pytest.mark.parametrize("authenticator", [AnonymousAuthenticator(), ClosedAuthenticator()])
def test_where_nobody_signs_in_no_token_holds(authenticator: Authenticator) -> None:
    assert client(authenticator).get("/auth/verify", headers=bearer()).status_code == 401


def test_the_service_answers_it_and_believes_no_header_itself(tmp_path: Path) -> None:
    with running(tmp_path / "data", {"JWT_SECRET": SECRET, "STEMWRIGHT_WORKERS": "0"}) as service:
        answer = Client(service.url, token()).http.get("/auth/verify")
        assert (answer.status_code, answer.headers["X-User"]) == (204, "somebody")
        forged = {"X-User": "somebody", "X-Roles": "admin"}
        assert service.client.http.get("/auth/verify", headers=forged).status_code == 401
        assert service.client.http.get("/status/x", headers=forged).status_code == 401
