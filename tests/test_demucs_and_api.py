"""What the demucs service says of itself, and the doors of the API that it has to pass."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from one_process import announce, api_of, caller_of, uploaded
from service import wav

from stemwright_demucs.separation_service import Demucs
from stemwright_server.routes.workers.router import BODY_LIMITS


def test_four_hundred_checkpoints_are_announced_and_offered(tmp_path: Path) -> None:
    api = api_of(tmp_path)
    demucs = Demucs().describe()
    largest = max(demucs.models, key=lambda model: len(model.outputs))
    many = replace(demucs, models=tuple(replace(largest, name=f"checkpoint-{number}") for number in range(400)))
    client = caller_of(api)
    assert announce(client, many) == 204
    assert [len(each["variations"]) for each in client.get("/models").json()["models"]] == [400]
    api.repository.close()


def test_an_announcement_ends_somewhere_and_every_other_body_of_a_worker_sooner(tmp_path: Path) -> None:
    api = api_of(tmp_path)
    client = caller_of(api)
    for path, cap in {**BODY_LIMITS, "/worker/report": 1 << 20}.items():
        refused = client.post(path, content=b"x" * (cap + 1))
        assert (refused.status_code, refused.json()["code"]) == (413, "too_large"), path
        assert str(cap) in refused.json()["detail"]
        assert client.post(path, content=b"x" * cap).json()["code"] == "signature_missing"
    api.repository.close()


def test_another_dc_offset_is_other_work_in_every_dialect_that_takes_it(tmp_path: Path) -> None:
    api = api_of(tmp_path)
    client = caller_of(api)
    assert announce(client, Demucs().describe()) == 204
    file_id = uploaded(client, wav(seed=1))

    def asked(**params: str) -> str:
        answer = client.post("/process", json={"file_id": file_id, "model": "demucs", "params": params})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["job_id"])

    jobs = {value: asked(dc_offset=value) for value in ("auto", "each", "shared")}
    assert len(set(jobs.values())) == 3
    assert asked() == jobs["auto"]
    fields = {"dc_offset": "Shared", "model": "htdemucs"}
    answer = client.post("/api/upload", data=fields, files={"audio_file": ("song.wav", wav(seed=2))})
    assert answer.status_code == 202, answer.text
    job = api.repository.job(answer.json()["job_id"].replace("-", ""))
    assert job is not None
    assert job.params["dc_offset"] == "shared"
    refused = client.post("/api/upload", data=fields | {"dc_offset": "none"}, files={"audio_file": ("a.wav", wav())})
    assert (refused.status_code, refused.json()["code"]) == (400, "bad_params")
    api.repository.close()
