"""Asking for work: in the body, in the query, in both."""

from __future__ import annotations

from typing import Any

import pytest
from studio import Studio


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("model=m&variation=v&file_id=t", None),
        ("model=m&file_id=t", {"variation": "default"}),
        ("model=m", {"file_id": "t"}),
        ("model=m&file_id=t&variation=v", {"model": "m", "file_id": "t", "variation": "v", "params": {}}),
        ("", {"model": "m", "file_id": "t"}),
    ],
)
def test_work_is_asked_for_in_the_query_as_in_the_body(studio: Studio, query: str, body: Any) -> None:
    studio.song()
    answer = studio.http.post(f"/process?{query}", json=body)
    assert answer.status_code == 200, answer.text
    job = studio.deps.repository.job(answer.json()["job_id"])
    assert job is not None
    assert (job.service, job.model, job.track_id) == ("m", "v", "t")
    again = studio.http.post("/process", json={"model": "m", "file_id": "t"}).json()
    assert again["job_id"] == job.id  # whichever way it is said, it is the same work


@pytest.mark.parametrize(
    ("query", "body", "code"),
    [
        ("model=m", {"model": "other", "file_id": "t"}, "query_disagrees"),
        ("file_id=u", {"model": "m", "file_id": "t"}, "query_disagrees"),
        ("variation=none", {"model": "m", "file_id": "t", "variation": "v"}, "query_disagrees"),
        ("file_id=t", {"model": "m", "inputs": [{"file_id": "t"}]}, "two_inputs"),
        ("file_id=t", None, "invalid_request"),
        ("model=m&file_id=t&stems=vocals", None, "invalid_request"),
        ("model=m&file_id=t&model=" + "n" * 101, None, "invalid_request"),
        ("model=m&file_id=%00", None, "invalid_request"),
    ],
)
def test_what_query_and_body_do_not_say_together_is_refused(studio: Studio, query: str, body: Any, code: str) -> None:
    studio.song()
    answer = studio.http.post(f"/process?{query}", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert studio.deps.repository.jobs_of("t") == []


def test_one_key_stands_for_both_ways_to_say_the_same(studio: Studio) -> None:
    studio.song()
    key = {"Idempotency-Key": "k"}
    first = studio.http.post("/process?model=m&file_id=t", headers=key)
    again = studio.http.post("/process", json={"model": "m", "file_id": "t"}, headers=key)
    assert first.json()["job_id"] == again.json()["job_id"]
