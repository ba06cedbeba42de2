"""Songs by link, to their end; and the webhook of a job, as its receiver sees it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from threading import Event
from typing import Any

import httpx2
import pytest
from origin import Origin, body, status
from service import Service, running, until, wav
from track_tree import Received, Receiver
from webserver import SETTINGS, Uploader

KEY = bytes(range(32))
WHSEC = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="  # base64 of KEY
TOKEN = "a token of the tests, long enough"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, store: Origin) -> Iterator[Service]:
    settings = SETTINGS | {
        "DEMUCSSVC_TOKEN": TOKEN,
        "WEBHOOK_SECRET": WHSEC,
        "API_WEBHOOK_URL_ALLOWLIST": receiver.url,
        "SOURCE_ORIGIN_ALLOWLIST": store.url,
        "STEMWRIGHT_WEBSERVER_UPLOAD_RATE": "",
        "MAX_FILE_SIZE": "100000",
        "MAX_DURATION": "5",
    }
    with running(tmp_path_factory.mktemp("links") / "data", settings) as service:
        yield service


@pytest.fixture
def caller(service: Service) -> Uploader:
    return Uploader(service)


def by_link(caller: Uploader, url: str, **fields: str) -> str:
    """The id of the job of a link."""
    form = {name: (None, value) for name, value in ({"source_url": url} | fields).items()}
    answer = caller.http.post("/api/upload", files=form)
    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == "queued"
    return str(answer.json()["job_id"])


def test_a_link_with_a_key_makes_one_job_however_it_is_signed(caller: Uploader, store: Origin, seed: int) -> None:
    url, key = f"{store.url}/keyed.wav", {"Idempotency-Key": f"key-{seed}"}
    store.answers["/keyed.wav"] = body(wav(seed=seed))

    def ask(**fields: str) -> httpx2.Response:
        form = {name: (None, value) for name, value in fields.items()}
        return caller.http.post("/api/upload", files=form, headers=key)

    first, again = ask(source_url=f"{url}?signature=1"), ask(source_url=f"{url}?signature=2")
    assert (first.status_code, again.status_code) == (202, 202), first.text
    assert first.json()["job_id"] == again.json()["job_id"]
    other = ask(source_url=f"{store.url}/another.wav")
    assert (other.status_code, other.json()["code"]) == (400, "idempotency_key_reused")


def webhook(receiver: Receiver, job_id: str) -> Received:
    """The one that came about a job, whose signatures hold."""

    def of_it() -> list[Received]:
        with receiver.lock:
            return [each for each in receiver.received if each.json()["job_id"] == job_id]

    (came,) = until(of_it, what=f"the webhook of {job_id}")
    came.check(TOKEN, KEY)
    assert came.headers["content-type"] == "application/json"
    return came


def test_a_link_is_fetched_by_the_worker_and_separated(caller: Uploader, store: Origin, seed: int) -> None:
    song = wav(seed=seed)
    store.answers["/music/A%20song.wav"] = body(song, content_type="audio/wav")
    job = caller.wait(by_link(caller, f"{store.url}/music/A%20song.wav?signature=secret"))
    assert (job["filename"], job["progress"], job["error"]) == ("A song.wav", 100, None)
    assert [stem["name"] for stem in job["stems"]] == ["quiet", "rest"]
    for stem in job["stems"]:
        data = caller.http.get(stem["url"]).content
        assert (stem["size"], stem["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
        assert len(data) == len(song)
    assert caller.http.get("/api/jobs").json()["jobs"][0]["job_id"] == job["job_id"]


@pytest.mark.parametrize(
    ("path", "answer", "code"),
    [
        ("/gone.wav", status(404), "source_not_found"),
        ("/text.wav", body(b"I am a text" * 100), "not_audio"),
        ("/long.wav", body(wav(6.0)), "too_long"),
        ("/large.wav", body(bytes(200_000)), "source_too_large"),
    ],
)
def test_a_link_that_leads_to_no_song_fails_and_says_why(
    caller: Uploader, service: Service, store: Origin, path: str, answer: Any, code: str
) -> None:
    store.answers[path] = answer
    job = caller.wait(by_link(caller, f"{store.url}{path}?signature=secret"), "failed")
    assert job["error_code"] == code, job
    assert job["message"] == job["error"]
    assert "secret" not in job["error"]
    assert "secret" not in service.log.read_text()
    assert job["stems"] == []


def test_the_webhook_of_a_completed_job_is_its_status(
    caller: Uploader, service: Service, receiver: Receiver, seed: int
) -> None:
    job_id = caller.job(wav(seed=seed), "Mine.wav", webhook_url=receiver.url)
    told = webhook(receiver, job_id).json()
    now = caller.status(job_id)
    urls = {"stems", "download_url"}
    assert {name: told[name] for name in told if name not in urls} == {
        name: now[name] for name in now if name not in urls
    }
    assert (told["status"], told["filename"]) == ("completed", "Mine.wav")
    assert told["download_url"] == f"{service.url}/api/download/{job_id}"
    for stem in told["stems"]:
        answer = httpx2.get(stem["url"], trust_env=False)  # absolute, and signed: nothing else is needed
        assert hashlib.sha256(answer.content).hexdigest() == stem["sha256"]


def test_a_webhook_goes_nowhere_but_where_the_list_says(caller: Uploader, receiver: Receiver) -> None:
    answer = caller.upload(wav(), webhook_url=f"{receiver.url}?elsewhere")
    assert (answer.status_code, answer.json()["code"]) == (400, "webhook_not_allowed")


def test_the_webhook_of_a_failed_and_of_a_canceled_job_says_so(
    caller: Uploader, receiver: Receiver, store: Origin
) -> None:
    store.answers["/none.wav"] = status(404)
    failed = webhook(receiver, by_link(caller, f"{store.url}/none.wav", webhook_url=receiver.url)).json()
    assert (failed["status"], failed["error_code"], failed["stems"]) == ("failed", "source_not_found", [])
    assert failed["error"]
    over = Event()
    store.answers["/slow.wav"] = lambda _: over.wait(60.0)
    canceled = by_link(caller, f"{store.url}/slow.wav", webhook_url=receiver.url)
    assert caller.http.post(f"/api/cancel/{canceled}").status_code == 200
    told = webhook(receiver, canceled).json()
    over.set()
    assert (told["status"], told["download_url"], told["stems"]) == ("canceled", None, [])
