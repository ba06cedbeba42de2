"""A web server that a stranger could run, for tests: it answers as it is told, path by path."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

Answer = Callable[[BaseHTTPRequestHandler], object]


class Origin(ThreadingHTTPServer):
    """``answers[path]`` writes the answer to a GET or PUT; ``asked`` are the requests so far, with their headers."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Answer] = {}
        self.other = status(404)  # the answer on all other paths
        self.kept: dict[str, bytes] = {}  # what was PUT last, by path
        self.before: dict[str, Answer] = {}  # called when a PUT has begun, before its body is read
        self.cut_off: list[str] = []  # paths of PUTs whose body did not come whole
        self.asked: list[tuple[str, dict[str, str]]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Origin

    def do_GET(self) -> None:  # the name is the base class's
        path = self.path.partition("?")[0]
        self.server.asked.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.close_connection = True
        self.server.answers.get(path, self.server.other)(self)

    def do_PUT(self) -> None:
        path = self.path.partition("?")[0]
        if (before := self.server.before.get(path)) is not None:
            before(self)
        size = int(self.headers["Content-Length"])
        data = self.rfile.read(size)
        if len(data) < size:  # as a store does: half an object is none
            self.server.cut_off.append(path)
            self.close_connection = True
            return
        self.server.kept[path] = data
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def body(data: bytes, **headers: str) -> Answer:
    """200, and these bytes. ``content_length`` and other headers by their names with underscores."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        for name, value in ({"content_length": str(len(data))} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(data)

    return answer


def status(code: int, **headers: str) -> Answer:
    """This status with an empty body."""

    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(code)
        for name, value in ({"content_length": "0"} | headers).items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()

    return answer


def in_turn(*answers: Answer) -> Answer:
    """The first one to the first request and so on; the last one for ever."""
    left = list(answers)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


@contextmanager
def serving(*, tls: tuple[Path, Path] | None = None) -> Iterator[Origin]:
    """An origin on a free port; ``tls``: its certificate and key."""
    with Origin() as origin:
        if tls is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*tls)
            origin.socket = context.wrap_socket(origin.socket, server_side=True)
        thread = Thread(target=origin.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield origin
        finally:
            origin.shutdown()
            thread.join()


def certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate for ``name``, signed by itself, and its key."""
    cert, key = folder / "cert.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subject = ["-subj", "/CN=test", "-addext", f"subjectAltName=DNS:{name}", "-days", "2"]
    subprocess.run([*command, *subject, "-out", cert, "-keyout", key], check=True, capture_output=True)
    return cert, key
