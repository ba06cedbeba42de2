"""A SOCKS5 proxy on loopback, for a child process that may reach public addresses only.

Source: RFC 1928 (SOCKS5) and RFC 1929 (user name and password); CONNECT by name or IPv4 or IPv6 address alone.
"""

from __future__ import annotations

import secrets
import select
import socket
from collections.abc import Callable, Collection
from contextlib import ExitStack, suppress
from threading import BoundedSemaphore, Thread

from stemwright_worker.net.addresses import Target, check_addresses, parse
from stemwright_worker.net.pinned import addresses_of
from stemwright_worker.ports.sources import SourceRefused

_PORTS = {80: "http", 443: "https"}
_CONNECTIONS = 32
_SILENCE = 60.0  # seconds without a byte in either direction
_CONNECT = 15.0
_BLOCK = 1 << 16
_VERSION, _BY_PASSWORD, _CONNECT_COMMAND = 5, 2, 1
_IPV4, _NAME, _IPV6 = 1, 3, 4
_GRANTED, _REFUSED, _UNREACHABLE, _NO_SUCH_COMMAND = 0, 2, 4, 7


class SocksProxy:
    """Leads to ports 80 and 443 of public hosts, and to any port of the ``trusted`` ones; used as a context manager.

    The name is resolved here, once, and the address that was checked is the one connected to. Whoever does not know
    the password, which is another one each time, is turned away.
    """

    def __init__(
        self, trusted: Collection[str] = (), *, resolve: Callable[[str, int], list[str]] = addresses_of
    ) -> None:
        """``trusted``: hosts, in lower case, whose addresses may be private; their subdomains count."""
        self._trusted = tuple(trusted)
        self._resolve = resolve
        self._password = secrets.token_urlsafe(16)
        self._places = BoundedSemaphore(_CONNECTIONS)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=_CONNECTIONS)
        self._closed = False

    @property
    def port(self) -> int:
        """Where it listens, on 127.0.0.1."""
        return int(self._listener.getsockname()[1])

    @property
    def url(self) -> str:
        """For a client, with the password: not for a command line, which others may read."""
        return f"socks5h://child:{self._password}@127.0.0.1:{self.port}"

    def __enter__(self) -> SocksProxy:
        """Begin to listen."""
        Thread(target=self._accept, name="socks", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take no more connections; those that are open end with their client."""
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
        self._listener.close()

    def _accept(self) -> None:
        while not self._closed:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if not self._places.acquire(blocking=False):
                client.close()
                continue
            Thread(target=self._serve, args=(client,), name="socks-connection", daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with ExitStack() as stack:
            stack.callback(self._places.release)
            stack.enter_context(client)
            stack.enter_context(suppress(OSError, EOFError))
            client.settimeout(_CONNECT)
            if not self._admitted(client):
                return
            try:
                other = stack.enter_context(self._connect(client))
            except SourceRefused:
                _answer(client, _REFUSED)
            except (OSError, UnicodeError):
                _answer(client, _UNREACHABLE)
            else:
                _answer(client, _GRANTED)
                _relay(client, other)

    def _admitted(self, client: socket.socket) -> bool:
        version, count = _read(client, 2)
        if version != _VERSION or _BY_PASSWORD not in _read(client, count):
            client.sendall(bytes((_VERSION, 0xFF)))
            return False
        client.sendall(bytes((_VERSION, _BY_PASSWORD)))
        _read(client, 1)
        _read(client, _read(client, 1)[0])  # the user's name
        password = _read(client, _read(client, 1)[0])
        right = secrets.compare_digest(password, self._password.encode())
        client.sendall(bytes((1, 0 if right else 1)))
        return right

    def _connect(self, client: socket.socket) -> socket.socket:
        _, command, _, kind = _read(client, 4)
        if kind == _NAME:
            host = _read(client, _read(client, 1)[0]).decode("ascii")
        elif kind in (_IPV4, _IPV6):
            family, length = (socket.AF_INET, 4) if kind == _IPV4 else (socket.AF_INET6, 16)
            host = socket.inet_ntop(family, _read(client, length))
        else:
            raise SourceRefused("no such kind of address")
        port = int.from_bytes(_read(client, 2), "big")
        if command != _CONNECT_COMMAND:
            raise SourceRefused("no such command")
        target = parse(f"{_PORTS.get(port, 'https')}://{f'[{host}]' if ':' in host else host}:{port}")
        trusted = _is_of(target, self._trusted)
        if port not in _PORTS and not trusted:
            raise SourceRefused("no usual port")
        addresses = [target.host] if target.literal is not None else self._resolve(target.host, port)
        check_addresses(target, addresses, frozenset({target.origin} if trusted else ()))
        return _connected(addresses, port)


def _is_of(target: Target, hosts: Collection[str]) -> bool:
    return any(target.host == host or target.host.endswith(f".{host}") for host in hosts)


def _connected(addresses: Collection[str], port: int) -> socket.socket:
    last = OSError("no address")
    for address in addresses:
        try:
            return socket.create_connection((address, port), timeout=_CONNECT)
        except OSError as error:
            last = error
    raise last


def _read(client: socket.socket, length: int) -> bytes:
    body = b""
    while len(body) < length:
        part = client.recv(length - len(body))
        if not part:
            raise EOFError
        body += part
    return body


def _answer(client: socket.socket, code: int) -> None:
    client.sendall(bytes((_VERSION, code, 0, _IPV4)) + bytes(6))


def _relay(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways until both have said all they have, or nobody says anything any more."""
    towards = {one: other, other: one}
    for each in towards:
        each.settimeout(_SILENCE)
    while towards:
        ready, _, _ = select.select(list(towards), [], [], _SILENCE)
        if not ready:
            return
        for each in ready:
            block = each.recv(_BLOCK)
            if block:
                towards[each].sendall(block)
            else:
                towards.pop(each).shutdown(socket.SHUT_WR)
