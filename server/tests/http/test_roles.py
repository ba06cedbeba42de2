"""Routes that are for callers of a role."""

import time
from typing import Annotated

import jwt
import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from stemwright_server.adapters.auth.anonymous import AnonymousAuthenticator
from stemwright_server.adapters.auth.jwt import JwtAuthenticator
from stemwright_server.http.callers import Callers
from stemwright_server.http.errors import add_error_handlers
from stemwright_server.http.middleware.request_context import RequestContext
from stemwright_server.ports.auth import Authenticator, Principal

SECRET = "s" * 32


def client(authenticator: Authenticator) -> TestClient:
    app = FastAPI()
    add_error_handlers(app)
    app.add_middleware(RequestContext)

    @app.get("/admin/{thing}")
    async def act(
        thing: str, caller: Annotated[Principal, Depends(Callers(authenticator, None).require_role("admin"))]
    ) -> str:
        return f"{caller.subject} {thing}"

    return TestClient(app)


def bearer(**claims: object) -> dict[str, str]:
    said = {"sub": "somebody", "exp": time.time() + 60} | claims
    return {"Authorization": f"Bearer {jwt.encode(said, SECRET, algorithm='HS256')}"}


def test_a_caller_of_the_role_is_let_in() -> None:
    answer = client(JwtAuthenticator([SECRET])).get("/admin/it", headers=bearer(roles=["dev", "admin"]))
    assert (answer.status_code, answer.json()) == (200, "somebody it")


@pytest.mark.parametrize("claims", [{}, {"roles": ["Admin", "administrator"]}, {"sub": "admin"}, {"admin": True}])
def test_anybody_else_is_refused(claims: dict[str, object]) -> None:
    answer = client(JwtAuthenticator([SECRET])).get("/admin/it", headers=bearer(**claims) | {"X-Roles": "admin"})
    assert (answer.status_code, answer.json()["code"]) == (403, "role_missing")


def test_who_shows_no_token_is_asked_for_one() -> None:
    answer = client(JwtAuthenticator([SECRET])).get("/admin/it")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")


def test_where_nobody_signs_in_nobody_has_the_role() -> None:
    assert client(AnonymousAuthenticator()).get("/admin/it", headers=bearer(roles=["admin"])).status_code == 403
