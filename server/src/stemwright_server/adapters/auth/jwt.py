"""Callers prove who they are by a JSON Web Token, signed with one pinned algorithm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jwt

from stemwright_server.adapters.auth.claims import ROLES_CLAIM, bearer_token, roles_of, subject_of
from stemwright_server.ports.auth import ANONYMOUS, ISSUED, RESERVED, Principal
from stemwright_worker.errors import Unauthenticated


class JwtAuthenticator:
    """Implements ports.auth.Authenticator: HMAC-signed bearer tokens with ``sub`` and ``exp``."""

    def __init__(
        self,
        secrets: Sequence[str],
        *,
        algorithm: str = "HS256",
        audience: str | None = None,
        issuer: str | Sequence[str] | None = None,
        roles_claim: str = ROLES_CLAIM,
    ) -> None:
        """``secrets``: all that hold now, two of them while one is being replaced."""
        self._secrets = secrets
        self._algorithm = algorithm
        self._audience = audience
        self._issuer = issuer
        self._roles_claim = roles_claim

    def preparation(self, authorization: str | None) -> None:
        return None

    def authenticate(self, authorization: str | None) -> Principal:
        token = bearer_token(authorization)
        try:
            claims = self._claims(token)
        except jwt.InvalidTokenError as error:
            raise Unauthenticated(f"The token does not hold: {error}.") from error
        subject = subject_of(claims)
        if subject == ANONYMOUS or subject.startswith((RESERVED, ISSUED)):
            raise Unauthenticated(f"The token's subject {subject!r} is a name that the service keeps for itself.")
        return Principal(subject=subject, roles=roles_of(claims, self._roles_claim))

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
