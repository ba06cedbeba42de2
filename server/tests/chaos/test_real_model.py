"""A real model, once by each way to a worker: the pocket model that ships, on half a second of sound."""

from __future__ import annotations

import io
import math
import struct
import wave
from pathlib import Path

import pytest
from backing import RabbitMQ, Redis
from chaos import record
from elsewhere import SECRET, worker_of
from service import running

pytestmark = pytest.mark.chaos


def song() -> bytes:
    """A stereo wav of two tones, 44.1 kHz."""
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(44100)
        for index in range(22050):
            left, right = (round(9000 * math.sin(index * pitch / 44100 * 2 * math.pi)) for pitch in (110, 440))
            file.writeframesraw(struct.pack("<hh", left, right))
    return data.getvalue()


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_the_pocket_model_separates_in_a_celery_worker(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    broker: Redis | RabbitMQ = request.getfixturevalue(kind)
    settings = SECRET | {"BROKER_URL": broker.url, "STEMWRIGHT_MODELS": "demucs", "STEMWRIGHT_PROBE": "audio"}
    with running(tmp_path / "data", settings) as service, worker_of(service, tmp_path / "w", settings):
        client = service.client
        file_id = client.upload(song())
        answer = client.process(file_id, model="demucs", variation="pocket")
        assert answer.status_code == 200, answer.text
        job = client.wait(file_id, answer.json()["job_id"], "completed", "failed", seconds=300.0)
        assert (job["status"], job["error"]) == ("completed", None)
        stems = sorted(output["type"] for output in job["outputs"])
        assert stems == ["bass", "drums", "other", "vocals"]
        record(f"real model {kind}", model="pocket", status=job["status"], stems=stems)
