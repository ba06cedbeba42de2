"""Where a URL that a stranger gave may lead: its spelling, and the addresses behind its name."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from stemwright_worker.ports.sources import SourceRefused

_PORTS = {"http": 80, "https": 443}
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")  # what resolvers take for a part of an IPv4 address, in any base
_URL = re.compile(r"[!-\[\]-~]{1,8192}")  # printable ASCII, no space, no backslash

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Besides what is_global excludes: by Python's version, that is not all of what the registries do.
_NOT_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.0.0.0/24",  # protocol assignments; a cloud's metadata service is among them
        "192.88.99.0/24",  # 6to4 relays
        "168.63.129.16/32",  # a cloud's metadata service, at an address that looks public
        "2001::/23",  # protocol assignments: Teredo and others that carry an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4: carries an IPv4 address
        "3fff::/20",
    )
)
_GLOBAL_UNICAST = ipaddress.IPv6Network("2000::/3")  # leaves out mapped, NAT64, site-local and multicast addresses


@dataclass(frozen=True, kw_only=True)
class Target:
    """A URL taken apart, once: what is checked here is what is connected to."""

    scheme: str
    host: str  # lower case; an IPv6 address without brackets
    port: int
    path: str  # with the query; not for messages

    @property
    def origin(self) -> str:
        """``scheme://host:port``, the port always said."""
        return f"{self.scheme}://{f'[{self.host}]' if ':' in self.host else self.host}:{self.port}"

    @property
    def literal(self) -> IPAddress | None:
        """The host as an address, if it is one."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None


def parse(url: str) -> Target:
    """Take a URL apart.

    Raises:
        SourceRefused: other programs might read its spelling differently.
    """
    if _URL.fullmatch(url) is None:
        raise SourceRefused("The URL holds characters that a URL cannot; percent-encode them.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise SourceRefused("The URL is no valid URL.") from error
    if parts.scheme not in _PORTS:
        raise SourceRefused("The URL has to begin with https://.")
    if "@" in parts.netloc:
        raise SourceRefused("The URL names a user; give a presigned URL instead.")
    if port == 0 or parts.netloc.endswith(":"):
        raise SourceRefused("The URL names no usable port.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    host = _host(parts.hostname or "", bracketed=parts.netloc.startswith("["))
    return Target(scheme=parts.scheme, host=host, port=port or _PORTS[parts.scheme], path=path)


def _host(host: str, *, bracketed: bool) -> str:
    if bracketed:
        try:
            return str(ipaddress.IPv6Address("" if "%" in host else host))
        except ValueError as error:
            raise SourceRefused("The URL's address is no IPv6 address.") from error
    if _NAME.fullmatch(host) is None:
        raise SourceRefused("The URL's host is no host name.")
    if _NUMBER.fullmatch(host.rpartition(".")[2]) is None:
        return host
    try:  # an IPv4 address: in its one usual spelling, or not at all
        return str(ipaddress.IPv4Address(host))
    except ValueError as error:
        raise SourceRefused(f"{host!r} is no usual spelling of an address.") from error


def origins(listed: Collection[str]) -> frozenset[str]:
    """The origins of SOURCE_ORIGIN_ALLOWLIST, spelled alike.

    Raises:
        ValueError: one of them is no origin.
    """
    found = set()
    for origin in listed:
        try:
            target = parse(origin)
        except SourceRefused as error:
            raise ValueError(f"{origin!r}: {error}") from error
        if target.path != "/" or "#" in origin:
            raise ValueError(f"{origin!r} is no origin: scheme://host[:port], nothing after it")
        found.add(target.origin)
    return frozenset(found)


def check_target(target: Target, allowed: frozenset[str]) -> None:
    """Raise SourceRefused if ``target`` is out of the question before its name is resolved."""
    if target.origin in allowed:
        return
    if target.scheme != "https":
        raise SourceRefused(f"The URL of {target.host} is plain http; it has to begin with https://.")
    if target.literal is not None:
        _check_public(target, target.literal)


def check_addresses(target: Target, addresses: Collection[str], allowed: frozenset[str]) -> None:
    """Raise SourceRefused unless each address that the target's name led to may be connected to.

    All of them, not one of them: a name with a public and a private address is a trick or a mistake.
    """
    for text in addresses:
        address = ipaddress.ip_address(text.partition("%")[0])
        if target.origin not in allowed:
            _check_public(target, address)
        elif address.is_link_local and target.literal is None:
            # The operator trusts the name with private addresses, hardly with a metadata service.
            raise SourceRefused(f"The host {target.host} has a link-local address.")


def _check_public(target: Target, address: IPAddress) -> None:
    public = address.is_global and not address.is_multicast and not any(address in each for each in _NOT_PUBLIC)
    if isinstance(address, ipaddress.IPv6Address):
        public = public and address in _GLOBAL_UNICAST
    if not public:
        raise SourceRefused(f"The host {target.host} is not on the public internet.")
