"""Requests to hosts that are not to be trusted: names are resolved once, and all their addresses are checked.

The connection goes to one of those very addresses, and the certificate is checked against the name. No proxy, cookie,
credential or netrc of this machine has a part in it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Collection
from functools import cached_property

import httpcore2

from stemwright_worker.net.addresses import Target, check_addresses, origins
from stemwright_worker.net.pinned import Pinned, addresses_of

_PORTS = {"http": 80, "https": 443}


class NoAddress(Exception):
    """The name of the host has no address."""


class CheckedConnections:
    """What fetching and sending share."""

    def __init__(
        self,
        allowlist: Collection[str] = (),
        *,
        resolve: Callable[[str, int], list[str]] = addresses_of,
        network: httpcore2.NetworkBackend | None = None,
        ssl_context: ssl.SSLContext | None = None,
    ) -> None:
        """``allowlist``: origins that may be plain http or private. The rest is for tests.

        Raises:
            ValueError: an entry of the allowlist is no origin.
        """
        self.allowed = origins(allowlist)
        self._resolve = resolve
        self._network = network or httpcore2.SyncBackend()
        self._given_context = ssl_context

    @cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        """Made at the first https URL, and once: it reads every root certificate there is."""
        return self._given_context or httpcore2.default_ssl_context()

    def open(self, target: Target, left: Callable[[], float]) -> httpcore2.ConnectionPool:
        """A pool that connects to the checked addresses of ``target`` alone, for as long as ``left`` says (seconds).

        Raises:
            NoAddress: the host has none.
            SourceRefused: one of them is not to be connected to.
        """
        try:
            addresses = [target.host] if target.literal is not None else self._resolve(target.host, target.port)
        except (OSError, UnicodeError) as error:
            raise NoAddress(target.host) from error
        check_addresses(target, addresses, self.allowed)
        return httpcore2.ConnectionPool(
            ssl_context=self._ssl_context if target.scheme == "https" else None,
            network_backend=Pinned(self._network, addresses, left),
        )


def url_of(target: Target) -> httpcore2.URL:
    """As the client takes it."""
    return httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path)


def authority_of(target: Target) -> str:
    """The Host header: without the port that its scheme has anyway."""
    return target.origin.partition("://")[2].removesuffix(f":{_PORTS[target.scheme]}")
