"""Nobody is let in: for a service that other machines reach, and whose callers have no tokens to show."""

from __future__ import annotations

from stemwright_server.ports.auth import Principal
from stemwright_worker.errors import Unauthenticated


class ClosedAuthenticator:
    """Implements ports.auth.Authenticator."""

    def preparation(self, authorization: str | None) -> None:
        return None

    def authenticate(self, authorization: str | None) -> Principal:
        raise Unauthenticated(
            "This part of the service is closed to other machines until JWT_ISSUER or JWT_SECRET is set."
        )
