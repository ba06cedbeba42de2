"""Connections to addresses that were checked, and to nothing else, until a deadline."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Collection, Iterable
from typing import Any

import httpcore2

from stemwright_worker.ports.sources import SourceRefused


def addresses_of(host: str, port: int) -> list[str]:
    """The addresses of a name, in the order to try them.

    Raises:
        OSError: the name cannot be resolved.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Pinned(httpcore2.NetworkBackend):
    """Connects to the addresses that were checked, and to nothing else."""

    def __init__(
        self, network: httpcore2.NetworkBackend, addresses: Collection[str], left: Callable[[], float]
    ) -> None:
        self._network = network
        self._addresses = addresses
        self._left = left

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.NetworkStream:
        """Connect to the first of the checked addresses that answers, whatever ``host`` resolves to by now.

        Raises:
            ConnectError: None answered (httpcore2).
            ConnectTimeout: The time was over (httpcore2).
        """
        last: Exception = httpcore2.ConnectError("no address")
        for address in self._addresses:
            try:
                seconds = min(timeout or self._left(), self._left())
                return _Timed(self._network.connect_tcp(address, port, timeout=seconds), self._left)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                last = error
        raise last


class _Timed(httpcore2.NetworkStream):
    """A stream whose every wait ends with the deadline: bytes that drip do not keep it open."""

    def __init__(self, stream: httpcore2.NetworkStream, left: Callable[[], float]) -> None:
        self._stream = stream
        self._left = left

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._seconds(timeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._seconds(timeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.NetworkStream:
        try:
            secure = self._stream.start_tls(ssl_context, server_hostname, self._seconds(timeout))
        except httpcore2.ConnectError as error:
            if isinstance(error.__cause__, ssl.SSLCertVerificationError):
                raise SourceRefused(f"The certificate of {server_hostname} does not hold.") from error
            raise
        return _Timed(secure, self._left)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)

    def _seconds(self, timeout: float | None) -> float:
        left = self._left()
        return left if timeout is None else min(timeout, left)
