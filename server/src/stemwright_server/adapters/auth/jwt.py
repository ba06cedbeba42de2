"""Callers prove who they are by a JSON Web Token, signed with one pinned algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jwt

from stemwright_server.ports.auth import ANONYMOUS, RESERVED, Principal
from stemwright_worker.errors import Unauthenticated


class JwtAuthenticator:
    """Implements ports.auth.Authenticator: HMAC-signed bearer tokens with ``sub`` and ``exp``."""

    def __init__(
        self,
        secrets: Sequence[str],
        *,
        algorithm: str = "HS256",
        audience: str | None = None,
        issuer: str | None = None,
    ) -> None:
        """``secrets``: all that hold now, two of them while one is being replaced."""
        self._secrets = secrets
        self._algorithm = algorithm
        self._audience = audience
        self._issuer = issuer

    def authenticate(self, authorization: str | None) -> Principal:
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("Send a token: 'Authorization: Bearer <JWT>'.")
        try:
            claims = self._claims(token.strip())
        except jwt.InvalidTokenError as error:
            raise Unauthenticated(f"The token does not hold: {error}.") from error
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255:
            raise Unauthenticated("The token's subject has to be 1 to 255 characters.")
        if not subject.isprintable():  # nor can the job store keep half a character
            raise Unauthenticated("The token's subject holds characters that cannot be shown.")
        if subject == ANONYMOUS or subject.startswith(RESERVED):
            raise Unauthenticated(f"The token's subject {subject!r} is a name that the service keeps for itself.")
        return Principal(subject=subject, roles=_roles(claims.get("roles")))

    def _claims(self, token: str) -> dict[str, Any]:
        """What the token says, if one of the secrets signed it. Raises jwt.InvalidTokenError."""
        *previous, last = self._secrets
        for secret in previous:
            try:
                return self._claims_by(secret, token)
            except jwt.InvalidSignatureError:
                continue
        return self._claims_by(last, token)

    def _claims_by(self, secret: str, token: str) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            secret,
            algorithms=[self._algorithm],  # never the token's own word for it
            audience=self._audience,
            issuer=self._issuer,
            options={"require": ["sub", "exp"], "verify_aud": self._audience is not None},
        )
        return claims


def _roles(said: object) -> frozenset[str]:
    """A list of words, or one text with spaces between them; nothing else is a role."""
    words = said.split() if isinstance(said, str) else said if isinstance(said, list) else []
    return frozenset(word for word in words if isinstance(word, str))
