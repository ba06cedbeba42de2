"""GET /songs: a caller's own, page by page."""

from __future__ import annotations

import time
from collections.abc import Callable

import jwt
import pytest
from studio import Studio

SECRET = "s" * 32


def test_songs_are_listed_with_every_models_state(studio: Studio) -> None:
    studio.song("t", duration=2.5)
    studio.song("older", created_at=0.5)
    job_id = studio.process(variation="v")["job_id"]
    studio.done()
    short = studio.process(variation="short")["job_id"]
    page = studio.http.get("/songs").json()
    assert [song["file_id"] for song in page["songs"]] == ["t", "older"]
    assert page["next"] is None
    first = page["songs"][0]
    assert (first["title"], first["filename"], first["duration"]) == ("a 'song' é", "a 'song' é.wav", 2.5)
    assert (first["status"], first["size"]) == ("uploaded", 5)
    assert first["jobs"] == [
        {"job_id": short, "model": "m", "variation": "short", "status": "queued"},
        {"job_id": job_id, "model": "m", "variation": "v", "status": "completed"},
    ]
    assert page["songs"][1]["jobs"] == []


def test_pages_follow_each_other_by_their_cursor(studio: Studio) -> None:
    for number in range(5):
        studio.song(f"t{number}", created_at=1.0 + number / 3)
    found, cursor = [], None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = studio.http.get("/songs", params=query).json()
        found += [song["file_id"] for song in page["songs"]]
        if (cursor := page["next"]) is None:
            break
    assert found == ["t4", "t3", "t2", "t1", "t0"]


@pytest.mark.parametrize("query", ["cursor=x", "cursor=1.0_", "cursor=e_t", "cursor=1.0_'--"])
def test_a_cursor_that_was_never_given_out_is_refused(studio: Studio, query: str) -> None:
    answer = studio.http.get(f"/songs?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_before")


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=" + "1" * 101])
def test_a_page_is_of_a_size_that_is_allowed(studio: Studio, query: str) -> None:
    assert studio.http.get(f"/songs?{query}").status_code == 422


def test_nobody_sees_the_songs_of_another(make_studio: Callable[..., Studio]) -> None:
    studio = make_studio(jwt_secret=SECRET)
    studio.song("t", owner="ann")
    assert studio.http.get("/songs").status_code == 401
    listed = {}
    for subject in ("ann", "bob"):
        token = jwt.encode({"sub": subject, "exp": time.time() + 60}, SECRET, algorithm="HS256")
        listed[subject] = studio.http.get("/songs", headers={"Authorization": f"Bearer {token}"}).json()["songs"]
    assert ([song["file_id"] for song in listed["ann"]], listed["bob"]) == (["t"], [])
