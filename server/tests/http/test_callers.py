"""What links begin with: a caller's Host counts in the answer to that caller, and in nothing that is told later."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from starlette.requests import Request

from stemwright_server.adapters.auth.anonymous import AnonymousAuthenticator
from stemwright_server.http.callers import Callers


def request(host: str, *, at: tuple[str, int] = ("10.0.0.7", 8080), scheme: str = "http") -> Request:
    """One that named ``host``, and came in at an address of this machine."""
    headers = [(b"host", host.encode())]
    scope = {"type": "http", "scheme": scheme, "server": at, "path": "/", "query_string": b"", "headers": headers}
    return Request(scope)


def callers(public_url: str | None = None, allowed: Sequence[str] = ()) -> Callers:
    return Callers(AnonymousAuthenticator(), public_url, allowed)


def test_the_answer_to_a_request_names_its_own_host() -> None:
    assert callers().absolute(request("anything.example"))("/blobs/a") == "http://anything.example/blobs/a"


@pytest.mark.parametrize(
    ("host", "at"),
    [
        ("evil.example", ("10.0.0.7", 8080)),
        ("10.0.0.8:8080", ("10.0.0.7", 8080)),
        ("10.0.0.7:6666", ("10.0.0.7", 8080)),
        ("localhost:8080", ("10.0.0.7", 8080)),
        ("localhost:6666", ("127.0.0.1", 8080)),
        ("evilstems.example", ("10.0.0.7", 8080)),
    ],
)
def test_a_host_that_is_not_known_to_be_ours_is_never_told_later(host: str, at: tuple[str, int]) -> None:
    asked = request(host, at=at)
    assert callers(allowed=["stems.example", "*.stems.example", "*"]).own_url(asked) == ""
    assert callers().arrival_url(asked) == f"http://{at[0]}:{at[1]}"


@pytest.mark.parametrize(
    ("host", "at"),
    [
        ("stems.example", ("10.0.0.7", 8080)),
        ("a.stems.example:9000", ("10.0.0.7", 8080)),
        ("10.0.0.7:8080", ("10.0.0.7", 8080)),
        ("127.0.0.1:8080", ("127.0.0.1", 8080)),
        ("localhost:8080", ("127.0.0.1", 8080)),
        ("10.0.0.7", ("10.0.0.7", 80)),
    ],
)
def test_the_services_own_names_and_the_address_that_a_request_came_in_at_are_told(
    host: str, at: tuple[str, int]
) -> None:
    known = callers(allowed=["stems.example", "*.stems.example"])
    assert known.own_url(request(host, at=at)) == known.arrival_url(request(host, at=at)) == f"http://{host}"


def test_the_public_url_is_told_whatever_is_named() -> None:
    known = callers("https://stems.example/")
    assert (
        known.own_url(request("evil.example")) == known.arrival_url(request("evil.example")) == "https://stems.example"
    )


def test_an_address_of_version_six_is_bracketed() -> None:
    assert callers().arrival_url(request("evil.example", at=("fe80::1", 80))) == "http://[fe80::1]:80"
