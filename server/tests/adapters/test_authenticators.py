"""Who is let in by a token, and who is not."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import jwt
import pytest

from stemwright_server.adapters.auth.anonymous import AnonymousAuthenticator
from stemwright_server.adapters.auth.jwt import JwtAuthenticator
from stemwright_worker.errors import Unauthenticated

SECRET = "s" * 32


def token(secret: str = SECRET, algorithm: str = "HS256", **changes: Any) -> str:
    claims = {"sub": "somebody", "exp": time.time() + 60} | changes
    return jwt.encode({name: value for name, value in claims.items() if value is not None}, secret, algorithm=algorithm)


def unsigned() -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none', 'typ': 'JWT'})}.{part({'sub': 'somebody', 'exp': time.time() + 60})}."


def test_a_good_token_names_the_caller() -> None:
    assert JwtAuthenticator([SECRET]).authenticate(f"Bearer {token()}").subject == "somebody"
    assert JwtAuthenticator([SECRET]).authenticate(f"bearer {token()}").subject == "somebody"


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer nonsense",
        f"Basic {token()}",
        f"Bearer {token('t' * 32)}",
        f"Bearer {token('s' * 64, 'HS512')}",
        f"Bearer {unsigned()}",
        f"Bearer {token(exp=time.time() - 1)}",
        f"Bearer {token(exp=None)}",
        f"Bearer {token(sub=None)}",
        f"Bearer {token(sub='')}",
        f"Bearer {token(sub='x' * 256)}",
        f"Bearer {token(nbf=time.time() + 60)}",
    ],
)
def test_anything_else_is_refused(header: str | None) -> None:
    with pytest.raises(Unauthenticated):
        JwtAuthenticator([SECRET]).authenticate(header)


def test_a_token_of_the_secret_before_holds_while_it_is_replaced() -> None:
    both = JwtAuthenticator(["n" * 32, SECRET])
    for secret in ("n" * 32, SECRET):
        assert both.authenticate(f"Bearer {token(secret)}").subject == "somebody"
    for refused in (token("t" * 32), token("n" * 32, exp=time.time() - 1), token(SECRET, exp=time.time() - 1)):
        with pytest.raises(Unauthenticated):
            both.authenticate(f"Bearer {refused}")


def test_audience_and_issuer_have_to_fit_when_asked_for() -> None:
    picky = JwtAuthenticator([SECRET], audience="stems", issuer="us")
    assert picky.authenticate(f"Bearer {token(aud='stems', iss='us')}").subject == "somebody"
    for wrong in ({}, {"aud": "stems"}, {"iss": "us"}, {"aud": "other", "iss": "us"}, {"aud": "stems", "iss": "them"}):
        with pytest.raises(Unauthenticated):
            picky.authenticate(f"Bearer {token(**wrong)}")


def roles(claim: str = "roles", **claims: Any) -> frozenset[str]:
    return JwtAuthenticator([SECRET], roles_claim=claim).authenticate(f"Bearer {token(**claims)}").roles


def test_roles_come_from_the_claim_that_is_named() -> None:
    assert roles(roles=["admin", "dev"]) == {"admin", "dev"}
    assert roles("realm_access.roles", realm_access={"roles": ["admin"]}) == {"admin"}
    assert roles("https://us.example/roles", **{"https://us.example/roles": ["admin"]}) == {"admin"}
    assert roles("scope", scope="read admin") == {"read", "admin"}


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"roles": None},
        {"roles": True},
        {"roles": {"admin": True}},
        {"roles": [["admin"], {"admin": 1}, 7, ""]},
        {"role": ["admin"]},
        {"scope": "admin"},
        {"realm_access": {"roles": ["admin"]}},
    ],
)
def test_what_is_no_list_of_roles_gives_none(claims: dict[str, Any]) -> None:
    assert roles(**claims) == frozenset()


def test_without_a_token_nobody_has_a_role() -> None:
    assert AnonymousAuthenticator().authenticate(f"Bearer {token(roles=['admin'])}").roles == frozenset()


def test_without_authentication_everybody_is_one() -> None:
    assert AnonymousAuthenticator().authenticate(None) == AnonymousAuthenticator().authenticate("Bearer x")
