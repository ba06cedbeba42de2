"""What is read of a token, and of its claims once they are known to hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stemwright_worker.errors import Unauthenticated

ROLES_CLAIM = "roles"
MAX_SUBJECT = 255  # characters: as many as the job store keeps
_MAX_ROLES = 200
_MAX_TOKEN = 16384  # characters


def bearer_token(authorization: str | None) -> str:
    """The token in an Authorization header. Raises Unauthenticated."""
    scheme, _, token = (authorization or "").partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token:
        raise Unauthenticated("Send a token: 'Authorization: Bearer <JWT>'.")
    if len(token) > _MAX_TOKEN:
        raise Unauthenticated(f"The token is longer than the {_MAX_TOKEN} characters that are looked at.")
    return token


def subject_of(claims: Mapping[str, Any]) -> str:
    """Who the token is of. Raises Unauthenticated for what is no name that can be kept."""
    subject = claims["sub"]
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT:
        raise Unauthenticated(f"The token's subject has to be 1 to {MAX_SUBJECT} characters.")
    if not subject.isprintable():  # nor can the job store keep half a character
        raise Unauthenticated("The token's subject holds characters that cannot be shown.")
    return subject


def roles_of(claims: Mapping[str, Any], claim: str) -> frozenset[str]:
    """The roles in ``claim``: a list of words, or words in one string, as scopes are.

    ``claim`` is the name of a claim, or else the names of claims within claims with dots between: ``realm_access.roles``.
    What is no word is no role, and no reason to refuse the token.
    """
    found: Any = claims.get(claim)
    if found is None:
        found = claims
        for name in claim.split("."):
            found = found.get(name) if isinstance(found, Mapping) else None
    if isinstance(found, str):
        found = found.split()
    if not isinstance(found, list):
        return frozenset()
    return frozenset(role for role in found[:_MAX_ROLES] if isinstance(role, str) and role)
