"""The service `pitch` in its own environment behind a whole server: an upload, then a job that takes the stems of another one."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path
from typing import Any

import pytest
from service import Client, running, until

ROOT = Path(__file__).parents[3]
RATE = 8000


def tune() -> bytes:
    """A wav of four notes of half a second, A4 B4 C5 D5, each with five partials."""
    samples = []
    for pitch in (69, 71, 72, 74):
        step = 2 * math.pi * 440 * 2 ** ((pitch - 69) / 12) / RATE
        for number in range(RATE // 2):
            fade = min(1.0, number / 80, (RATE // 2 - number) / 160)
            samples.append(0.3 * fade * sum(math.sin(k * step * number) / k for k in range(1, 6)))
    data = struct.pack(f"<{len(samples)}h", *(round(max(-1.0, min(1.0, each)) * 32767) for each in samples))
    head = struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + len(data),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        RATE,
        2 * RATE,
        2,
        16,
        b"data",
        len(data),
    )
    return head + data


def test_it_runs_beside_another_service_and_takes_what_that_made(tmp_path: Path) -> None:
    assert (ROOT / "services/pitch/.venv/bin/python").exists(), "run make services/pitch/.venv/.tested"
    settings = {"STEMWRIGHT_SERVICES_PATH": str(ROOT / "services"), "STEMWRIGHT_MODELS": "gain,pitch"}
    with running(tmp_path / "data", settings) as service:
        client = Client(service.url)
        models = {each["name"]: each for each in client.http.get("/models").json()["models"]}
        assert models["pitch"]["variations"][0]["inputs"] == {"least": 1, "most": 7, "kind": "audio"}
        file_id = client.upload(tune())
        separated = completed(client, model="gain", file_id=file_id)
        stem = {"job_id": separated["job_id"], "output": separated["outputs"][0]["type"]}
        job = completed(client, model="pitch", inputs=[{"file_id": file_id}, stem], params={"roles": ["mix", "vocals"]})
        outputs = {each["type"]: each["url"] for each in job["outputs"]}
        assert set(outputs) == {"analysis", "contour", "notes", "jams", "picture"}
        found = json.loads(client.http.get(outputs["analysis"]).content)
        assert found["contour"]["of"] == "vocals"
        assert found["notes"]["vocals"]["count"] == 4
        pitches = json.loads(client.http.get(outputs["contour"]).content)["hz"]
        assert pitches[15] == pytest.approx(440, rel=0.005)
        assert client.http.get(outputs["notes"]).content.startswith(b"MThd")
        refused = client.process(file_id, model="pitch", params={"voiced": 3})
        assert (refused.status_code, refused.json()["code"]) == (422, "bad_params")
        twice = client.http.post(
            "/process", json={"model": "pitch", "inputs": [{"file_id": file_id}, {"file_id": file_id}]}
        )
        failed = ended(client, twice.json()["job_id"])
        assert (failed["status"], failed["error"]["code"]) == ("failed", "bad_inputs")


def completed(client: Client, **asked: Any) -> Any:
    answer = client.http.post("/process", json=asked)
    assert answer.status_code == 200, answer.text
    job = ended(client, answer.json()["job_id"])
    assert job["status"] == "completed", job["error"]
    return job


def ended(client: Client, job_id: str) -> Any:
    """The job when it has ended, one way or the other."""

    def there() -> Any:
        job = client.http.get(f"/jobs/{job_id}").json()
        return job if job["status"] in ("completed", "failed") else None

    return until(there, what="the job to end")
