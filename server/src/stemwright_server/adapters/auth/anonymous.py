"""Everybody is the same caller: for a service that only its own machine can reach."""

from __future__ import annotations

from stemwright_server.ports.auth import ANONYMOUS, Principal


class AnonymousAuthenticator:
    """Implements ports.auth.Authenticator."""

    def preparation(self, authorization: str | None) -> None:
        return None

    def authenticate(self, authorization: str | None) -> Principal:
        return Principal(subject=ANONYMOUS)
