"""Where requests to strangers may go, and what becomes of their answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
from origin import Origin, certificate, serving, status
from track_tree import Received, Receiver
from track_tree import status as answer_with

from stemwright_server.adapters.webhooks.http import HttpWebhooks
from stemwright_worker.net.outbound import Outbound, OutboundFailed, OutboundRefused


@pytest.fixture
def origin() -> Iterator[Origin]:
    with serving() as origin:
        yield origin


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver
        receiver.shutdown()


def put(outbound: Outbound, url: str, content: bytes = b"stem", seconds: float = 30.0) -> int:
    headers = {"Content-Length": str(len(content)), "Content-Type": "audio/wav"}
    return outbound.send("PUT", url, headers=headers, content=iter([content]), seconds=seconds).status


def test_a_body_goes_out_in_pieces_and_whole(origin: Origin) -> None:
    origin.answers["/a.wav"] = status(200)
    assert put(Outbound([origin.url]), f"{origin.url}/a.wav?sig=1", bytes(300_000)) == 200
    assert origin.kept["/a.wav"] == bytes(300_000)
    ((path, headers),) = origin.asked
    assert (path, headers["content-type"], headers["host"]) == ("/a.wav?sig=1", "audio/wav", origin.url[7:])


@pytest.mark.parametrize(
    "url",
    [
        "http://{origin}/x",  # plain, and private
        "https://{origin}/x",
        "https://10.0.0.1/x",
        "https://[::1]/x",
        "https://169.254.169.254/x",
        "https://user:password@example.com/x",
        "file:///etc/passwd",
    ],
)
def test_nothing_is_sent_where_no_list_allows_it(origin: Origin, url: str) -> None:
    with pytest.raises(OutboundRefused) as caught:
        put(Outbound(), url.format(origin=origin.url[7:]))
    assert "password" not in str(caught.value)
    assert origin.asked == []


def test_a_name_that_leads_to_a_private_address_is_not_sent_to(origin: Origin) -> None:
    outbound = Outbound(resolve=lambda host, port: ["93.184.215.14", "127.0.0.1"])
    with pytest.raises(OutboundRefused):
        put(outbound, "https://example.com/x")


def test_a_redirect_is_an_answer_and_not_followed(origin: Origin) -> None:
    origin.answers["/x"] = status(307, location="/y")
    assert put(Outbound([origin.url]), f"{origin.url}/x") == 307
    assert [path for path, _ in origin.asked] == ["/x"]


def test_silence_and_closed_doors_are_failures_that_may_pass(origin: Origin) -> None:
    origin.answers["/silent"] = lambda handler: handler.rfile.read()  # until the client goes
    with pytest.raises(OutboundFailed, match="in time"):
        put(Outbound([origin.url]), f"{origin.url}/silent", seconds=0.3)
    with pytest.raises(OutboundFailed):
        put(Outbound(["http://127.0.0.1:1"]), "http://127.0.0.1:1/x")


def test_who_stops_in_the_middle_leaves_half_a_body(origin: Origin) -> None:
    origin.answers["/x"] = status(200)

    def halves() -> Iterator[bytes]:
        yield b"half"
        raise InterruptedError

    with pytest.raises(InterruptedError):
        Outbound([origin.url]).send(
            "PUT", f"{origin.url}/x", headers={"Content-Length": "8"}, content=halves(), seconds=30.0
        )
    assert origin.kept.get("/x", b"half") == b"half"


def hang_up(handler: BaseHTTPRequestHandler, _received: Received) -> None:
    handler.connection.close()


@pytest.mark.parametrize(
    ("answer", "code", "error"),
    [
        (answer_with(204), 204, None),
        (answer_with(302, Location="/elsewhere"), 302, "answered 302"),
        (answer_with(503), 503, "answered 503"),
        (hang_up, None, ""),
    ],
)
def test_a_webhook_is_answered_or_not(
    receiver: Receiver, answer: Callable[[BaseHTTPRequestHandler, Received], None], code: int | None, error: str | None
) -> None:
    receiver.answer = answer
    result = HttpWebhooks([receiver.url], seconds=30.0).send(receiver.url, headers={"webhook-id": "m"}, body=b"{}")
    assert (result.status, result.final) == (code, False)
    assert (result.error is None) if error is None else (error in (result.error or ""))
    assert [(each.id, each.body) for each in receiver.received] == [("m", b"{}")]


def test_a_webhook_to_where_the_list_does_not_lead_is_never_sent(receiver: Receiver) -> None:
    result = HttpWebhooks([], seconds=30.0).send(receiver.url, headers={}, body=b"{}")
    assert result.final
    assert receiver.received == []


def test_a_webhook_waits_for_a_certificate_that_holds_and_a_name_that_leads_home(tmp_path: Path) -> None:
    with serving(tls=certificate(tmp_path, "localhost")) as origin:  # signed by itself
        url = f"https://localhost:{origin.server_port}/hook"
        unsafe = HttpWebhooks([url], seconds=30.0).send(url, headers={}, body=b"{}")
    assert (unsafe.final, unsafe.error) == (False, "The certificate of localhost does not hold.")
    astray = Outbound(["https://hooks.example:443"], resolve=lambda host, port: ["169.254.169.254"])
    result = HttpWebhooks([], seconds=30.0, outbound=astray).send("https://hooks.example/x", headers={}, body=b"{}")
    assert (result.final, result.error) == (False, "The host hooks.example has a link-local address.")
    assert origin.asked == []


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        ("soon", None),
        ("", None),
        (timedelta(hours=1), 3600.0),
        (timedelta(hours=-1), 0.0),
    ],
    ids=["seconds", "none", "not a number", "empty", "a date to come", "a date gone by"],
)
def test_retry_after_comes_in_two_spellings(receiver: Receiver, said: str | timedelta, seconds: float | None) -> None:
    if isinstance(said, timedelta):
        said = format_datetime(datetime.now(UTC) + said, usegmt=True)
    receiver.answer = answer_with(429, Retry_After=said) if said else answer_with(429)
    result = HttpWebhooks([receiver.url], seconds=30.0).send(receiver.url, headers={}, body=b"{}")
    assert result.retry_after == (seconds if seconds is None else pytest.approx(seconds, abs=300.0))
