"""Socket.IO: what is said of a job, to whom, and through how many processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest
from backing import Postgres
from follower import Follower
from redis_server import redis_server
from service import Service, running, wav
from webserver import SETTINGS, Uploader

SECRET = "s" * 32
SLOW = {"FAST_MODEL_DEFAULTS": '{"segments": 30, "sleep": 0.3}'}  # so that there is something to follow


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose jobs take a while, where callers have to say who they are."""
    settings = SETTINGS | SLOW | {"JWT_SECRET": SECRET, "API_CORS_ORIGINS": "https://studio.example"}
    with running(tmp_path_factory.mktemp("slow") / "data", settings) as service:
        yield service


def token(subject: str = "ann") -> str:
    return jwt.encode({"sub": subject, "exp": time.time() + 600}, SECRET, algorithm="HS256")


@pytest.mark.parametrize("transport", ["", "polling"])
def test_a_job_is_told_from_its_start_to_its_end(slow: Service, seed: int, transport: str) -> None:
    uploader = Uploader(slow, token())
    job_id = uploader.job(wav(seed=seed))
    follower = Follower(slow.url, job_id, token=token(), transport=transport).ended()
    states = follower.all("progress")
    assert all(set(state) == {"job_id", "status", "progress", "message"} for state in states)
    assert {state["job_id"] for state in states} == {job_id}
    progress = [state["progress"] for state in states]
    assert progress == sorted(progress)
    assert len(set(progress)) >= 4  # and not only the first and the last
    assert states[-1] | {"status": "completed", "progress": 100} == states[-1]
    assert {state["status"] for state in states} >= {"processing", "completed"}
    assert follower.heard()[-1] == (
        "completed",
        {"job_id": job_id, "download_url": f"{slow.url}/api/download/{job_id}"},
    )
    assert uploader.http.get(follower.heard()[-1][1]["download_url"]).status_code == 200
    late = Follower(slow.url, job_id, token=token()).ended()  # who comes late is told how things are
    assert [name for name, _ in late.heard()] == ["progress", "completed"]


def test_a_job_that_is_canceled_ends_with_an_error(slow: Service, seed: int) -> None:
    uploader = Uploader(slow, token())
    job_id = uploader.job(wav(seed=seed))
    follower = Follower(slow.url, job_id, token=token()).subscribed()
    assert uploader.http.post(f"/api/cancel/{job_id}").json()["status"] == "canceled"
    follower.ended()
    assert follower.all("error") == [{"job_id": job_id, "error_message": "Canceled."}]
    assert follower.all("progress")[-1]["status"] == "canceled"


def test_a_job_that_fails_in_its_model_ends_with_an_error(tmp_path: Path) -> None:
    failing = {"FAST_MODEL_DEFAULTS": '{"segments": 6, "sleep": 0.3, "fail": "not_music"}'}
    with running(tmp_path / "data", SETTINGS | failing) as service:
        uploader = Uploader(service)
        job_id = uploader.job(wav())
        follower = Follower(service.url, job_id).ended()
        status = uploader.status(job_id)
    assert follower.heard()[-1][0] == "error"
    assert follower.all("error") == [{"job_id": job_id, "error_message": status["error"]}]
    assert "was to fail" in status["error"]
    assert (status["status"], status["error_code"]) == ("failed", "not_music")
    assert follower.all("progress")[-1]["status"] == "failed"
    assert "completed" not in follower.names()


def test_jobs_of_others_are_unknown(slow: Service, seed: int) -> None:
    job_id = Uploader(slow, token()).job(wav(seed=seed))
    stranger = Follower(slow.url, job_id, token=token("bob")).ended()
    assert stranger.all("progress") == []
    (error,) = stranger.all("error")
    assert error["job_id"] == job_id
    assert "There is no job" in error["error_message"]


@pytest.mark.parametrize("given", ["", "nonsense"])
def test_who_does_not_say_who_it_is_cannot_connect(slow: Service, given: str) -> None:
    refused = Follower(slow.url, "none", token=given).ended()
    assert refused.names() == ["connect_error"]
    assert "token" in refused.told[0][1]


@pytest.mark.parametrize("job_id", ["none", "../../etc/passwd", "0" * 32])
def test_what_is_no_job_is_said(slow: Service, job_id: str) -> None:
    refused = Follower(slow.url, job_id, token=token()).ended()
    assert [error["job_id"] for error in refused.all("error")] == [job_id]
    assert "There is no job" in refused.all("error")[0]["error_message"]


@pytest.mark.parametrize(("origin", "let_in"), [("https://studio.example", True), ("https://evil.example", False)])
def test_only_pages_that_are_named_connect(slow: Service, origin: str, let_in: bool) -> None:
    follower = Follower(slow.url, "none", token=token(), transport="websocket", origin=origin).ended()
    assert ("connect" in follower.names()) is let_in
    assert ("connect_error" in follower.names()) is not let_in


def test_a_page_of_ours_connects_without_being_named(webserver: Service, uploader: Uploader, seed: int) -> None:
    job_id = uploader.job(wav(seed=seed))
    follower = Follower(webserver.url, job_id, transport="websocket", origin=webserver.url).ended()
    assert "completed" in follower.names()


def test_two_processes_of_the_api_tell_through_redis(tmp_path: Path, postgres: Postgres, seed: int) -> None:
    """The worker reports to one process, the client listens at the other: both are one service over Redis."""
    with redis_server(tmp_path) as redis:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
        both = SETTINGS | SLOW | {"REDIS_URL": redis, "DATABASE_URL": postgres.database()}
        with (
            running(tmp_path / "one" / "data", both) as one,
            running(tmp_path / "two" / "data", both | {"STEMWRIGHT_WORKERS": "0"}) as two,
        ):
            job_id = Uploader(one).job(wav(seed=seed))
            follower = Follower(two.url, job_id).ended()
            assert len({state["progress"] for state in follower.all("progress")}) >= 4
            assert follower.heard()[-1][0] == "completed"
