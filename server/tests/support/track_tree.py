"""A product's backend, written from the two documents alone: plain HTTP and hmac, nothing of ours."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

import httpx2

TOKEN = "test-token-for-local-development"  # the documents' own


def signed(body: bytes, token: str = TOKEN, timestamp: int | None = None) -> dict[str, str]:
    """``X-Signature: sha256=<hex>`` over ``payload|timestamp``."""
    stamp = str(int(time.time()) if timestamp is None else timestamp)
    mac = hmac.new(token.encode(), body + b"|" + stamp.encode(), hashlib.sha256)
    return {"X-Signature": f"sha256={mac.hexdigest()}", "X-Timestamp": stamp}


class Backend:
    """Calls the audio service."""

    def __init__(self, url: str, token: str = TOKEN) -> None:
        self.http = httpx2.Client(base_url=url, trust_env=False, timeout=30.0)
        self.token = token

    def post(self, body: bytes, headers: Mapping[str, str]) -> httpx2.Response:
        return self.http.post("/split", content=body, headers={"Content-Type": "application/json", **headers})

    def split(self, *, headers: Mapping[str, str] | None = None, **fields: Any) -> httpx2.Response:
        body = json.dumps(fields).encode()
        return self.post(body, signed(body, self.token) | dict(headers or {}))

    def cancel(self, job_id: str) -> httpx2.Response:
        body = json.dumps({"jobId": job_id}).encode()
        return self.http.post(f"/split/{job_id}/cancel", content=body, headers=signed(body, self.token))

    def queue_status(self) -> Any:
        answer = self.http.get("/queue/status", headers=signed(b"", self.token))
        assert answer.status_code == 200, answer.text
        return answer.json()


class Received:
    """One request to the receiver."""

    def __init__(self, headers: Mapping[str, str], body: bytes) -> None:
        self.headers = headers
        self.body = body
        self.at = time.time()

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def json(self) -> Any:
        return json.loads(self.body)

    def check(self, token: str = TOKEN, key: bytes | None = None) -> None:
        """Both signatures, as the documents and Standard Webhooks describe them; AssertionError if one does not hold."""
        stamp = self.headers["x-timestamp"]
        assert abs(time.time() - int(stamp)) < 300
        mac = hmac.new(token.encode(), self.body + b"|" + stamp.encode(), hashlib.sha256).hexdigest()
        assert hmac.compare_digest(self.headers["x-signature"], f"sha256={mac}")
        self.check_standard(key or token.encode())

    def check_standard(self, key: bytes) -> None:
        """The signature that Standard Webhooks describes; AssertionError if it does not hold."""
        content = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.body
        expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        assert f"v1,{expected}" in self.headers["webhook-signature"].split(" ")


Answer = Callable[[BaseHTTPRequestHandler, Received], None]


class Receiver(ThreadingHTTPServer):
    """Takes webhooks at ``/webhooks/demucs`` and answers as told."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, answer: Answer | None = None) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answer = answer or status(204)
        self.received: list[Received] = []  # everything that came, whatever was answered
        self.lock = Lock()
        Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/webhooks/demucs"

    def of(self, job_id: str) -> list[Received]:
        """What came about a job."""
        with self.lock:
            return [each for each in self.received if each.json()["jobId"] == job_id]

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        received = Received({name.lower(): value for name, value in self.headers.items()}, body)
        with self.server.lock:
            self.server.received.append(received)
        self.close_connection = True
        self.server.answer(self, received)

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


def status(code: int, **headers: str) -> Answer:
    """Answer so, with headers by their names with underscores."""

    def answer(handler: BaseHTTPRequestHandler, _received: Received) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer
