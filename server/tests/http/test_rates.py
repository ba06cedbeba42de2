"""How often a caller may call."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from fastapi import Depends, FastAPI, Request
from redis_server import redis_server
from service import until
from starlette.testclient import TestClient

from stemwright_server.http.errors import add_error_handlers
from stemwright_server.http.middleware.request_context import RequestContext
from stemwright_server.http.rates import Rates
from stemwright_server.ports.auth import ANONYMOUS, Principal
from stemwright_worker.errors import Unavailable


def caller(request: Request) -> Principal:
    return Principal(subject=request.headers.get("Who", ANONYMOUS))


def client_of(rates: Rates, rate: str, *, address: str = "192.0.2.1") -> TestClient:
    app = FastAPI()
    add_error_handlers(app)

    limited = [Depends(rates.limit("songs", rate, caller))]

    @app.get("/", dependencies=limited)
    def answer() -> dict[str, str]:
        return {}

    @app.get("/fails", dependencies=limited)
    def fails() -> None:
        raise ZeroDivisionError

    app.add_middleware(RequestContext)
    return TestClient(app, client=(address, 1234))


def test_what_is_left_is_said_and_then_it_is_refused() -> None:
    client = client_of(Rates(), "3/hour")
    for left in (2, 1, 0):
        answer = client.get("/")
        assert answer.status_code == 200
        assert answer.headers["RateLimit-Policy"] == '"songs";q=3;w=3600'
        assert answer.headers["RateLimit"].startswith(f'"songs";r={left};t=')
        assert answer.headers["RateLimit-Limit"] == "3"
        assert answer.headers["RateLimit-Remaining"] == str(left)
        assert 0 < int(answer.headers["RateLimit-Reset"]) <= 3600
        assert "Retry-After" not in answer.headers
    refused = client.get("/")
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert refused.headers["RateLimit-Remaining"] == "0"
    assert 3500 < int(refused.headers["Retry-After"]) <= 3600
    assert refused.json()["retry_after"] == int(refused.headers["Retry-After"])


def test_calls_are_taken_again_when_the_window_has_passed() -> None:
    client = client_of(Rates(), "1/3 second")
    found = [client.get("/") for _ in range(2)]
    assert [answer.status_code for answer in found] == [200, 429]
    assert int(found[1].headers["Retry-After"]) <= 3
    until(lambda: client.get("/").status_code == 200, what="the next window")


def test_many_calls_are_counted_too() -> None:
    client = client_of(Rates(), "210/day")
    assert [client.get("/").status_code for _ in range(212)] == [200] * 210 + [429] * 2


def test_callers_are_counted_apart() -> None:
    rates = Rates()
    one, other = client_of(rates, "1/hour"), client_of(rates, "1/hour", address="192.0.2.2")
    assert [one.get("/").status_code for _ in range(2)] == [200, 429]
    assert other.get("/").status_code == 200
    for who in ("ann", "bob"):  # of the same address
        assert [one.get("/", headers={"Who": who}).status_code for _ in range(2)] == [200, 429]
    assert other.get("/", headers={"Who": "ann"}).status_code == 429  # from wherever she comes


def test_a_network_of_one_customer_is_one_caller() -> None:
    rates = Rates()
    addresses = ("2001:db8:1:2::3", "2001:db8:1:2:ffff::4", "2001:db8:1:3::3", "192.0.2.7", "::ffff:192.0.2.7")
    found = [client_of(rates, "1/hour", address=address).get("/").status_code for address in addresses]
    assert found == [200, 429, 200, 200, 200]


def test_headers_are_on_every_answer_even_on_a_fault_of_ours() -> None:
    answer = client_of(Rates(), "2/hour").get("/fails")
    assert (answer.status_code, answer.headers["RateLimit-Remaining"]) == (500, "1")


def test_no_rate_is_no_limit() -> None:
    answer = client_of(Rates(), "").get("/")
    assert answer.status_code == 200
    assert "RateLimit" not in answer.headers


def test_processes_that_share_a_redis_count_together(tmp_path: Path) -> None:
    with redis_server(tmp_path) as url:
        for rate in ("3/hour", "1000/hour"):
            clients = [client_of(Rates(url), rate) for _ in range(2)]
            limit = int(rate.partition("/")[0])
            left = [clients[number % 2].get("/").headers["RateLimit-Remaining"] for number in range(3)]
            assert left == [str(limit - 1), str(limit - 2), str(limit - 3)]
        assert client_of(Rates(url), "3/hour").get("/").status_code == 429
    assert client_of(Rates(url), "3/hour").get("/").status_code == 200  # a Redis that is gone stops nobody


def test_a_redis_that_never_answers_holds_nobody_for_long() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        rates = Rates(f"redis://127.0.0.1:{silent.getsockname()[1]}/0")
        answer = client_of(rates, "1/hour").get("/")
    assert answer.status_code == 200
    assert "RateLimit" not in answer.headers


def test_a_redis_without_its_client_is_refused_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(Unavailable, match=r"pip install 'stemwright-server\[redis\]'") as caught:
        Rates("redis://127.0.0.1:1/0")
    assert caught.value.code == "extra_missing"


def test_the_library_is_not_imported_before_it_is_needed() -> None:
    code = "import sys, stemwright_server.http.rates as r; r.Rates(); print('limits' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
