"""A service that takes no input and one that takes two, through the whole of it; and who offers which."""

from __future__ import annotations

import io
import json
import time
import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from service import Client, Service, running, until, wav
from webserver import SETTINGS, Uploader

from stemwright_worker.contract.signing import sign

TOKEN = "t" * 32
WEBHOOK = "https://hook.example/x"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that separates, and one that does other things."""
    settings = SETTINGS | {
        "STEMWRIGHT_MODELS": "gain,tools",
        "DEMUCSSVC_TOKEN": TOKEN,
        "API_WEBHOOK_URL_ALLOWLIST": WEBHOOK,
        "API_RATE_LIMIT": "0",
    }
    with running(tmp_path_factory.mktemp("both") / "data", settings) as service:
        yield service


def process(client: Client, **asked: Any) -> httpx2.Response:
    return client.http.post("/process", json=asked)


def completed(client: Client, **asked: Any) -> Any:
    answer = process(client, **asked)
    assert answer.status_code == 200, answer.text
    path = f"/jobs/{answer.json()['job_id']}"

    def ended() -> Any:
        job = client.http.get(path).json()
        return job if job["status"] in ("completed", "failed") else None

    job = until(ended, what="the job to end")
    assert job["status"] == "completed", job["error"]
    return job


def frames(client: Client, job: Any) -> list[int]:
    with wave.open(io.BytesIO(client.http.get(job["outputs"][0]["url"]).content)) as file:
        return list(memoryview(file.readframes(file.getnframes())).cast("h"))


def test_nothing_goes_in_and_what_comes_out_goes_into_the_next(both: Service, seed: int) -> None:
    client = both.client
    silence = completed(client, model="tools", variation="silence", params={"seconds": 0.5})
    assert (silence["file_id"], silence["inputs"]) == (None, [])
    assert frames(client, silence) == [0] * 4000
    assert (silence["outputs"][0]["type"], silence["outputs"][0]["duration"]) == ("sound", 0.5)

    file_id = client.upload(wav(0.5, seed=seed))
    inputs = [{"file_id": file_id}, {"job_id": silence["job_id"], "output": "sound"}]
    added = completed(client, model="tools", variation="sum", inputs=inputs)
    assert (added["file_id"], added["inputs"]) == (file_id, inputs)
    with wave.open(io.BytesIO(wav(0.5, seed=seed))) as file:
        assert frames(client, added) == list(memoryview(file.readframes(4000)).cast("h"))
    listed = client.http.get(f"/status/{file_id}").json()["jobs"]
    assert [job["job_id"] for job in listed] == [added["job_id"]]

    counted = completed(client, model="tools", variation="count", inputs=[{"job_id": added["job_id"], "output": "sum"}])
    assert client.http.get(counted["outputs"][0]["url"]).json() == {"samples": 4000}
    assert set(counted["report"]["stage_seconds"]) >= {"fetching", "loading", "listening", "uploading"}


@pytest.mark.parametrize(
    ("asked", "status", "code"),
    [
        ({"variation": "sum", "file_id": "x"}, 422, "bad_inputs"),
        ({"variation": "silence", "file_id": "x"}, 422, "bad_inputs"),
        ({"variation": "count"}, 422, "bad_inputs"),
        ({"variation": "count", "file_id": "x", "inputs": []}, 422, "two_inputs"),
        ({"variation": "count", "inputs": [{"file_id": "x", "output": "y"}]}, 422, "invalid_request"),
        ({"variation": "count", "inputs": [{"job_id": "x", "output": "y"}]}, 404, "job_not_found"),
        ({"variation": "count", "inputs": [{"file_id": "x"}]}, 404, "file_not_found"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(both: Service, asked: dict[str, Any], status: int, code: str) -> None:
    answer = process(both.client, model="tools", **asked)
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


def test_a_models_own_limit_is_said_at_once(both: Service, seed: int) -> None:
    file_id = both.client.upload(wav(4.0, seed=seed))
    answer = process(both.client, model="tools", variation="count", file_id=file_id)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_long"), answer.text
    assert "the model 'count' takes at most 3 s" in answer.json()["detail"]


def test_studio_says_what_every_model_takes_and_makes(both: Service) -> None:
    models = {each["name"]: each for each in both.client.http.get("/models").json()["models"]}
    tools = {each["name"]: each for each in models["tools"]["variations"]}
    kinds = {name: (each["kind"], each["inputs"]["most"], each["outputs"]) for name, each in tools.items()}
    assert kinds == {
        "silence": ("generation", 0, ["sound"]),
        "sum": ("mixing", 2, ["sum"]),
        "count": ("transcription", 1, ["text"]),
    }
    assert {each["kind"] for each in models["gain"]["variations"]} == {"separation"}


def test_no_api_for_separation_offers_a_transcriber(both: Service) -> None:
    client, uploader = both.client, Uploader(both)
    assert client.http.get("/api/v1/health").json()["models_available"] == ["loud", "half"]
    assert [each["name"] for each in uploader.http.get("/api/models").json()["models"]] == ["loud", "half"]


@pytest.mark.parametrize("name", ["count", "tools"])
def test_no_api_for_separation_takes_a_transcriber(both: Service, name: str) -> None:
    song = wav(seed=1)
    uploaded = Uploader(both).upload(song, model=name)
    assert (uploaded.status_code, uploaded.json()["code"]) == (400, "unknown_model")
    stemified = both.client.http.post("/api/v1/stemify", files={"file": ("s.wav", song)}, data={"model": name})
    assert (stemified.status_code, stemified.json()["error"]["code"]) == (422, "unknown_model")
    asked = {"versionId": "v", "audioUrl": "https://a.example/s.wav", "aiModel": name, "webhook": WEBHOOK}
    body = json.dumps(asked).encode()
    headers = sign(body, secret=TOKEN, now=time.time()) | {"Content-Type": "application/json"}
    split = both.client.http.post("/split", content=body, headers=headers)
    assert (split.status_code, split.json()["code"]) == (422, "unknown_model"), split.text


def test_a_job_of_another_caller_does_not_exist(tmp_path: Path) -> None:
    secret = "s" * 32
    settings = {"STEMWRIGHT_MODELS": "tools", "STEMWRIGHT_WORKERS": "0", "JWT_SECRET": secret}
    with running(tmp_path / "data", settings) as service:
        one, other = (
            Client(service.url, jwt.encode({"sub": name, "exp": time.time() + 60}, secret)) for name in ("one", "other")
        )
        asked = {"model": "tools", "variation": "silence"}
        mine, theirs = (process(client, **asked).json()["job_id"] for client in (one, other))
        assert mine != theirs
        assert one.http.get(f"/jobs/{mine}").json()["status"] == "queued"
        assert other.http.get(f"/jobs/{mine}").status_code == 404
