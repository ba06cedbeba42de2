"""Bars 3, 9 and 11: the service killed and stopped, and its disk full."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import httpx2
import pytest
from backing import Redis
from chaos import LONG, PATIENCE, record, scaled
from elsewhere import SECRET, worker_of
from service import Service, running, until, wav
from track_tree import TOKEN, Backend

pytestmark = pytest.mark.chaos
HOOK = "https://api.track-tree.com/webhooks/demucs"
GRACE = 10.0  # seconds: STEMWRIGHT_STOP_SECONDS, if nothing is said


def test_bar_3_every_job_that_was_accepted_ends_however_often_the_api_is_killed(tmp_path: Path) -> None:
    kills = scaled(2, 20)
    accepted: list[str] = []
    file_id = ""

    def submit(service: Service) -> None:
        """As fast as it goes, until the service is gone."""
        with suppress(httpx2.HTTPError):
            while True:
                number = len(accepted)
                accepted.append(service.client.submit(file_id, segments=2, sleep=0.01 + number * 1e-6))
                time.sleep(0.1)

    for _ in range(kills):
        with running(tmp_path / "data") as service:
            file_id = file_id or service.client.upload(wav())
            enough = len(accepted) + 5
            caller = Thread(target=submit, args=(service,))
            caller.start()
            until(partial(_has, accepted, enough), seconds=120.0, what="some jobs to be accepted")
            service.kill()
            caller.join()
    with running(tmp_path / "data") as service:

        def ended() -> bool:
            jobs = {job["job_id"]: job["status"] for job in service.client.status(file_id)["jobs"]}
            return all(jobs[job_id] in ("completed", "failed") for job_id in accepted)

        until(ended, seconds=PATIENCE, what="all accepted jobs to end")
        states = [job["status"] for job in service.client.status(file_id)["jobs"]]
    assert len(set(accepted)) == len(accepted)
    record("3", kills=kills, accepted=len(accepted), completed=states.count("completed"), failed=states.count("failed"))


def _has(found: list[str], count: int) -> bool:
    return len(found) >= count


def test_bar_9_a_service_told_to_stop_gives_back_at_once(tmp_path: Path) -> None:
    took: list[float] = []
    for _ in range(scaled(1, 10)):
        with running(tmp_path / "data", {"STEMWRIGHT_MAX_ATTEMPTS": "1"}) as service:
            client = service.client
            file_id = client.upload(wav(seed=len(took)))
            job_id = client.submit(file_id, segments=9999, sleep=0.1)
            client.wait_for_segment(file_id, job_id)
            began = time.monotonic()
            assert service.stop() == 0
            took.append(time.monotonic() - began)
        with running(tmp_path / "data", {"STEMWRIGHT_WORKERS": "0"}) as service:
            job = service.client.job(file_id, job_id)
            assert (job["status"], job["error"]) == ("queued", None)
            assert service.client.http.post(f"/jobs/{job_id}/cancel").status_code == 200
    assert max(took) <= (GRACE if LONG else PATIENCE)
    record("9", times=len(took), worst=round(max(took), 2))


@pytest.mark.parametrize("celery", [False, True], ids=["stemwright worker", "celery worker"])
def test_bar_9_a_worker_told_to_stop_is_out_in_time_and_its_job_queued_again_at_once(
    celery: bool, tmp_path: Path, redis: Redis
) -> None:
    settings = SECRET | {"STEMWRIGHT_MAX_ATTEMPTS": "1", "STEMWRIGHT_WORKERS": "0"}  # one charged attempt would fail it
    settings |= {"BROKER_URL": redis.url} if celery else {}
    requeued, gone = [], []
    with running(tmp_path / "data", settings) as service:
        client = service.client
        file_id = client.upload(wav())
        job_id = client.submit(file_id, segments=9999, sleep=0.1)
        for attempt in range(1, scaled(1, 10) + 1):
            with worker_of(service, tmp_path / "w", settings, celery=celery) as worker:
                client.wait_for_segment(file_id, job_id, seconds=240.0)
                began = time.monotonic()
                worker.process.terminate()
                job = client.wait(file_id, job_id, "queued", seconds=PATIENCE)
                requeued.append(time.monotonic() - began)
                assert (job["attempt"], job["error"]) == (attempt, None)
                assert worker.process.wait(PATIENCE) == 0
                gone.append(time.monotonic() - began)
                assert worker.files() == []
        assert client.http.post(f"/jobs/{job_id}/cancel").status_code == 200
    assert max(requeued) <= (5.0 if LONG else PATIENCE)
    assert max(gone) <= (GRACE if LONG else PATIENCE)
    kind = "celery" if celery else "stemwright"
    figures = {"requeued_after": round(max(requeued), 2), "gone_after": round(max(gone), 2)}
    record(f"9 {kind} worker", times=len(gone), **figures)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of its own."""
    folder.mkdir()
    if os.geteuid() != 0:
        pytest.skip("a small file system can be mounted by root only")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("this machine lets nobody mount a file system")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_bar_11_a_full_disk_is_said_and_survived(tmp_path: Path) -> None:
    settings = {"STEMWRIGHT_MIN_FREE_BYTES": "0", "DEMUCSSVC_TOKEN": TOKEN}  # the hardest: nothing is kept back
    asked: dict[str, Any] = {
        "versionId": "v",
        "audioUrl": "https://example.com/a.wav",
        "aiModel": "half",
        "webhook": HOOK,
    }
    with small_disk(tmp_path / "disk", 32) as disk, running(disk / "data", settings) as service:  # with its log
        client = service.client
        before = client.upload(wav(seed=1))
        first = client.submit(before)
        client.wait(before, first, "completed")
        running_job = client.submit(
            before, segments=240, sleep=0.05
        )  # longer than the disk takes to be full and to refuse
        client.wait_for_segment(before, running_job)
        ballast = disk / "ballast"
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1 << 16))
        refused = client.announce(size=1 << 20)
        assert (refused.status_code, refused.json()["code"]) == (507, "insufficient_storage")
        assert client.process(before, params={"segments": 5}).status_code == 507
        answer = Backend(service.url).split(**asked)
        assert (answer.status_code, answer.json()["code"]) == (507, "insufficient_storage")
        assert client.http.get("/health").status_code == 200
        ballast.unlink()
        until(lambda: client.announce(size=1 << 20).status_code == 200, seconds=60.0, what="room to be seen again")
        after = client.upload(wav(seed=2))
        client.wait(after, client.submit(after), "completed", seconds=120.0)
        state = until(
            lambda: (job := client.job(before, running_job))["status"] in ("completed", "failed") and job["status"],
            seconds=120.0,
            what="the job that ran meanwhile to end",
        )
        for job in client.status(before)["jobs"]:
            for output in job["outputs"]:
                data = (service.data_dir / "blobs" / output["path"]).read_bytes()
                assert hashlib.sha256(data).hexdigest() == output["sha256"]
        record("11", in_flight=state)
