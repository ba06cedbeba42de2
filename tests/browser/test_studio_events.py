"""Live events of the studio dialect in a browser, which can send no token with them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from origin import Origin, body
from playwright.sync_api import BrowserContext, Page
from service import Client, Service, running, wav
from steps import FAST

SECRET = "s" * 32
# As the dialect's README has it: a ticket for each connection, and the last id where it goes on.
FOLLOW = """async ([fileId, token, kind]) => {
  const asked = await fetch('/events/ticket', {method: 'POST', headers: {Authorization: `Bearer ${token}`}});
  const {ticket} = await asked.json();
  const told = [];
  return await new Promise((resolve, reject) => {
    if (kind === 'socket') {
      const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/events/socket?ticket=${ticket}`);
      socket.onopen = () => socket.send(JSON.stringify({follow: fileId}));
      socket.onmessage = ({data}) => {
        const message = JSON.parse(data);
        told.push([message.type, message.data.status]);
        if (message.type === 'completed') { socket.close(); resolve(told); }
      };
      socket.onclose = (event) => reject(new Error(`closed: ${event.code}`));
    } else {
      const source = new EventSource(`/events/${fileId}?ticket=${ticket}`);
      for (const name of ['progress', 'completed', 'failed', 'canceled'])
        source.addEventListener(name, (event) => {
          told.push([name, JSON.parse(event.data).status]);
          if (name === 'completed') { source.close(); resolve(told); }
        });
      source.onerror = () => reject(new Error('refused'));
    }
  });
}"""
CONNECT = """(url) => new Promise((resolve) => {
  const socket = new WebSocket(url);
  socket.onopen = () => resolve('open');
  socket.onerror = () => resolve('refused');
})"""


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose callers say who they are."""
    with running(tmp_path_factory.mktemp("studio") / "data", {**FAST, "JWT_SECRET": SECRET}) as service:
        yield service


@pytest.fixture
def token() -> str:
    return jwt.encode({"sub": "ann", "exp": time.time() + 600}, SECRET, algorithm="HS256")


@pytest.mark.parametrize("kind", ["stream", "socket"])
def test_a_page_follows_a_job_to_its_end_with_a_ticket(page: Page, studio: Service, token: str, kind: str) -> None:
    client = Client(studio.url, token)
    file_id = client.upload(wav(seed=ord(kind[1])))
    client.submit(file_id, segments=5, sleep=0.2)
    page.goto(f"{studio.url}/health")  # a document of the service's origin, and nothing more
    told: list[Any] = page.evaluate(FOLLOW, [file_id, token, kind])
    states = [status for name, status in told if name != "song"]
    assert (states[-1], set(states) <= {"queued", "running", "completed"}) == ("completed", True)
    assert (told[0][0] == "song") == (kind == "socket")


def test_a_page_of_another_origin_gets_no_socket_whatever_ticket_it_has(
    context: BrowserContext, studio: Service, elsewhere: Origin, token: str
) -> None:
    elsewhere.answers["/evil.html"] = body(b"<title>Evil</title>", content_type="text/html")
    ticket = Client(studio.url, token).http.post("/events/ticket").json()["ticket"]
    socket = f"{studio.url.replace('http', 'ws')}/events/socket?ticket={ticket}"
    page = context.new_page()
    page.goto(f"{elsewhere.url}/evil.html")
    assert page.evaluate(CONNECT, socket) == "refused"
    page.goto(f"{studio.url}/health")
    assert page.evaluate(CONNECT, socket) == "open"  # nor is it used up
