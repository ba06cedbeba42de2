"""The proxy of a child process: to public addresses and trusted hosts, for whoever knows its password."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from threading import Thread
from urllib.parse import urlsplit

import pytest

from stemwright_worker.net.socks import SocksProxy

GRANTED, REFUSED, UNREACHABLE = 0, 2, 4


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server on loopback that sends back what it got, and hangs up when it has got all."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with client:
                    while block := client.recv(1 << 16):
                        client.sendall(block)

        Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


@contextmanager
def asked(proxy: SocksProxy, host: str | bytes, port: int, *, password: str | None = None) -> Iterator[socket.socket]:
    """A connection to the proxy that has asked to be led to ``host``, of which it has read nothing yet."""
    with closing(socket.create_connection(("127.0.0.1", proxy.port), timeout=20)) as client:
        client.sendall(b"\5\1\2")
        assert client.recv(2) == b"\5\2"
        secret = (urlsplit(proxy.url).password or "" if password is None else password).encode()
        client.sendall(b"\1\5child" + bytes([len(secret)]) + secret)
        status = client.recv(2)
        assert status == (b"\1\0" if password is None else b"\1\1")
        if password is None:
            address = host if isinstance(host, bytes) else b"\3" + bytes([len(host)]) + host.encode()
            client.sendall(b"\5\1\0" + address + port.to_bytes(2, "big"))
        yield client


def answer(proxy: SocksProxy, host: str | bytes, port: int) -> int:
    with asked(proxy, host, port) as client:
        return client.recv(10)[1]


def test_a_trusted_host_is_led_to_on_any_port(echo: int) -> None:
    with SocksProxy(["127.0.0.1"]) as proxy, asked(proxy, "127.0.0.1", echo) as client:
        assert client.recv(10)[1] == GRANTED
        client.sendall(b"x" * 300_000)
        client.shutdown(socket.SHUT_WR)
        got = 0
        while block := client.recv(1 << 16):
            got += len(block)
        assert got == 300_000


def test_a_subdomain_of_a_trusted_host_may_be_private_and_a_lookalike_may_not(echo: int) -> None:
    with SocksProxy(["media.test"], resolve=lambda host, port: ["127.0.0.1"]) as proxy:
        assert answer(proxy, "a.media.test", echo) == GRANTED
        assert answer(proxy, "evilmedia.test", echo) == REFUSED


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "192.168.1.1", "::1", "fd00::1", "::ffff:127.0.0.1", "168.63.129.16"],
)
def test_a_name_that_leads_inside_is_refused(address: str) -> None:
    with SocksProxy(resolve=lambda host, port: ["93.184.215.14", address]) as proxy:
        assert answer(proxy, "www.youtube.com", 443) == REFUSED


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "2130706433", "0x7f.1", "a b", "localhost."])
def test_an_address_inside_is_refused_however_it_is_spelled(host: str) -> None:
    with SocksProxy(resolve=lambda host, port: ["127.0.0.1"]) as proxy:
        assert answer(proxy, host, 443) == REFUSED


def test_addresses_in_binary_are_checked_too() -> None:
    with SocksProxy() as proxy:
        assert answer(proxy, b"\1" + socket.inet_aton("10.1.2.3"), 443) == REFUSED
        assert answer(proxy, b"\4" + socket.inet_pton(socket.AF_INET6, "fe80::1"), 443) == REFUSED


def test_even_a_trusted_name_does_not_lead_to_a_metadata_service() -> None:
    with SocksProxy(["media.test"], resolve=lambda host, port: ["169.254.169.254"]) as proxy:
        assert answer(proxy, "media.test", 80) == REFUSED


@pytest.mark.parametrize("port", [22, 25, 6379, 8080])
def test_of_other_hosts_only_the_ports_of_the_web_are_led_to(port: int) -> None:
    with SocksProxy(resolve=lambda host, port: ["93.184.215.14"]) as proxy:
        assert answer(proxy, "www.youtube.com", port) == REFUSED


def test_a_name_without_an_address_is_unreachable() -> None:
    def nowhere(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    with SocksProxy(resolve=nowhere) as proxy:
        assert answer(proxy, "www.youtube.com", 443) == UNREACHABLE


def test_who_does_not_know_the_password_is_led_nowhere(echo: int) -> None:
    with SocksProxy(["127.0.0.1"]) as proxy, asked(proxy, "127.0.0.1", echo, password="guess") as client:
        assert client.recv(1) == b""


def test_a_client_that_offers_no_password_is_turned_away() -> None:
    with SocksProxy() as proxy, closing(socket.create_connection(("127.0.0.1", proxy.port), timeout=20)) as client:
        client.sendall(b"\5\1\0")
        assert client.recv(2) == b"\5\xff"
        assert client.recv(1) == b""


def test_it_ends_with_its_context() -> None:
    with SocksProxy() as proxy:
        port = proxy.port
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=20)
