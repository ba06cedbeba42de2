"""Requests that send something to URLs that are not to be trusted: callers' upload URLs, and webhooks.

A redirect is an answer, never followed.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import httpcore2

from stemwright_worker.errors import Forbidden, Unavailable
from stemwright_worker.net.addresses import check_target, parse
from stemwright_worker.net.checked import CheckedConnections, NoAddress, authority_of, url_of
from stemwright_worker.ports.sources import SourceRefused


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


class Outbound(CheckedConnections):
    """Sends one request at a time on one connection; used by many threads."""

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
            check_target(target, self.allowed)
        except SourceRefused as error:
            raise OutboundNever(str(error)) from error
        try:
            timeouts = {"connect": idle_seconds, "read": idle_seconds, "write": idle_seconds, "pool": idle_seconds}
            with (
                self.open(target, left) as pool,
                pool.stream(
                    method,
                    url_of(target),
                    headers=list(({"Host": authority_of(target), "User-Agent": "stemwright"} | dict(headers)).items()),
                    content=content if isinstance(content, bytes) else iter(content),
                    extensions={"timeout": timeouts},
                ) as response,
            ):
                found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
                return Answer(status=response.status, headers=found)
        except SourceRefused as error:
            raise OutboundRefused(str(error)) from error
        except NoAddress as error:
            raise OutboundFailed(f"{target.host} has no address.") from error
        except httpcore2.TimeoutException as error:
            raise OutboundFailed(f"{target.host} did not answer in time.") from error
        except httpcore2.NetworkError as error:
            raise OutboundFailed(f"{target.host} cannot be reached, or hung up: {error}.") from error
        except httpcore2.ProtocolError as error:
            raise OutboundFailed(f"{target.host} broke off its answer.") from error
