"""Who calls, and absolute URLs for them."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable, Collection

from fastapi import Request
from starlette.requests import HTTPConnection

from stemwright_server.ports.auth import Authenticator, Principal
from stemwright_worker.errors import Forbidden


class Callers:
    """How a dialect finds out who calls and how to word a URL."""

    def __init__(
        self, authenticator: Authenticator, public_url: str | None, allowed_hosts: Collection[str] = ()
    ) -> None:
        """``allowed_hosts``: names that are the service's own; ``*.example.com`` is all below it."""
        self._authenticator = authenticator
        self._public_url = public_url
        self._allowed_hosts = tuple(host.lower() for host in allowed_hosts)

    @property
    def authenticator(self) -> Authenticator:
        """How callers are told apart."""
        return self._authenticator

    async def caller(self, request: Request) -> Principal:
        """A dependency of every route that is not for everybody; it needs no thread to wait in.

        Raises:
            Unauthenticated: nobody that is known here.
        """
        return self.identify(request)

    def identify(self, request: HTTPConnection) -> Principal:
        """The same, for those who do not await.

        Raises:
            Unauthenticated: nobody that is known here.
        """
        return self._authenticator.authenticate(request.headers.get("Authorization"))

    def require_role(self, role: str) -> Callable[[Request], Awaitable[Principal]]:
        """A dependency of routes that are for callers of this role alone.

        It raises Unauthenticated for who is not known here, and Forbidden (code ``role_missing``) for everybody else
        without the role, before the route looks at what was asked for.
        """

        async def caller(request: Request) -> Principal:
            found = self.identify(request)
            if role not in found.roles:
                raise Forbidden(f"This is for callers whose token gives them the role {role!r}.", code="role_missing")
            return found

        return caller

    def absolute(self, request: HTTPConnection) -> Callable[[str], str]:
        """Makes URLs of the blob store absolute, for this caller alone: by the Host that was named; a WebSocket's with http."""
        base = request.base_url
        return absolute_to(self._public_url or str(base.replace(scheme=base.scheme.replace("ws", "http"))))

    def own_url(self, request: Request) -> str:
        """The address for what is told later, or to others. "": none is known, since a request may name any Host.

        The public URL; or the Host that was named, where it is one of the service's own names or the address that the
        request came in at.
        """
        if self._public_url is not None:
            return self._public_url.rstrip("/")
        url, host = str(request.base_url).rstrip("/"), (request.base_url.hostname or "").lower()
        allowed = any(host == own or (own.startswith("*.") and host.endswith(own[1:])) for own in self._allowed_hosts)
        return url if allowed or self._is_where_it_came_in(request, host) else ""

    def arrival_url(self, request: Request) -> str:
        """The same, and if there is none the address of this machine at which the request came in."""
        host, port = request.scope.get("server") or ("127.0.0.1", None)
        bracketed = f"[{host}]" if ":" in host else host
        scheme = request.scope.get("scheme", "http")
        return self.own_url(request) or f"{scheme}://{bracketed}" + ("" if port is None else f":{port}")

    def _is_where_it_came_in(self, request: Request, host: str) -> bool:
        at, port = request.scope.get("server") or ("", None)
        named = request.base_url.port or {"http": 80, "https": 443}.get(request.base_url.scheme)
        return named == port and (host == at or (host == "localhost" and _is_loopback(at)))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def absolute_to(base: str) -> Callable[[str], str]:
    """Puts ``base`` before URLs that begin with a slash, and leaves others as they are."""
    return lambda url: base.rstrip("/") + url if url.startswith("/") else url
