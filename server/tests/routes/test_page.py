"""The page's files over HTTP."""

from __future__ import annotations

import gzip
import re

import pytest
from service import Client

from stemwright_server.routes.page.router import BUILT, content_security_policy

TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
}


def test_every_file_of_the_page_is_answered_with_its_type(client: Client) -> None:
    for path in BUILT.rglob("*"):
        if not path.is_file():
            continue
        name = path.relative_to(BUILT).as_posix()
        answer = client.http.get("/" if name == "index.html" else f"/{name}")
        assert answer.status_code == 200
        assert answer.content == path.read_bytes()
        assert answer.headers["Content-Type"].split(";")[0] == TYPES[path.suffix]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        kept = "immutable" in answer.headers["Cache-Control"]
        assert kept == name.startswith("assets/")


def test_what_a_browser_has_is_not_sent_again(client: Client) -> None:
    first = client.http.get("/")
    again = client.http.get("/", headers={"If-None-Match": f'"other", W/{first.headers["ETag"]}'})
    assert (again.status_code, again.content) == (304, b"")
    assert client.http.get("/", headers={"If-None-Match": '"other"'}).status_code == 200


def test_it_is_compressed_for_those_who_take_it(client: Client) -> None:
    plain = client.http.get("/", headers={"Accept-Encoding": "identity"})
    with client.http.stream("GET", "/", headers={"Accept-Encoding": "br, gzip"}) as answer:
        raw = b"".join(answer.iter_raw())
    assert answer.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert gzip.decompress(raw) == plain.content


def test_head_answers_without_a_body(client: Client) -> None:
    answer = client.http.head("/")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("name", ["nothing.js", "..%2f..%2frouter.py", "%2e%2e/index.html"])
def test_what_is_no_file_of_the_page_is_not_found(client: Client, name: str) -> None:
    answer = client.http.get(f"/assets/{name}")
    assert answer.status_code == 404
    assert answer.json()["status"] == 404


def test_the_policy_allows_nothing_inline_and_nobody_else(client: Client) -> None:
    policy = client.http.get("/").headers["Content-Security-Policy"]
    assert "unsafe-inline" not in policy
    assert "'unsafe-eval'" not in policy
    assert re.findall(r"https?:", policy) == []
    assert "connect-src 'self' https://stems.example;" in content_security_policy(["https://stems.example"])
