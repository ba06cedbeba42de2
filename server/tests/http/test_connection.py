"""What a connection may cost before anybody has said who they are."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any

import pytest
import uvicorn

from stemwright_server.http.connection import BODY_RATE, HEAD_BYTES, HEADERS, Connection


class Impatient(Connection):
    """Waits for as short as a test can; takes few connections."""

    most = 8
    head_seconds = 0.5
    body_seconds = 0.5


held: list[Any] = []
let_go = threading.Event()


async def answer(scope: Any, receive: Any, send: Any) -> None:
    """Read the body to its end and say how long it was.

    ``/slow`` answers a second later, ``/large`` at length, ``/held`` when told to.
    """
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    if scope["path"] == "/large":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(100):
            await send({"type": "http.response.body", "body": bytes(1 << 20), "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        return
    if scope["path"] == "/slow":
        await asyncio.sleep(1.0)
    if scope["path"] == "/held":
        held.append(scope)
        while not let_go.is_set():
            await asyncio.sleep(0.01)
    body = str(size).encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def listening(protocol: type[Connection]) -> Iterator[int]:
    config = uvicorn.Config(answer, http=protocol, log_config=None, lifespan="off", port=0)
    server = uvicorn.Server(config)
    with socket.create_server(("127.0.0.1", 0), backlog=256) as listener:
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])), daemon=True)
        thread.start()
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(20)


@pytest.fixture(scope="module")
def patient() -> Iterator[int]:
    with listening(Connection) as port:
        yield port


@pytest.fixture(scope="module")
def impatient() -> Iterator[int]:
    with listening(Impatient) as port:
        yield port


def connected(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def status(connection: socket.socket) -> int:
    """Of the answer, after which the other side hangs up or not; 0: it hung up without one."""
    with suppress(ConnectionError):
        found = b""
        while b"\r\n" not in found:
            block = connection.recv(4096)
            if not block:
                return 0
            found += block
        return int(found.split()[1])
    return 0


def sent(port: int, *parts: bytes | Iterator[bytes]) -> tuple[int, int]:
    """(bytes that were taken, status) of a request that goes on until it is refused."""
    taken = 0
    with closing(connected(port)) as connection:
        with suppress(ConnectionError):
            for part in parts:
                for block in [part] if isinstance(part, bytes) else part:
                    connection.sendall(block)
                    taken += len(block)
        return taken, status(connection)


def repeated(block: bytes, megabytes: int) -> Iterator[bytes]:
    for _ in range(megabytes * 2**20 // len(block)):
        yield block


START = b"POST / HTTP/1.1\r\nHost: x\r\n"
CHUNKED = START + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ((START, b"X-Long: ", repeated(b"a" * 65536, 8)), 431),
        ((START, repeated(b"X-Header-%d: y\r\n" % 1, 4)), 431),
        ((START, b"".join(b"X-%d: y\r\n" % each for each in range(HEADERS + 1)), b"\r\n"), 431),
        ((START, b"X-Long: " + b"a" * (HEAD_BYTES + 1) + b"\r\n\r\n"), 431),
        ((b"GET /", repeated(b"a" * 65536, 8)), 414),
        ((CHUNKED + b"0\r\n", repeated(b"X-Trailer: y\r\n", 4)), 431),
        ((CHUNKED + b"0\r\nX-Trailer: ", repeated(b"a" * 65536, 8)), 431),
        ((CHUNKED + b"5;x=", repeated(b"a" * 65536, 8)), 431),
    ],
    ids=[
        "a long header",
        "small headers",
        "many",
        "one too long",
        "a long url",
        "trailers",
        "a long trailer",
        "a chunk",
    ],
)
def test_what_is_no_body_ends_at_64_kb(patient: int, parts: tuple[bytes, ...], expected: int) -> None:
    taken, code = sent(patient, *parts)
    # Who is still sending when the other side hangs up may lose the answer.
    assert code in (expected, 0)
    assert taken < 8 * 2**20
    assert sent(patient, START + b"Content-Length: 2\r\n\r\nhi")[1] == 200


def test_the_refusal_is_read_by_a_client_that_stops_sending(patient: int) -> None:
    assert sent(patient, START, b"X-Long: " + b"a" * HEAD_BYTES)[1] == 431
    assert sent(patient, b"GET /" + b"a" * (HEAD_BYTES + 1))[1] == 414


def test_as_many_headers_as_browsers_and_proxies_send_are_taken(patient: int) -> None:
    many = b"".join(b"X-%d: %s\r\n" % (each, b"y" * 500) for each in range(HEADERS - 3))
    assert sent(patient, START + many + b"Content-Length: 0\r\n\r\n")[1] == 200


def test_a_body_is_no_header_however_it_is_cut(patient: int) -> None:
    chunks = b"".join(b"1\r\na\r\n" for _ in range(300_000))
    assert sent(patient, START + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX-Sum: 1\r\n\r\n")[1] == 200
    whole = START + b"Content-Length: 3000000\r\n\r\n"
    assert sent(patient, whole, *[b"a" * 100_000] * 30)[1] == 200


def test_several_requests_on_one_connection_are_counted_one_by_one(patient: int) -> None:
    request = (
        START + b"".join(b"X-%d: %s\r\n" % (each, b"y" * 800) for each in range(60)) + b"Content-Length: 0\r\n\r\n"
    )
    with closing(connected(patient)) as connection:
        for _ in range(5):
            connection.sendall(request)
            assert status(connection) == 200


@pytest.mark.parametrize("start", [b"", b"GET / HTTP/1.1\r\n", START + b"X-Slow: "], ids=["nothing", "a line", "half"])
def test_headers_that_do_not_come_are_not_waited_for(impatient: int, start: bytes) -> None:
    with closing(connected(impatient)) as connection:
        connection.sendall(start)
        assert status(connection) == 0


def test_a_byte_now_and_then_does_not_keep_a_connection(impatient: int) -> None:
    with closing(connected(impatient)) as connection, suppress(ConnectionError):
        end = time.monotonic() + 30
        connection.sendall(START + b"X-Slow: ")
        while time.monotonic() < end:
            connection.sendall(b"a")
            connection.settimeout(0.1)
            with suppress(TimeoutError):
                assert connection.recv(100) == b""
                return
        pytest.fail("it was kept")


def test_a_second_request_on_a_connection_has_the_same_time(impatient: int) -> None:
    with closing(connected(impatient)) as connection:
        connection.sendall(START + b"Content-Length: 0\r\n\r\n")
        assert status(connection) == 200
        connection.sendall(b"GET / HT")
        assert status(connection) == 0


def test_a_body_that_drips_is_refused(impatient: int) -> None:
    with closing(connected(impatient)) as connection:
        connection.sendall(START + b"Content-Length: 1000000\r\n\r\nabc")
        assert status(connection) == 408


def test_a_body_that_is_slow_but_comes_is_taken(impatient: int) -> None:
    size = int(BODY_RATE * Impatient.body_seconds)
    with closing(connected(impatient)) as connection:
        connection.sendall(START + b"Content-Length: %d\r\n\r\n" % (size * 8))
        for _ in range(8):  # twice the rate, over several times the seconds
            connection.sendall(b"a" * size)
            time.sleep(Impatient.body_seconds / 2)
        assert status(connection) == 200


def test_an_answer_may_take_longer_than_a_request(impatient: int) -> None:
    with closing(connected(impatient)) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status(connection) == 200


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_half_open_connections_give_way_to_requests() -> None:
    class Few(Connection):
        most = 8

    with listening(Few) as port:
        held = [connected(port) for _ in range(40)]
        for each in held[20:]:
            each.sendall(b"GET / HTTP/1.1\r\nX-Half: ")
        assert sent(port, START + b"Content-Length: 2\r\n\r\nhi")[1] == 200
        for each in held:
            each.close()


def test_with_requests_under_way_on_every_connection_a_new_one_is_told_so() -> None:
    class Two(Connection):
        most = 2

    with listening(Two) as port:
        busy = [connected(port) for _ in range(2)]
        for each in busy:
            each.sendall(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        until(lambda: len(held) == 2)
        assert sent(port, START + b"Content-Length: 0\r\n\r\n")[1] == 503
        let_go.set()
        assert [status(each) for each in busy] == [200, 200]
        for each in busy:
            each.close()


LARGE = b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n"


def hung_up(connection: socket.socket) -> bool:
    """Whether the other side ended it, whatever it had said before."""
    with suppress(ConnectionError):
        while connection.recv(1 << 20):
            pass
    return True


def test_who_reads_nothing_is_not_written_to_for_ever() -> None:
    class Hasty(Connection):
        write_seconds = 0.5

    with listening(Hasty) as port, closing(connected(port)) as connection:
        connection.sendall(LARGE)
        time.sleep(3 * Hasty.write_seconds)  # nothing is read meanwhile
        got = 0
        with suppress(ConnectionError):
            while block := connection.recv(1 << 20):
                got += len(block)
        assert got < 100 << 20


def test_who_reads_slowly_gets_all() -> None:
    class Hasty(Connection):
        write_seconds = 1.0

    with listening(Hasty) as port, closing(connected(port)) as connection:
        connection.sendall(LARGE.replace(b"1.1\r\n", b"1.1\r\nConnection: close\r\n"))
        got, began = 0, time.monotonic()
        while block := connection.recv(1 << 20):
            got += len(block)
            if time.monotonic() - began < 3 * Hasty.write_seconds:
                time.sleep(0.2)
        assert got > 100 << 20


def test_connections_that_do_not_read_give_way_to_others() -> None:
    class Few(Connection):
        most = 8

    with listening(Few) as port:
        held_ones = [connected(port) for _ in range(8)]
        for each in held_ones:
            each.sendall(LARGE)
        until(lambda: sent(port, START + b"Content-Length: 2\r\n\r\nhi")[1] == 200)
        for each in held_ones:
            each.close()


def test_only_so_many_requests_are_taken_ahead(patient: int) -> None:
    with closing(connected(patient)) as connection:
        connection.sendall((START + b"Content-Length: 0\r\n\r\n") * 4)
        assert status(connection) == 200
    with closing(connected(patient)) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n" * 1000)
        assert hung_up(connection)
    assert sent(patient, START + b"Content-Length: 2\r\n\r\nhi")[1] == 200


def test_half_a_request_behind_another_does_not_end_its_answer(impatient: int) -> None:
    with closing(connected(impatient)) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")  # longer than headers may take
        assert status(connection) == 200
        assert hung_up(connection)


def test_nothing_is_written_into_an_answer_that_has_begun(patient: int) -> None:
    with closing(connected(patient)) as connection:
        connection.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        assert status(connection) == 200
        connection.sendall(b"GET / HTTP/1.1\r\nX-Long: " + b"a" * (HEAD_BYTES + 1))
        found = b""
        with suppress(ConnectionError):
            while block := connection.recv(1 << 20):
                found = found[-100:] + block
                assert b"431" not in found
