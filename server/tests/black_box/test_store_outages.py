"""The object store is killed, takes no key or hangs, while jobs wait and run: each is late, and none is lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from chaos import record, scaled
from s3_server import ACCESS_KEY, S3Server
from service import Service, running, until, wav
from webserver import SETTINGS

pytestmark = pytest.mark.chaos
JOBS = scaled(10, 60)
ONE_TRY = {"STEMWRIGHT_MAX_ATTEMPTS": "1", "STEMWRIGHT_WORKERS": "2"}  # whatever is charged ends the job


class Store:
    """A store that can be ended and started again, with what it held and at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.server = S3Server(folder)
        self.server.bucket("songs")

    def kill(self) -> None:
        self.server.close()

    def start(self, **options: str) -> None:
        self.server = S3Server(self._folder, address=self.server.url.removeprefix("http://"), **options)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path / "store")
    yield store
    store.server.process.send_signal(signal.SIGCONT)
    store.kill()


@pytest.fixture
def service(store: Store, tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path / "data", store.server.settings("songs") | SETTINGS | ONE_TRY) as service:
        yield service


def submitted(service: Service, count: int) -> tuple[str, list[str]]:
    """A song, and jobs of it that differ."""
    song = wav(seed=count)
    announced = service.client.announce("song.wav", size=len(song)).json()
    assert httpx2.put(announced["upload_url"], content=song, trust_env=False).status_code == 200
    file_id = announced["file_id"]
    return file_id, [service.client.submit(file_id, segments=2, sleep=0.1 + number / 1000) for number in range(count)]


def states(service: Service, file_id: str) -> list[str]:
    return [job["status"] for job in service.client.status(file_id)["jobs"]]


def listed(service: Service) -> list[dict[str, object]]:
    found: list[dict[str, object]] = service.client.http.get("/api/jobs", params={"limit": 100}).json()["jobs"]
    return found


def health(service: Service) -> str:
    return str(service.client.http.get("/health").json()["status"])


@pytest.mark.parametrize(("how", "seconds"), [("killed", scaled(2.0, 60.0)), ("another key", scaled(2.0, 45.0))])
def test_an_outage_of_the_store_fails_no_job(store: Store, service: Service, how: str, seconds: float) -> None:
    file_id, _ = submitted(service, JOBS)
    until(lambda: "completed" in states(service, file_id), what="the first job")
    store.kill()
    if how == "another key":
        store.start(key=f"{ACCESS_KEY},another-key-of-the-same-account")
    until(lambda: health(service) == "store_away", what="health to say so")
    time.sleep(seconds)  # the length of the outage
    assert "failed" not in states(service, file_id)
    assert "completed" in states(service, file_id)
    if how == "another key":
        store.kill()
    store.start()
    back = time.monotonic()
    until(lambda: set(states(service, file_id)) == {"completed"}, seconds=300.0, what="every job")
    record(f"store {how}", jobs=JOBS, seconds=seconds, completed=JOBS, after=round(time.monotonic() - back, 1))
    assert health(service) == "ok"


def test_a_store_that_hangs_holds_up_no_status_and_no_health(store: Store, service: Service) -> None:
    file_id, _ = submitted(service, 4)
    uploads, worst = scaled(45, 45), 0.0

    def send(number: int) -> int:
        files = {"audio_file": (f"song {number}.wav", wav(seed=1000 + number))}
        return httpx2.post(f"{service.url}/api/upload", files=files, trust_env=False, timeout=600.0).status_code

    with ThreadPoolExecutor(uploads) as senders:
        store.server.process.send_signal(signal.SIGSTOP)
        sent = [senders.submit(send, number) for number in range(uploads)]
        until(lambda: health(service) == "store_away", seconds=120.0, what="health to say so")
        for _ in range(scaled(3, 60)):
            for path in ("/healthz", "/health", "/api/jobs"):
                asked = time.monotonic()
                assert service.client.http.get(path).status_code == 200
                worst = max(worst, time.monotonic() - asked)
            time.sleep(scaled(0.0, 0.5))
        store.server.process.send_signal(signal.SIGCONT)
        answers = [each.result() for each in sent]
    until(lambda: health(service) == "ok", what="the store to be back")
    record("store hangs", uploads=uploads, worst_answer=round(worst, 2), taken=answers.count(202))
    assert set(answers) <= {202, 503}  # who was sent away was told so
    until(lambda: set(states(service, file_id)) == {"completed"}, seconds=300.0, what="the jobs that waited")
    until(lambda: {job["status"] for job in listed(service)} == {"completed"}, seconds=300.0, what="the uploads' jobs")
    assert len(listed(service)) == answers.count(202)
