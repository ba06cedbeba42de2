"""A worker with a folder full of checkpoints: what the demucs service says of them passes the API's own doors."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from one_process import announce, api_of, caller_of

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
