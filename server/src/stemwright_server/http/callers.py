"""Who calls, and absolute URLs for them."""

from __future__ import annotations

from collections.abc import Callable

from fastapi import Request

from stemwright_server.ports.auth import ADMIN, Authenticator, Principal
from stemwright_worker.errors import Forbidden


class Callers:
    """How a dialect finds out who calls and how to word a URL."""

    def __init__(self, authenticator: Authenticator, public_url: str | None) -> None:
        self._authenticator = authenticator
        self._public_url = public_url

    async def caller(self, request: Request) -> Principal:
        """A dependency of every route that is not for everybody; it needs no thread to wait in.

        Raises:
            Unauthenticated: nobody that is known here.
        """
        return self.identify(request)

    def identify(self, request: Request) -> Principal:
        """The same, for those who do not await.

        Raises:
            Unauthenticated: nobody that is known here.
        """
        return self._authenticator.authenticate(request.headers.get("Authorization"))

    async def admin(self, request: Request) -> Principal:
        """A dependency of routes for administrators alone.

        Raises:
            Unauthenticated: nobody that is known here.
            Forbidden: somebody without the role.
        """
        caller = self.identify(request)
        if ADMIN not in caller.roles:
            raise Forbidden(f"This is for callers whose token gives them the role {ADMIN!r}.", code="not_admin")
        return caller

    def absolute(self, request: Request) -> Callable[[str], str]:
        """Makes URLs of the blob store absolute, as clients have to see them."""
        return absolute_to(self._public_url or str(request.base_url))


def absolute_to(base: str) -> Callable[[str], str]:
    """Puts ``base`` before URLs that begin with a slash, and leaves others as they are."""
    return lambda url: base.rstrip("/") + url if url.startswith("/") else url
