"""A job that was removed over one dialect is gone in all of them, before any sweep has come by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from one_process import GAIN, announce, api_of, caller_of, uploaded
from service import wav
from starlette.testclient import TestClient

from stemwright_server.wiring.api import Api


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    api = api_of(tmp_path)
    yield api
    api.repository.close()


def made(client: TestClient, by: str) -> str:
    if by == "webserver":
        form = {"model": "half", "format": "wav"}
        answer = client.post("/api/upload", data=form, files={"audio_file": ("song.wav", wav())})
    else:
        answer = client.post("/api/v1/stemify", data={"model": "half"}, files={"file": ("song.wav", wav())})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["job_id"])


@pytest.mark.parametrize("by", ["webserver", "stemify"])
def test_it_is_gone_everywhere_at_once(api: Api, by: str) -> None:
    client = caller_of(api)
    assert announce(client, GAIN) == 204
    job_id = made(client, by)
    plain = job_id.replace("-", "")
    job = api.repository.job(plain)
    assert job is not None
    removed = f"/api/jobs/{job_id}" if by == "webserver" else f"/api/v1/jobs/{job_id}"
    file_status = f"/status/{job.track_id}"
    assert [each["job_id"] for each in client.get(file_status).json()["jobs"]] == [plain]
    assert client.delete(removed).status_code in (200, 204)
    assert api.repository.job(plain) is not None  # no sweep runs here
    for method, path in (
        ("GET", f"/jobs/{plain}"),
        ("POST", f"/jobs/{plain}/cancel"),
        ("GET", f"/api/v1/jobs/{job_id}"),
        ("DELETE", f"/api/v1/jobs/{job_id}"),
        ("GET", f"/api/status/{job_id}"),
        ("GET", f"/api/download/{job_id}"),
        ("GET", f"/api/peaks/{job_id}/quiet"),
        ("POST", f"/api/cancel/{job_id}"),
        ("DELETE", f"/api/jobs/{job_id}"),
    ):
        answer = client.request(method, path)
        assert answer.status_code == 404, (method, path, answer.text)
    assert client.get(file_status).json()["jobs"] == []
    assert client.get("/api/jobs").json()["jobs"] == []


def test_studios_work_that_another_dialect_removed_is_no_answer_to_who_asks_for_it_anew(api: Api) -> None:
    client = caller_of(api)
    assert announce(client, GAIN) == 204
    body = {"file_id": uploaded(client, wav()), "model": "gain"}
    first = client.post("/process", json=body).json()["job_id"]
    assert client.post("/process", json=body).json()["job_id"] == first
    assert client.delete(f"/api/v1/jobs/{first}").status_code == 200
    again = client.post("/process", json=body).json()
    assert (again["job_id"] != first, again["status"], again["skipped"]) == (True, "queued", False)
