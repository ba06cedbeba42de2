"""An S3 server that checks signatures, and a way to it on which every so many requests are refused."""

from __future__ import annotations

import random
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread

from stemwright_server.adapters.blobs.s3_client import S3Options
from stemwright_server.adapters.blobs.s3_service import S3Service

ACCESS_KEY = "AKIATESTTESTTEST"
SECRET_KEY = "the-secret-key-of-the-tests"
_RCLONE = Path(sys.executable).with_name("rclone")


class S3Server:
    """rclone's server over a folder: a bucket is a folder in it."""

    def __init__(
        self, folder: Path, *options: str, address: str = "127.0.0.1:0", key: str = f"{ACCESS_KEY},{SECRET_KEY}"
    ) -> None:
        root = folder / "buckets"
        root.mkdir(parents=True, exist_ok=True)
        log = folder / "rclone.log"
        command = [str(_RCLONE), "serve", "s3", "--auth-key", key, "--addr", address]
        files = ["--vfs-cache-mode", "writes", "--cache-dir", str(folder / "cache"), "--config", "/dev/null", str(root)]
        with log.open("wb") as out:
            self.process = subprocess.Popen([*command, *options, *files], stdout=out, stderr=out)
        self.url = self._url(log)

    def _url(self, log: Path) -> str:
        deadline = time.monotonic() + 60.0
        while (found := re.search(r"Starting s3 server on \[(http://[\d.:]+)/?\]", log.read_text())) is None:
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        return found[1]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def bucket(self, name: str) -> S3Service:
        """A new bucket."""
        service = S3Service(self.options(name))
        service.create_bucket()
        return service

    def options(
        self, bucket: str, *, endpoint: str | None = None, tries: int = 5, secret: str = SECRET_KEY
    ) -> S3Options:
        return S3Options(
            bucket=bucket,
            endpoint=endpoint or self.url,
            access_key_id=ACCESS_KEY,
            secret_access_key=secret,
            tries=tries,
            part_bytes=5 << 20,
        )

    def settings(self, bucket: str, *, endpoint: str | None = None) -> dict[str, str]:
        """The environment of a service that keeps its files there."""
        return {
            "S3_ENDPOINT": endpoint or self.url,
            "S3_BUCKET": bucket,
            "S3_ACCESS_KEY_ID": ACCESS_KEY,
            "S3_SECRET_ACCESS_KEY": SECRET_KEY,
        }

    def close(self) -> None:
        self.process.kill()
        self.process.wait()


class FlakyWay(ThreadingHTTPServer):
    """Passes requests on to a server, but answers 503 to a share of them."""

    daemon_threads = True

    def __init__(self, port: int, share: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Forward)
        self.upstream = port
        self._share = share
        self._random = random.Random(seed)
        self._lock = Lock()
        self.passed = 0
        self.refused = 0
        self.asked: list[str] = []  # method and path of every request
        self.forbidden = ""  # a pattern of those that are answered with 403
        self.held = ""  # a pattern of those that wait until ``go_on`` is set
        self.go_on = Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def refuses(self) -> bool:
        with self._lock:
            refused = self._random.random() < self._share
            self.refused += refused
            self.passed += not refused
            return refused

    def handle_error(self, request: object, client_address: object) -> None:
        """Who hangs up is part of the tests."""


class _Forward(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FlakyWay

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.asked.append(f"{self.command} {self.path}")
        if self.server.forbidden and re.search(self.server.forbidden, self.server.asked[-1]):
            self._send(403, [("Content-Type", "application/xml")], b"<Error><Code>AccessDenied</Code></Error>")
            return
        if self.server.held and re.search(self.server.held, self.server.asked[-1]):
            self.server.go_on.wait(600.0)
        if self.server.refuses():
            self._send(503, [("Content-Type", "application/xml")], b"<Error><Code>SlowDown</Code></Error>")
            return
        # The signature covers the Host that the client knows: it is passed on as it came.
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("expect", "connection")}
        upstream = HTTPConnection("127.0.0.1", self.server.upstream, timeout=60.0)
        try:
            upstream.request(self.command, self.path, body=body, headers=headers)
            answer = upstream.getresponse()
            self._send(answer.status, answer.getheaders(), answer.read())
        finally:
            upstream.close()

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _answer  # noqa: N815  # the names are the base class's

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        left_out = {"transfer-encoding", "connection", "date", "server"}
        if self.command != "HEAD":
            left_out.add("content-length")
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            if name.lower() not in left_out:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@contextmanager
def flaky_way(server: S3Server, *, share: float, seed: int) -> Iterator[FlakyWay]:
    """A way to the server that refuses this share of the requests."""
    with FlakyWay(server.port, share, seed) as way:
        thread = Thread(target=way.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield way
        finally:
            way.shutdown()
            thread.join()
