"""A worker that fails all that it takes, beside one that does not."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from elsewhere import SECRET, worker_of
from service import COMMAND, environment, running, until, wav

from stemwright_worker.process.supervisor import GPU_LOST


def test_every_job_completes_and_the_ill_worker_is_set_aside(tmp_path: Path) -> None:
    settings = {"STEMWRIGHT_WORKERS": "0", **SECRET}
    with (
        running(tmp_path / "data", settings) as service,
        worker_of(service, tmp_path / "ill", {"FAST_MODEL_ILL": "something is wrong here"}, celery=False),
        worker_of(service, tmp_path / "well", celery=False),
    ):
        client = service.client
        until(lambda: client.http.get("/health").json()["workers"] == 2, what="both workers")
        file_id = client.upload(wav())
        jobs = [client.submit(file_id, sleep=0.1 + number / 1000) for number in range(12)]
        for job_id in jobs:
            client.wait(file_id, job_id, "completed")
        assert client.http.get("/health").json()["workers_set_aside"] == 1
        assert "demucs_workers_set_aside 1.0" in client.http.get("/metrics").text
        command = [*COMMAND, "workers", "list", "--data-dir", str(service.data_dir)]
        listed = subprocess.run(
            command, env=environment(service.state, settings), capture_output=True, text=True, timeout=60
        ).stdout
        assert listed.count("set-aside=") == 1
        assert "code=crashed" in listed
        assert any(line["event"] == "worker_set_aside" for line in service.logged())


def test_a_worker_that_loses_its_gpu_leaves_and_the_job_is_not_charged(tmp_path: Path) -> None:
    settings = {"STEMWRIGHT_WORKERS": "0", "STEMWRIGHT_MAX_ATTEMPTS": "1", **SECRET}
    with running(tmp_path / "data", settings) as service:
        client = service.client
        file_id = client.upload(wav())
        lost = {"FAST_MODEL_ILL": "CUDA error: unspecified launch failure"}
        with worker_of(service, tmp_path / "ill", lost, celery=False) as ill:
            job_id = client.submit(file_id)
            until(lambda: f'"status": {GPU_LOST}' in ill.log.read_text(), what="the worker's process to end")
            assert client.job(file_id, job_id)["status"] == "queued"
            with worker_of(service, tmp_path / "well", celery=False):
                client.wait(file_id, job_id, "completed")
            said = [json.loads(line) for line in ill.log.read_text().splitlines() if line.startswith("{")]
            assert [line["restart_in"] for line in said if line["event"] == "worker_died"] == [30.0]
