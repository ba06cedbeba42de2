"""Live events with a ticket: over a WebSocket, and as server-sent events."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from starlette.testclient import WebSocketDenialResponse, WebSocketTestSession
from starlette.websockets import WebSocketDisconnect
from studio import Studio
from world import make_world

from stemwright_server.dialects.studio.live import Changes, Places
from stemwright_server.ports.auth import Principal
from stemwright_worker.errors import TooManyRequests

SECRET = "s" * 32
SOCKET = "/events/socket"


def bearer(subject: str) -> dict[str, str]:
    token = jwt.encode({"sub": subject, "exp": time.time() + 60}, SECRET, algorithm="HS256")
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def closed(make_studio: Callable[..., Studio]) -> Studio:
    """A service whose callers say who they are; the song is Ann's."""
    studio = make_studio(jwt_secret=SECRET, api_cors_origins=("https://studio.example",))
    studio.song(owner="ann")
    return studio


def ticket(studio: Studio, subject: str = "ann") -> str:
    answer = studio.http.post("/events/ticket", headers=bearer(subject))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["ticket"])


def heard(socket: WebSocketTestSession, *types: str) -> list[Any]:
    """Messages up to and including the first of a type."""
    found = [socket.receive_json()]
    while found[-1]["type"] not in types:
        found.append(socket.receive_json())
    return found


def refusal(studio: Studio, query: str = "", **headers: str) -> tuple[int, str]:
    with (
        pytest.raises(WebSocketDenialResponse) as caught,
        studio.http.websocket_connect(SOCKET + query, headers=headers),
    ):
        pass
    return caught.value.status_code, caught.value.json()["code"]


def test_a_browser_follows_a_job_by_websocket_with_a_ticket(closed: Studio) -> None:
    answer = closed.http.post("/process", json={"file_id": "t", "model": "m"}, headers=bearer("ann"))
    job_id = answer.json()["job_id"]
    with closed.http.websocket_connect(
        f"{SOCKET}?ticket={ticket(closed)}", headers={"Origin": "https://studio.example"}
    ) as socket:
        socket.send_json({"follow": "t"})
        song, queued = heard(socket, "progress")
        assert (song["type"], song["file_id"], song["data"]["work"]["status"]) == ("song", "t", "queued")
        assert (queued["data"]["job_id"], queued["data"]["status"]) == (job_id, "queued")
        closed.done(b"stem")
        told = heard(socket, "completed")
        assert "completed" in [each["data"]["work"]["status"] for each in told if each["type"] == "song"]
        url = told[-1]["data"]["outputs"][0]["url"]
        assert url.startswith("http://testserver/")
        assert closed.http.get(url).content == b"stem"


def test_a_ticket_opens_one_connection_and_is_the_callers_alone(closed: Studio) -> None:
    used = ticket(closed)
    with closed.http.websocket_connect(f"{SOCKET}?ticket={used}"):
        pass
    assert refusal(closed, f"?ticket={used}") == (401, "unauthenticated")
    assert closed.http.get(f"/events/t?ticket={used}").status_code == 401
    assert closed.http.get(f"/events/t?ticket={ticket(closed, 'bob')}").status_code == 404
    with closed.http.websocket_connect(f"{SOCKET}?ticket={ticket(closed, 'bob')}") as socket:
        socket.send_json({"follow": "t"})
        assert heard(socket, "refused")[-1]["code"] == "file_not_found"
    assert closed.http.post("/events/ticket").status_code == 401


def test_without_ticket_and_token_nobody_connects(closed: Studio) -> None:
    assert refusal(closed) == (401, "unauthenticated")
    assert refusal(closed, "?ticket=") == (401, "unauthenticated")
    assert refusal(closed, "?ticket=" + "x" * 43) == (401, "unauthenticated")
    with closed.http.websocket_connect(SOCKET, headers=bearer("ann")) as socket:  # a program can send its token
        socket.send_json({"follow": "t"})
        assert heard(socket, "song")[-1]["data"]["file_id"] == "t"


def test_an_old_ticket_opens_nothing(closed: Studio) -> None:
    old = ticket(closed)
    closed.deps.repository.drop_tickets(time.time() + 61.0)
    assert refusal(closed, f"?ticket={old}") == (401, "unauthenticated")


def test_unused_tickets_are_counted(closed: Studio) -> None:
    for _ in range(100):
        ticket(closed)
    answer = closed.http.post("/events/ticket", headers=bearer("ann"))
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (429, "too_many_tickets", "60")
    ticket(closed, "bob")


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "https://studio.example.evil.example"])
def test_a_page_of_another_origin_connects_neither_with_a_ticket_nor_where_nobody_signs_in(
    make_studio: Callable[..., Studio], origin: str
) -> None:
    open_to_all = make_studio()
    assert refusal(open_to_all, origin=origin) == (403, "foreign_origin")
    with open_to_all.http.websocket_connect(SOCKET, headers={"Origin": "http://testserver"}):
        pass


def test_who_comes_again_hears_what_changed_since(studio: Studio) -> None:
    studio.song()
    studio.process(variation="v")
    studio.done()
    studio.process(variation="short")
    with studio.http.websocket_connect(SOCKET) as socket:
        socket.send_json({"follow": "t"})
        first = [heard(socket, "completed")[-1], heard(socket, "progress")[-1]]
    job = studio.claimed()
    with studio.http.websocket_connect(SOCKET) as socket:
        socket.send_json({"follow": "t", "last_event_id": first[-1]["id"]})
        again = heard(socket, "progress", "completed")[-1]
    assert (again["data"]["job_id"], again["data"]["status"]) == (job.job_id, "running")


def test_an_unfollowed_file_is_told_of_no_more(studio: Studio) -> None:
    for name in ("t", "u"):
        studio.song(name)
    with studio.http.websocket_connect(SOCKET) as socket:
        for message in ({"follow": "t"}, {"follow": "t"}):
            socket.send_json(message)
        heard(socket, "song")
        socket.send_json({"unfollow": "t"})
        socket.send_json({"follow": "u"})
        heard(socket, "song")
        studio.process(file_id="t")
        studio.process(file_id="u")
        assert {each["file_id"] for each in heard(socket, "progress")} == {"u"}


@pytest.mark.parametrize(
    "message", ["", "x", "[]", "{}", '{"follow": 1}', '{"follow": "t", "more": "x"}', "null", "[" * 4000]
)
def test_what_is_no_message_is_refused_and_the_connection_stays(studio: Studio, message: str) -> None:
    studio.song()
    with studio.http.websocket_connect(SOCKET) as socket:
        socket.send_text(message)
        assert socket.receive_json()["code"] == "invalid_request"
        socket.send_json({"follow": "t"})
        assert socket.receive_json()["type"] == "song"


@pytest.mark.parametrize(
    ("messages", "code"), [(["x" * 4097], 1009), ([b"bytes"], 1003), (['{"unfollow": "t"}'] * 500, 1008)]
)
def test_who_sends_too_much_is_closed(studio: Studio, messages: list[Any], code: int) -> None:
    with studio.http.websocket_connect(SOCKET) as socket:
        for message in messages:
            (socket.send_bytes if isinstance(message, bytes) else socket.send_text)(message)
        with pytest.raises(WebSocketDisconnect) as caught:
            socket.receive_json()
    assert caught.value.code == code


def test_so_many_files_are_followed_by_one_connection(studio: Studio) -> None:
    for number in range(201):
        studio.song(f"t{number}")
    with studio.http.websocket_connect(SOCKET) as socket:
        for number in range(201):
            socket.send_json({"follow": f"t{number}"})
            assert socket.receive_json()["type"] == ("song" if number < 200 else "refused")


def test_connections_of_a_subject_are_counted_and_given_back() -> None:
    places, ann = Places(), Principal(subject="ann")
    held = [places.place(ann) for _ in range(200)]
    for each in held:
        each.__enter__()
    with pytest.raises(TooManyRequests), places.place(ann):
        pass
    with places.place(Principal(subject="bob")):
        held.pop().__exit__(None, None, None)
        with places.place(ann):
            pass


def test_an_events_id_tells_of_all_jobs(tmp_path: Any) -> None:
    world = make_world(tmp_path)
    song = world.uploaded()
    caller = Principal(subject="o")

    def changes(last: str = "") -> Changes:
        return Changes(world.deps, caller, song.id, lambda artifact: artifact.key, last)

    world.ask_of(song.id)
    world.ask_of(song.id, model="short")
    listener = changes()
    told = listener.news()
    assert (len(told), listener.news()) == (2, [])
    assert changes(told[-1].id).news() == []
    assert [each.job.job_id for each in changes(told[0].id).news()] == [told[1].job.job_id]
    task = world.claimed()
    assert [each.job.job_id for each in changes(told[-1].id).news()] == [task.job_id]
    assert len(changes("no event of ours, ::" + "9" * 99).news()) == 2
    assert json.loads(told[0].job.model_dump_json())["file_id"] == song.id
