"""Requests that send something to URLs that are not to be trusted: callers' upload URLs, and webhooks.

The same guard as for fetching: names are resolved once, all their addresses checked, the connection goes to one of those
very addresses, and the certificate is checked against the name. A redirect is an answer, never followed. No proxy, cookie,
credential or netrc of this machine has a part in it.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import httpcore2

from stemwright_worker.errors import Forbidden, Unavailable
from stemwright_worker.net.addresses import Target, check_addresses, check_target, origins, parse
from stemwright_worker.net.pinned import Pinned, addresses_of
from stemwright_worker.ports.sources import SourceRefused

_PORTS = {"http": 80, "https": 443}


class OutboundRefused(Forbidden):
    """The URL is not sent to."""

    code = "outbound_refused"


class OutboundNever(OutboundRefused):
    """The URL is never sent to: its scheme, its spelling, or the address in it. No receiver can mend that."""


class OutboundFailed(Unavailable):
    """No address, no connection, cut off, or too slow."""

    code = "outbound_failed"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Status and headers, the names in lower case; the body is not read."""

    status: int
    headers: Mapping[str, str]


class Outbound:
    """Sends one request at a time on one connection; used by many threads."""

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
        self._allowed = origins(allowlist)
        self._resolve = resolve
        self._network = network or httpcore2.SyncBackend()
        self._given_context = ssl_context

    @cached_property
    def _ssl_context(self) -> ssl.SSLContext:
        """Made at the first https URL, and once: it reads every root certificate there is."""
        return self._given_context or httpcore2.default_ssl_context()

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        content: bytes | Iterable[bytes],
        seconds: float,
        idle_seconds: float = 15.0,
    ) -> Answer:
        """The answer to one request, all of it within ``seconds``.

        What ``content`` raises passes through, and the connection is closed: the receiver sees half a body.

        Raises:
            OutboundNever: its scheme, its spelling or the address in it is refused for good.
            OutboundRefused: its name leads to a private address now, or the certificate does not hold.
            OutboundFailed: there is no address or no connection, it was cut off, or it was too slow.
        """
        deadline = time.monotonic() + seconds

        def left() -> float:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise httpcore2.ReadTimeout("total")
            return remaining

        try:
            target = parse(url)
            check_target(target, self._allowed)
        except SourceRefused as error:
            raise OutboundNever(str(error)) from error
        try:
            network = Pinned(self._network, self._addresses(target), left)
            timeouts = {"connect": idle_seconds, "read": idle_seconds, "write": idle_seconds, "pool": idle_seconds}
            with (
                httpcore2.ConnectionPool(
                    ssl_context=self._ssl_context if target.scheme == "https" else None, network_backend=network
                ) as pool,
                pool.stream(
                    method,
                    httpcore2.URL(scheme=target.scheme, host=target.host, port=target.port, target=target.path),
                    headers=list(({"Host": _authority(target), "User-Agent": "stemwright"} | dict(headers)).items()),
                    content=content if isinstance(content, bytes) else iter(content),
                    extensions={"timeout": timeouts},
                ) as response,
            ):
                found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
                return Answer(status=response.status, headers=found)
        except SourceRefused as error:
            raise OutboundRefused(str(error)) from error
        except httpcore2.TimeoutException as error:
            raise OutboundFailed(f"{target.host} did not answer in time.") from error
        except httpcore2.NetworkError as error:
            raise OutboundFailed(f"{target.host} cannot be reached, or hung up: {error}.") from error
        except httpcore2.ProtocolError as error:
            raise OutboundFailed(f"{target.host} broke off its answer.") from error

    def _addresses(self, target: Target) -> list[str]:
        try:
            addresses = [target.host] if target.literal is not None else self._resolve(target.host, target.port)
        except (OSError, UnicodeError) as error:
            raise OutboundFailed(f"{target.host} has no address.") from error
        check_addresses(target, addresses, self._allowed)
        return addresses


def _authority(target: Target) -> str:
    authority = target.origin.partition("://")[2]
    default = f":{_PORTS[target.scheme]}"
    return authority.removesuffix(default)
