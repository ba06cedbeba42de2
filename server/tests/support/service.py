"""A real service for tests: ``stemwright serve`` as a process, and a client that a caller could have written."""

from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx2

FAST_MODEL = Path(__file__).with_name("fast_model")
COMMAND = [
    sys.executable,
    "-m",
    "serve_command",
]  # beside this file; the engine's `stemwright` finds the same by entry point
T = TypeVar("T")
# What a developer may have set for a service of their own.
_OURS = (
    "DATABASE_URL",
    "BROKER_URL",
    "REDIS_",
    "STEMWRIGHT_",
    "JWT_",
    "DEMUCSSVC_",
    "API_",
    "WEBHOOK_",
    "SOURCE_",
    "PORT",
    "HOST",
)


def wav(seconds: float = 0.5, *, seed: int = 0, rate: int = 8000) -> bytes:
    """A mono wav file of noise; another one for each seed."""
    import random

    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(random.Random(seed).randbytes(2 * round(seconds * rate)))
    return data.getvalue()


def until(condition: Callable[[], T | None], *, seconds: float = 60.0, what: str = "the condition") -> T:
    """The first truthy value of ``condition``; AssertionError if none comes."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}; last seen: {value!r}"
        time.sleep(0.02)


def environment(state: Path, settings: Mapping[str, str]) -> dict[str, str]:
    """That of a service: the fast model on the path, quick sweeps, nothing inherited that changes it."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
    paths = [str(FAST_MODEL), str(FAST_MODEL.parent)]
    fast = {"STEMWRIGHT_ENV_FILE": ""}  # whatever lies in the folder of the tests
    fast |= {"STEMWRIGHT_SERVICES_PATH": ""}  # whichever services of the checkout have an environment
    fast |= {
        "STEMWRIGHT_MODELS": "gain",
        "STEMWRIGHT_PROBE": "wav",
        "STEMWRIGHT_DEVICE": "cpu",
    }  # whatever is installed
    quick = {"STEMWRIGHT_SWEEP_SECONDS": "0.2", "STEMWRIGHT_RETRY_SECONDS": "0.1", "STEMWRIGHT_MIN_FREE_BYTES": "0"}
    equal = {"STEMWRIGHT_WORKER_NICE": "0"}  # beside other tests, a worker that gives way to all of them gets nowhere
    return (
        inherited
        | fast
        | quick
        | equal
        | {"PYTHONPATH": os.pathsep.join(paths), "FAST_MODEL_STATE": str(state)}
        | dict(settings)
    )


class Client:
    """What a caller does, in the words of the studio dialect."""

    def __init__(self, url: str, token: str | None = None) -> None:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        self.http = httpx2.Client(base_url=url, trust_env=False, timeout=30.0, headers=headers)

    def announce(self, filename: str = "song.wav", **more: Any) -> httpx2.Response:
        return self.http.post("/upload", json={"filename": filename, **more})

    def put(self, url: str, data: bytes) -> httpx2.Response:
        return self.http.put(url, content=data, headers={"Authorization": ""})

    def upload(self, data: bytes, filename: str = "song.wav") -> str:
        """The file_id of an uploaded file."""
        announced = self.announce(filename, size=len(data))
        assert announced.status_code == 200, announced.text
        stored = self.put(announced.json()["upload_url"], data)
        assert stored.status_code == 201, stored.text
        return str(announced.json()["file_id"])

    def process(self, file_id: str, *, headers: Mapping[str, str] | None = None, **body: Any) -> httpx2.Response:
        return self.http.post("/process", json={"file_id": file_id, "model": "gain", **body}, headers=headers)

    def submit(self, file_id: str, **params: Any) -> str:
        """The job_id of a new job."""
        answer = self.process(file_id, params=params)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["job_id"])

    def status(self, file_id: str) -> Any:
        answer = self.http.get(f"/status/{file_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def job(self, file_id: str, job_id: str) -> Any:
        return next(job for job in self.status(file_id)["jobs"] if job["job_id"] == job_id)

    def wait(self, file_id: str, job_id: str, *states: str, seconds: float = 120.0) -> Any:
        """The job once it is in one of the states."""

        def there() -> Any:
            job = self.job(file_id, job_id)
            return job if job["status"] in states else None

        return until(there, seconds=seconds, what=f"job {job_id} to be {' or '.join(states)}")

    def wait_for_segment(self, file_id: str, job_id: str, segment: int = 1, *, seconds: float = 60.0) -> Any:
        """The job once that many segments are done."""

        def there() -> Any:
            job = self.job(file_id, job_id)
            return job if job["progress"]["segments_done"] >= segment else None

        return until(there, seconds=seconds, what=f"job {job_id} to reach segment {segment}")


class Service:
    """A running ``stemwright serve``."""

    def __init__(self, data_dir: Path, settings: Mapping[str, str], *arguments: str) -> None:
        self.data_dir = data_dir
        self.state = data_dir.parent / "state"
        self.state.mkdir(exist_ok=True)
        self.log = data_dir.parent / "serve.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "serve", "--port", "0", "--data-dir", str(data_dir), *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(self.state, settings),
                text=True,
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.fullmatch(r"Stemwright listens on (http://\S+)\n", line)
        assert found is not None, f"no service: {line!r}\n{self.log.read_text()}"
        self.url = found[1]
        self.client = Client(self.url)

    def workers(self) -> list[int]:
        """Process ids of its worker processes."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        return [int(pid) for pid in children]

    def kill(self) -> None:
        """As by the kernel: no goodbye."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """In good order; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(120)

    def files(self) -> list[str]:
        """Every file below the blobs and work folders, less parts of what is there on purpose."""
        roots = [self.data_dir / "blobs", self.data_dir / "work"]
        # os.walk does not mind a folder that is removed while it looks.
        found = [Path(folder, name) for root in roots for folder, _, names in os.walk(root) for name in names]
        return sorted(str(path.relative_to(self.data_dir)) for path in found)

    def stored(self) -> list[str]:
        """The same, of the blobs alone: a worker puts its files away after it has reported."""
        return [name for name in self.files() if name.startswith("blobs/")]

    def logged(self) -> list[dict[str, Any]]:
        """The lines of its log."""
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]


@contextmanager
def running(data_dir: Path, settings: Mapping[str, str] | None = None, *arguments: str) -> Iterator[Service]:
    """A service, ended at the end however the test went."""
    service = Service(data_dir, settings or {}, *arguments)
    try:
        yield service
    finally:
        if service.process.poll() is None:
            service.process.terminate()
            try:
                service.process.wait(20)
            except subprocess.TimeoutExpired:
                service.process.kill()
                service.process.wait()
        service.client.http.close()
        if service.process.stdout is not None:
            service.process.stdout.close()


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
