"""The end of a studio job, as its callback_url is told of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from service import until
from studio import Studio
from track_tree import Received, Receiver

KEY = bytes(range(32))
WHSEC = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="  # base64 of KEY


@pytest.fixture
def told(make_studio: Callable[..., Studio], receiver: Receiver) -> Iterator[Studio]:
    """A service that sends callbacks."""
    receiver.received.clear()
    urls = (receiver.url, f"{receiver.url}?other")
    studio = make_studio(webhook_secret=WHSEC, api_webhook_url_allowlist=urls)
    studio.song()
    studio.api.dispatcher.start()
    yield studio
    studio.api.dispatcher.stop(10.0)


def came(receiver: Receiver, count: int = 1) -> list[Received]:
    """What the receiver got, once it is that many."""
    until(lambda: len(receiver.received) >= count, what="callbacks")
    return list(receiver.received)


def test_a_completed_job_is_told_in_the_documents_shape_signed(told: Studio, receiver: Receiver) -> None:
    answer = told.http.post(
        "/process",
        json={"file_id": "t", "model": "m", "callback_url": receiver.url},
        headers={"X-Request-ID": "req-uuid"},
    )
    job = told.done(b"stem")
    (received,) = came(receiver)
    received.check_standard(KEY)
    said = received.json()
    outputs = said.pop("outputs")
    assert 0.0 <= said.pop("duration_seconds") < 60.0
    assert said == {
        "job_id": answer.json()["job_id"],
        "file_id": "t",
        "model": "m",
        "variation": "v",
        "status": "completed",
        "error": None,
        "request_id": "req-uuid",
    }
    assert [(each["path"], each["type"]) for each in outputs] == [(job.artifacts[0].key, "a")]
    fetched = told.http.get(outputs[0]["url"])  # absolute, and signed: nothing else is needed
    assert (outputs[0]["url"].startswith("http://testserver/"), fetched.content) == (True, b"stem")


@pytest.mark.parametrize("end", ["failed", "canceled"])
def test_other_ends_are_told_too(told: Studio, receiver: Receiver, end: str) -> None:
    job_id = told.process(callback_url=receiver.url)["job_id"]
    if end == "failed":
        told.failed()
    else:
        told.http.post(f"/jobs/{job_id}/cancel")
    said = came(receiver)[0].json()
    assert (said["job_id"], said["status"], said["outputs"]) == (job_id, end, [])
    assert (said["error"] or {}).get("code") == ("not_music" if end == "failed" else None)


def test_who_joins_a_job_is_told_of_its_end(told: Studio, receiver: Receiver) -> None:
    first = told.process()
    joined = told.process(callback_url=receiver.url)
    assert (joined["job_id"], joined["skipped"]) == (first["job_id"], False)
    assert told.process(callback_url=receiver.url)["job_id"] == first["job_id"]
    told.done()
    assert [each.json()["job_id"] for each in came(receiver)] == [first["job_id"]]


def test_work_that_is_done_is_told_at_once_with_outputs_of_its_own(told: Studio, receiver: Receiver) -> None:
    first = told.process()
    told.done(b"stem")
    second = told.process(callback_url=receiver.url)
    assert second["job_id"] != first["job_id"]
    assert (second["status"], second["skipped"]) == ("completed", True)
    said = came(receiver)[0].json()
    assert (said["job_id"], said["status"]) == (second["job_id"], "completed")
    assert told.http.get(said["outputs"][0]["url"]).content == b"stem"


def test_two_urls_are_both_told_and_a_key_makes_one_job_for_each(told: Studio, receiver: Receiver) -> None:
    first = told.process(callback_url=receiver.url)

    def other() -> Any:
        body = {"file_id": "t", "model": "m", "callback_url": f"{receiver.url}?other"}
        return told.http.post("/process", json=body, headers={"Idempotency-Key": "k"}).json()["job_id"]

    second = other()
    assert (second == first["job_id"], other() == second) == (False, True)
    told.done()
    told.http.post(f"/jobs/{second}/cancel")
    assert {each.json()["job_id"] for each in came(receiver, 2)} == {first["job_id"], second}


def test_a_callback_goes_nowhere_but_where_the_list_says(told: Studio, receiver: Receiver) -> None:
    for url in ("http://169.254.169.254/", f"{receiver.url}/more", "file:///etc/passwd", "not a url"):
        answer = told.http.post("/process", json={"file_id": "t", "model": "m", "callback_url": url})
        assert (answer.status_code, answer.json()["code"]) == (422, "webhook_not_allowed")
    assert told.deps.repository.jobs_of("t") == []


def test_without_a_key_to_sign_with_there_are_no_callbacks(studio: Studio) -> None:
    studio.song()
    answer = studio.http.post("/process", json={"file_id": "t", "model": "m", "callback_url": "https://a.example/"})
    assert (answer.status_code, answer.json()["code"]) == (422, "webhooks_off")
