"""Where the keys of an issuer come from: its key set, found by OpenID Connect discovery or named by the operator.

PyJWT has a client for key sets, ``PyJWKClient``. It is not used: it follows redirects and the proxies of the environment,
reads an answer of any size, asks again for each unknown key as often as somebody sends one, and does all that in the
thread of the request, which here is the event loop.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from urllib.parse import urlsplit

import httpcore2

from stemwright_server.adapters.auth.public_keys import BadKeySet, PublicKey, json_object, public_keys
from stemwright_worker.errors import Unavailable
from stemwright_worker.net.addresses import check_target, parse
from stemwright_worker.net.checked import CheckedConnections, NoAddress, authority_of, url_of
from stemwright_worker.ports.sources import SourceRefused

DISCOVERY = "/.well-known/openid-configuration"
SECONDS = 5.0  # for one document, all of it
_MAX_BYTES = 256 << 10
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


class KeysUnavailable(Unavailable):
    """The keys of an issuer cannot be had now."""

    code = "issuer_unreachable"


class KeySource:
    """Fetches the keys of one issuer. A redirect is an answer, never followed.

    The hosts that the operator named may have private addresses. Where discovery names a key set on another origin, that
    is the issuer's word: it has to be https at a public address, unless ``allowlist`` has its origin.
    """

    def __init__(
        self,
        *,
        issuer: str | None,
        key_set: str | None = None,
        allowlist: Collection[str] = (),
        connections: type[CheckedConnections] = CheckedConnections,
        seconds: float = SECONDS,
    ) -> None:
        """``issuer``: whose discovery document names the key set, unless ``key_set`` does. One of the two is given."""
        self._issuer = issuer
        self._key_set = key_set
        self._seconds = seconds
        named = parse(key_set or issuer or "").origin
        self._connections = connections([*allowlist, named])

    def __call__(self) -> Sequence[PublicKey]:
        """The keys as they are now. Raises KeysUnavailable."""
        url = self._key_set or self._discovered()
        try:
            return public_keys(self._get(url))
        except BadKeySet as error:
            raise KeysUnavailable(f"The key set at {url} cannot be used: {error}.") from error

    def _discovered(self) -> str:
        """Where the issuer's key set is. Source: OpenID Connect Discovery 1.0, section 4."""
        assert self._issuer is not None
        url = self._issuer.removesuffix("/") + DISCOVERY
        try:
            document = json_object(self._get(url))
        except BadKeySet as error:
            raise KeysUnavailable(f"What {url} answers cannot be used: {error}.") from error
        if document.get("issuer") != self._issuer:
            raise KeysUnavailable(f"{url} speaks of another issuer than {self._issuer}.")
        found = document.get("jwks_uri")
        if not isinstance(found, str):
            raise KeysUnavailable(f"{url} names no key set (jwks_uri).")
        return found

    def _get(self, url: str) -> bytes:
        deadline = time.monotonic() + self._seconds

        def left() -> float:
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                raise httpcore2.ReadTimeout("total")
            return remaining

        try:
            target = parse(url)
            check_target(target, self._connections.allowed)
            headers = {"Host": authority_of(target), "User-Agent": "stemwright", "Accept": "application/json"}
            timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._seconds)
            with (
                self._connections.open(target, left) as pool,
                pool.stream(
                    "GET", url_of(target), headers=list(headers.items()), extensions={"timeout": timeouts}
                ) as response,
            ):
                if response.status != 200:
                    raise KeysUnavailable(f"{url} answered {response.status}.")
                body = b""
                for chunk in response.iter_stream():
                    body += chunk
                    if len(body) > _MAX_BYTES:
                        raise KeysUnavailable(f"{url} sends more than the {_MAX_BYTES} bytes taken.")
                return body
        except SourceRefused as error:
            raise KeysUnavailable(f"{url} is not fetched: {error}") from error
        except NoAddress as error:
            raise KeysUnavailable(f"{url}: the host has no address.") from error
        except httpcore2.TimeoutException as error:
            raise KeysUnavailable(f"{url} did not answer within {self._seconds:g} s.") from error
        except (httpcore2.NetworkError, httpcore2.ProtocolError) as error:
            raise KeysUnavailable(f"{url} cannot be reached, or broke off: {error}.") from error


def check_issuer_url(url: str, allowlist: Collection[str]) -> None:
    """Raise ValueError for a URL that keys may not come from: who can change them on their way can sign as anybody."""
    try:
        target = parse(url)
    except SourceRefused as error:
        raise ValueError(f"{url!r}: {error}") from error
    if "|" in url or urlsplit(url).query or urlsplit(url).fragment:
        raise ValueError(f"{url!r} has a query, a fragment or a '|' in it, which no issuer has")
    plain = target.scheme == "http" and target.host not in _LOOPBACK
    if plain and target.origin not in {parse(each).origin for each in allowlist}:
        raise ValueError(
            f"{url!r} has to be https, or on loopback; plain http elsewhere is for trying out, with {target.origin} in "
            "SOURCE_ORIGIN_ALLOWLIST"
        )
