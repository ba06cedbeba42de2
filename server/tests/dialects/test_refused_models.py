"""A model that is announced and refused, as for a licence that nobody accepted: listed nowhere, and told to who asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from one_process import GAIN, announce, api_of, caller_of, uploaded
from service import wav
from starlette.testclient import TestClient

from stemwright_worker.contract.description import Refusal

REFUSED = Refusal(code="licence_not_accepted", message="the weights of loud are not free: set LOUD_ACCEPTED=true")
LOUD, HALF = GAIN.models  # in this order, so that a list which only takes the last one is found out


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    api = api_of(tmp_path_factory.mktemp("api"))
    client = caller_of(api)
    services = (
        replace(GAIN, models=(replace(LOUD, refusal=REFUSED), HALF)),
        replace(GAIN, name="forbidden", models=(replace(LOUD, name="loudest", refusal=REFUSED),)),
    )
    assert announce(client, *services) == 204
    yield client
    api.repository.close()


def test_no_dialect_lists_it(client: TestClient) -> None:
    models = client.get("/models").json()["models"]
    assert {each["name"]: [one["name"] for one in each["variations"]] for each in models} == {"gain": ["half"]}
    assert [each["name"] for each in client.get("/api/models").json()["models"]] == ["half"]
    assert client.get("/api/v1/health").json()["models_available"] == ["half"]


def test_every_dialect_tells_who_asks_for_it_why_not(client: TestClient) -> None:
    file_id = uploaded(client, wav())
    studio = client.post("/process", json={"file_id": file_id, "model": "gain", "variation": "loud"})
    assert (studio.status_code, studio.json()["code"]) == (422, "licence_not_accepted")
    song = ("song.wav", wav(seed=1))
    upload = client.post("/api/upload", data={"model": "loud", "format": "wav"}, files={"audio_file": song})
    assert (upload.status_code, upload.json()["code"]) == (400, "licence_not_accepted")
    stemify = client.post("/api/v1/stemify", data={"model": "loud"}, files={"file": song})
    assert (stemify.status_code, stemify.json()["error"]["code"]) == (422, "licence_not_accepted")
    for answer in (studio, upload, stemify):
        assert "LOUD_ACCEPTED=true" in answer.text


def test_an_unknown_name_is_answered_with_those_that_may_be_asked_for(client: TestClient) -> None:
    file_id = uploaded(client, wav(seed=2))
    for body in ({"model": "nope"}, {"model": "gain", "variation": "nope"}):
        answer = client.post("/process", json={"file_id": file_id, **body}).json()
        assert "loud" not in answer["detail"]
        assert "forbidden" not in answer["detail"]
    upload = client.post("/api/upload", data={"model": "nope"}, files={"audio_file": ("a.wav", wav())}).json()
    assert upload["error"] == "There is no model 'nope'; there is: half."
