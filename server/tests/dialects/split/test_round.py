"""The whole way of a request, driven by a client that knows the documents only: links in, a signed webhook out."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx2
import pytest
from origin import Origin, body, in_turn, serving, status
from service import COMMAND, Service, environment, running, until, wav
from track_tree import TOKEN, Backend, Received, Receiver
from track_tree import status as answer_with

KEY = bytes(range(32))
WHSEC = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="  # base64 of KEY
OLD = "whsec_" + "QUJD" * 8


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver, store: Origin) -> Iterator[Service]:
    settings = {
        "DEMUCSSVC_TOKEN": TOKEN,
        "API_WEBHOOK_URL_ALLOWLIST": f"https://api.track-tree.com/webhooks/demucs,{receiver.url}",
        "SOURCE_ORIGIN_ALLOWLIST": store.url,
        "WEBHOOK_SECRET": WHSEC,
        "WEBHOOK_SECRET_PREVIOUS": OLD,
        "STEMWRIGHT_WEBHOOK_RETRY_SECONDS": "0.2",
        "MAX_FILE_SIZE": "100000",
        "MAX_DURATION": "5",
    }
    with running(tmp_path_factory.mktemp("split") / "data", settings) as service:
        yield service


@pytest.fixture
def backend(service: Service) -> Backend:
    return Backend(service.url)


def webhook(receiver: Receiver, job_id: str, tries: int = 1) -> Received:
    """The last of so many webhooks about a job, which all are one: the same bytes under the same id."""
    came = until(lambda: receiver.of(job_id)[tries - 1 :], what=f"webhook {tries} of {job_id}")
    last = came[-1]
    last.check(TOKEN, KEY)
    assert len(last.headers["webhook-signature"].split()) == 2  # by the secret before as well
    assert {(each.id, each.body) for each in receiver.of(job_id)} == {(last.id, last.body)}
    return last


def asked(store: Origin, receiver: Receiver, name: str, **more: Any) -> dict[str, Any]:
    return {
        "versionId": f"version-{name}",
        "audioUrl": f"{store.url}/{name}.wav?X-Amz-Signature=secret",
        "aiModel": "half",
        "webhook": receiver.url,
        **more,
    }


def test_links_in_a_signed_webhook_out(
    service: Service, backend: Backend, receiver: Receiver, store: Origin, seed: int
) -> None:
    song = wav(seed=seed)
    store.answers[f"/{seed}.wav"] = body(song)
    fields = asked(store, receiver, str(seed), correlationId="order-7")
    answer = backend.split(headers={"X-Request-ID": "request-7"}, **fields)
    assert answer.status_code == 202, answer.text
    job_id = answer.json()["jobId"]
    told = webhook(receiver, job_id)
    document = told.json()
    assert list(document) == ["versionId", "status", "processingTimeMs", "stems", "error", "jobId", "correlationId"]
    stems = document.pop("stems")
    time_ms = document.pop("processingTimeMs")
    assert isinstance(time_ms, int)
    assert 0 < time_ms < 120_000
    assert document == {
        "versionId": f"version-{seed}",
        "status": "completed",
        "error": None,
        "jobId": job_id,
        "correlationId": "order-7",
    }
    assert [(stem["type"], stem["name"]) for stem in stems] == [("quiet", "Quiet"), ("rest", "Rest")]
    for stem in stems:
        assert list(stem) == ["type", "name", "url", "size", "duration", "checksum"]
        data = httpx2.get(stem["url"], trust_env=False).content
        assert (len(data), stem["duration"]) == (stem["size"], 0.5)
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == stem["checksum"]
    assert told.headers["content-type"] == "application/json"
    assert (told.headers["x-request-id"], told.headers["x-correlation-id"]) == ("request-7", "order-7")
    assert backend.queue_status()["completed_jobs"] >= 1
    expected = {"split_taken", "claimed", "job_progress", "attempt_done", "reported", "webhook_tried"}

    def lines() -> list[dict[str, Any]]:
        return [line for line in service.logged() if line.get("job_id") == job_id]

    until(lambda: expected <= {line["event"] for line in lines()}, what="a line about each step")
    assert {line.get("request_id") for line in lines()} == {"request-7"}
    assert "secret" not in service.log.read_text()


def test_stems_go_to_the_callers_own_urls(
    service: Service, backend: Backend, receiver: Receiver, store: Origin, seed: int
) -> None:
    store.answers[f"/{seed}.wav"] = body(wav(seed=seed))
    urls = {stem: f"{store.url}/put/{seed}/{stem}.wav?X-Amz-Signature=secret" for stem in ("quiet", "rest")}
    store.answers[f"/put/{seed}/rest.wav"] = in_turn(status(503), status(200))  # a passing fault
    for stem in urls:
        store.answers.setdefault(f"/put/{seed}/{stem}.wav", status(200))
    job_id = backend.split(**asked(store, receiver, str(seed), uploadUrls=urls)).json()["jobId"]
    document = webhook(receiver, job_id).json()
    assert document["status"] == "completed", document
    for stem in document["stems"]:
        assert stem["url"] == f"{store.url}/put/{seed}/{stem['type']}.wav"
        data = store.kept[f"/put/{seed}/{stem['type']}.wav"]
        assert f"sha256:{hashlib.sha256(data).hexdigest()}" == stem["checksum"]
        assert len(data) == stem["size"]
    until(lambda: not [name for name in service.files() if job_id in name], what="nothing of them to lie here")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (status(403), "answered 403: the URL has expired"),
        (status(404), "answered 404: there is no file"),
        (status(302, location="http://10.0.0.1/x"), "plain http"),
        (status(302, location="https://10.0.0.1/x"), "not on the public internet"),
        (status(302), "redirects to nowhere"),
        (body(b"<html>sign in</html>"), "is not audio"),
        (body(bytes(200_000)), "200000 bytes; at most 100000"),
        (body(wav(0.1)[:40]), "truncated"),
        (body(wav(5.5, rate=2000)), "more than the 5 s allowed"),
    ],
    ids=["expired", "gone", "to http", "to private", "nowhere", "a page", "too large", "truncated", "too long"],
)
def test_a_link_that_is_no_good_ends_in_a_webhook_that_says_why(
    backend: Backend, receiver: Receiver, store: Origin, answer: Any, said: str, request: pytest.FixtureRequest
) -> None:
    name = request.node.callspec.id.replace(" ", "-")
    store.answers[f"/{name}.wav"] = answer
    job_id = backend.split(**asked(store, receiver, name)).json()["jobId"]
    document = webhook(receiver, job_id).json()
    assert (document["status"], document["stems"], document["jobId"]) == ("failed", [], job_id)
    assert said in document["error"]
    assert "secret" not in document["error"]
    assert "\n" not in document["error"]


def test_a_store_that_refuses_the_stem_ends_in_a_webhook_that_says_so(
    backend: Backend, receiver: Receiver, store: Origin, seed: int
) -> None:
    store.answers[f"/{seed}.wav"] = body(wav(seed=seed))
    urls = {stem: f"{store.url}/closed/{seed}/{stem}.wav?X-Amz-Signature=secret" for stem in ("quiet", "rest")}
    for stem in urls:
        store.answers[f"/closed/{seed}/{stem}.wav"] = status(403)
    job_id = backend.split(**asked(store, receiver, str(seed), uploadUrls=urls)).json()["jobId"]
    document = webhook(receiver, job_id).json()
    assert document["status"] == "failed"
    assert "answered 403 to the upload of quiet" in document["error"]
    assert "secret" not in document["error"]


def test_a_webhook_is_tried_until_it_is_taken_with_the_same_bytes_and_id(
    backend: Backend, receiver: Receiver, store: Origin, seed: int
) -> None:
    store.answers[f"/{seed}.wav"] = body(wav(seed=seed))
    answers = iter([answer_with(500), answer_with(302, Location="http://10.0.0.1/"), answer_with(429, Retry_After="1")])

    def answer(handler: BaseHTTPRequestHandler, received: Received) -> None:
        mine = f"version-{seed}".encode() in received.body
        (next(answers, answer_with(204)) if mine else answer_with(204))(handler, received)

    receiver.answer = answer
    job_id = backend.split(**asked(store, receiver, str(seed))).json()["jobId"]
    webhook(receiver, job_id, tries=4)
    third, fourth = receiver.of(job_id)[2:4]
    assert fourth.at - third.at >= 1.0  # as it asked
    receiver.answer = answer_with(204)


def test_410_makes_a_dead_letter_that_can_be_replayed(
    service: Service, backend: Backend, receiver: Receiver, store: Origin, seed: int
) -> None:
    store.answers[f"/{seed}.wav"] = body(wav(seed=seed))
    gone = True

    def answer(handler: BaseHTTPRequestHandler, received: Received) -> None:
        mine = f"version-{seed}".encode() in received.body
        answer_with(410 if mine and gone else 204)(handler, received)

    receiver.answer = answer
    job_id = backend.split(**asked(store, receiver, str(seed))).json()["jobId"]
    webhook(receiver, job_id)
    tried(service, job_id, "dead")
    (line,) = (line for line in webhooks(service, "list") if job_id in line)
    assert line.startswith(f"msg_{job_id}  dead  tries=1  status=410  ")
    assert line.endswith("The receiver answered 410.")
    gone = False
    assert webhooks(service, "replay", f"msg_{job_id}") == [f"msg_{job_id} will be sent again"]
    webhook(receiver, job_id, tries=2)
    tried(service, job_id, "delivered")
    receiver.answer = answer_with(204)


def tried(service: Service, job_id: str, state: str) -> None:
    """Wait for the line in the log that says so."""
    said = {"event": "webhook_tried", "job_id": job_id, "state": state}
    until(lambda: [line for line in service.logged() if said.items() <= line.items()], what=f"{job_id} to be {state}")


def webhooks(service: Service, *arguments: str) -> list[str]:
    """What ``stemwright webhooks`` prints, beside the running service."""
    command = [*COMMAND, "webhooks", *arguments, "--data-dir", str(service.data_dir)]
    done = subprocess.run(
        command, env=environment(service.state, {}), capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.splitlines()


def test_a_url_that_left_the_list_is_not_sent_to_and_comes_back_with_it(tmp_path: Path, seed: int) -> None:
    with Receiver() as receiver, serving() as store:
        store.answers["/a.wav"] = body(wav(seed=seed))
        settings = {"DEMUCSSVC_TOKEN": TOKEN, "SOURCE_ORIGIN_ALLOWLIST": store.url}
        listed = settings | {"API_WEBHOOK_URL_ALLOWLIST": receiver.url}
        with running(tmp_path / "data", listed | {"STEMWRIGHT_WORKERS": "0"}) as service:
            job_id = Backend(service.url).split(**asked(store, receiver, "a")).json()["jobId"]
        with running(tmp_path / "data", settings) as service:
            tried(service, job_id, "dead")
            assert receiver.received == []
            assert webhooks(service, "replay", "--all-dead") == ["1 webhooks will be sent again"]
            until(
                lambda: len([line for line in service.logged() if line.get("state") == "dead"]) == 2, what="dead again"
            )
        with running(tmp_path / "data", listed) as service:
            webhooks(service, "replay", f"msg_{job_id}")
            came = until(lambda: receiver.of(job_id), what="the webhook")
            came[0].check()
            assert json.loads(came[0].body)["status"] == "completed"
        receiver.shutdown()
