"""A caller of the upload API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx2
from service import Service, until

SETTINGS = {"STEMWRIGHT_WEBSERVER_MODEL": "half", "STEMWRIGHT_WEBSERVER_FORMAT": "wav"}  # what the fast model has


class Uploader:
    """What a page or a script does."""

    def __init__(self, service: Service, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx2.Client(base_url=service.url, trust_env=False, timeout=60.0, headers=headers)

    def upload(self, data: bytes, filename: str = "song.wav", **fields: Any) -> httpx2.Response:
        return self.http.post("/api/upload", files={"audio_file": (filename, data)}, data=fields)

    def job(self, data: bytes, filename: str = "song.wav", **fields: Any) -> str:
        """The id of a new job."""
        answer = self.upload(data, filename, **fields)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["job_id"])

    def status(self, job_id: str) -> Any:
        answer = self.http.get(f"/api/status/{job_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def wait(self, job_id: str, *states: str, seconds: float = 60.0) -> Any:
        """The job once it is in one of the states."""

        def there() -> Any:
            job = self.status(job_id)
            return job if job["status"] in (states or ("completed",)) else None

        return until(there, seconds=seconds, what=f"job {job_id} to be {' or '.join(states) or 'completed'}")

    def gone(self, job_id: str) -> None:
        """Wait until the job is unknown."""

        def unknown() -> bool:
            return self.http.get(f"/api/status/{job_id}").status_code == 404

        until(unknown, what=f"job {job_id} to be removed")

    def download(self, job_id: str, headers: Mapping[str, str] | None = None, **query: str) -> httpx2.Response:
        return self.http.get(f"/api/download/{job_id}", headers=headers, params=query)
