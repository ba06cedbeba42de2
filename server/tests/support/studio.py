"""The studio dialect over a service in this process, whose worker the test plays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jobs import ready
from starlette.testclient import TestClient
from world import SERVICE

from stemwright_server.domain.job import Job
from stemwright_server.domain.track import Track
from stemwright_server.settings import Settings
from stemwright_server.usecases.claim import claim
from stemwright_server.usecases.record import record
from stemwright_server.wiring.api import build_api
from stemwright_worker.contract.codec import described
from stemwright_worker.contract.tasks import ClaimRequest, Completed, Failed, Report, Task, UploadedFile


class Studio:
    """An API without a process; ``world.SERVICE`` is announced to it."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.api = build_api(Settings(data_dir=folder, **settings), me="m", worker_secret="s")
        self.deps = self.api.deps
        self.deps.planner.announce([SERVICE], described=described([SERVICE]), worker="w")
        self.http = TestClient(self.api.app)

    def song(self, name: str = "t", **changes: Any) -> Track:
        """A file that is here."""
        return ready(self.deps.repository, name, **({"owner": "anonymous"} | changes))

    def process(self, **body: Any) -> Any:
        answer = self.http.post("/process", json={"file_id": "t", "model": "m"} | body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def claimed(self) -> Task:
        task = claim(self.deps, ClaimRequest(worker="w", device="cpu", services=("m",), nonce="n"))
        assert task is not None
        return task

    def done(self, data: bytes = b"stem") -> Job:
        """A worker does the next job."""
        task = self.claimed()
        job = self.deps.repository.job(task.job_id)
        assert job is not None
        for output in task.outputs:
            self.deps.blobs.write(job.prefix(task.attempt) + output.filename, data)
        files = tuple(UploadedFile(name=each.name, size=len(data), sha256="0" * 64) for each in task.outputs)
        return self._reported(Completed(job_id=task.job_id, attempt=task.attempt, files=files))

    def failed(self) -> Job:
        """A worker cannot do the next job."""
        task = self.claimed()
        return self._reported(
            Failed(job_id=task.job_id, attempt=task.attempt, code="not_music", message="It is none.", retryable=False)
        )

    def _reported(self, report: Report) -> Job:
        assert record(self.deps, report).accepted
        job = self.deps.repository.job(report.job_id)
        assert job is not None
        return job
