"""What dies, when, and what is left: real processes, killed for real."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from backing import Postgres
from chaos import orphans, record
from elsewhere import SECRET, worker_of
from service import COMMAND, Service, alive, environment, running, until, wav

LONG = {"segments": 20, "sleep": 0.1}


def test_a_worker_killed_in_mid_job_is_replaced_and_the_job_completes_once(tmp_path: Path) -> None:
    with running(tmp_path / "data") as service:
        client = service.client
        file_id = client.upload(wav())
        job_id = client.submit(file_id, **LONG)
        client.wait_for_segment(file_id, job_id)
        (worker,) = service.workers()
        os.kill(worker, signal.SIGKILL)
        job = client.wait(file_id, job_id, "completed")
        assert job["attempt"] == 2
        assert not alive(worker)
        _only_the_winner_is_left(service, job)


def test_the_whole_tree_killed_in_mid_job_loses_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "data") as service:
        client = service.client
        file_id, waiting = client.upload(wav()), client.upload(wav(seed=1))
        job_id, waiting_job = client.submit(file_id, **LONG), client.submit(waiting)
        client.wait_for_segment(file_id, job_id)
        (worker,) = service.workers()
        service.kill()
        until(lambda: not alive(worker), what="the worker to die with its parent")
    with running(tmp_path / "data") as service:
        client = service.client
        job = client.wait(file_id, job_id, "completed")
        assert job["attempt"] == 2
        assert client.wait(waiting, waiting_job, "completed")["attempt"] == 1
        assert client.process(file_id, params=LONG).json() == {"job_id": job_id, "status": "completed", "skipped": True}
        _only_the_winner_is_left(service, job, besides=waiting)


@pytest.mark.chaos
def test_a_job_that_kills_its_worker_fails_after_three_attempts_and_others_go_on(tmp_path: Path) -> None:
    with running(tmp_path / "data") as service:
        client = service.client
        bad, good = client.upload(wav()), client.upload(wav(seed=1))
        bad_job = client.submit(bad, crash=99)
        good_job = client.submit(good)
        assert client.wait(good, good_job, "completed")["attempt"] == 1
        job = client.wait(bad, bad_job, "failed")
        assert job["attempt"] == 3
        assert job["error"]["code"] == "worker_lost"
        assert not [name for name in service.files() if f"outputs/{bad}" in name]
        record("8", attempts=job["attempt"], job=job["status"], other="completed")


@pytest.mark.chaos
def test_sigterm_gives_the_running_job_back_uncharged_and_ends_everything(tmp_path: Path) -> None:
    settings = {"STEMWRIGHT_MAX_ATTEMPTS": "1"}  # one charged attempt would fail the job
    with running(tmp_path / "data", settings) as service:
        client = service.client
        file_id = client.upload(wav())
        job_id = client.submit(file_id, **LONG)
        client.wait_for_segment(file_id, job_id)
        (worker,) = service.workers()
        assert service.stop() == 0
        assert not alive(worker)
        assert not list((tmp_path / "data" / "work").glob("*"))
    with running(tmp_path / "data", settings) as service:
        job = service.client.wait(file_id, job_id, "completed")
        assert job["attempt"] == 2
        _only_the_winner_is_left(service, job)


def test_a_stream_and_a_waiting_worker_do_not_hold_up_the_end(tmp_path: Path) -> None:
    with running(tmp_path / "data") as service:
        file_id = service.client.upload(wav())
        with service.client.http.stream("GET", f"/events/{file_id}"):
            assert service.stop() == 0


@pytest.mark.chaos
def test_a_zombie_worker_past_its_lease_is_not_believed(tmp_path: Path) -> None:
    settings = {
        "STEMWRIGHT_LEASE_SECONDS": "5",
        "STEMWRIGHT_HEARTBEAT_SECONDS": "0.5",
        "STEMWRIGHT_WORKERS": "2",
    }
    with running(tmp_path / "data", settings) as service:
        client = service.client
        until(lambda: client.http.get("/health").json()["workers"] == 2, what="two workers")
        file_id = client.upload(wav())
        job_id = client.submit(file_id, **LONG)
        client.wait_for_segment(file_id, job_id)
        zombie = _worker_of(service, job_id)
        os.kill(zombie, signal.SIGSTOP)
        until(lambda: client.job(file_id, job_id)["attempt"] == 2, what="another worker to take over")
        os.kill(zombie, signal.SIGCONT)
        job = client.wait(file_id, job_id, "completed")
        assert job["attempt"] == 2
        _only_the_winner_is_left(service, job)
        assert alive(zombie)  # it gave up the attempt, not itself
        record("6", attempts=2, believed=job["attempt"])


def test_cancel_stops_a_running_job_and_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path / "data") as service:
        client = service.client
        file_id = client.upload(wav())
        job_id = client.submit(file_id, segments=1000, sleep=0.1)
        client.wait_for_segment(file_id, job_id)
        (worker,) = service.workers()
        answer = client.http.post(f"/jobs/{job_id}/cancel")
        assert answer.json() == {"job_id": job_id, "status": "canceled"}
        assert client.http.post(f"/jobs/{job_id}/cancel").status_code == 200  # again changes nothing
        until(lambda: not list((service.data_dir / "work").glob("*/*")), what="the attempt to stop")
        assert client.job(file_id, job_id)["status"] == "canceled"
        assert service.workers() == [worker]  # the worker itself goes on
        after = client.submit(file_id)
        client.wait(file_id, after, "completed")
        refused = client.http.post(f"/jobs/{after}/cancel")
        assert (refused.status_code, refused.json()["code"]) == (409, "already_final")


def test_an_attempt_over_its_time_is_ended_even_if_the_model_is_deaf(tmp_path: Path) -> None:
    settings = {
        "STEMWRIGHT_JOB_SECONDS": "5",
        "STEMWRIGHT_HEARTBEAT_SECONDS": "0.2",
        "STEMWRIGHT_STOP_SECONDS": "0.5",
    }
    with running(tmp_path / "data", settings) as service:
        client = service.client
        file_id = client.upload(wav())
        (worker,) = until(service.workers, what="a worker")
        job_id = client.submit(file_id, deaf=600.0)
        job = client.wait(file_id, job_id, "failed")
        assert job["error"]["code"] == "timeout"
        until(lambda: not alive(worker), what="the deaf worker to be ended")
        after = client.submit(file_id)
        assert client.wait(file_id, after, "completed")["attempt"] == 1


def test_a_passing_fault_is_tried_again_and_a_lasting_one_is_not(tmp_path: Path) -> None:
    with running(tmp_path / "data") as service:
        client = service.client
        file_id = client.upload(wav())
        unlucky = client.wait(file_id, client.submit(file_id, fail_retryable=2), "completed")
        assert (unlucky["attempt"], unlucky["error"]) == (3, None)
        hopeless = client.wait(file_id, client.submit(file_id, fail="not_music"), "failed")
        assert (hopeless["attempt"], hopeless["error"]["code"]) == (1, "not_music")
        assert hopeless["error"]["message"] == "song.wav was to fail."
        broken = client.wait(file_id, client.submit(file_id, **{"raise": True}), "failed")
        assert (broken["attempt"], broken["error"]["code"]) == (3, "crashed")
        assert "ZeroDivisionError" in broken["error"]["message"]
        liar = client.wait(file_id, client.submit(file_id, forget=True), "failed")
        assert (liar["attempt"], liar["error"]["code"]) == (1, "wrong_result")
        until(lambda: not list((service.data_dir / "work").glob("*/*")), what="its files to go")


@pytest.mark.parametrize(
    "params",
    [{"spill": 3_000_000}, {"spill": 3_000_000, "deaf": 600.0}, {"segments": 1}],
    ids=["in a model that listens", "in a deaf one", "by the stems alone"],
)
def test_a_job_over_the_cap_on_the_disk_fails_and_leaves_nothing(tmp_path: Path, params: dict[str, Any]) -> None:
    settings = {"STEMWRIGHT_WORK_BYTES": "2000000", "STEMWRIGHT_STOP_SECONDS": "0.5"}
    with running(tmp_path / "data", settings) as service:
        client = service.client
        large, small = client.upload(wav(50.0)), client.upload(wav(seed=1))  # 800 kB; each stem as much as the mix
        job = client.wait(large, client.submit(large, **params), "failed", seconds=60.0)
        assert (job["attempt"], job["error"]["code"]) == (1, "work_folder_full")
        assert "at most 2000000" in job["error"]["message"]
        until(lambda: not list((service.data_dir / "work").glob("*/*")), what="its files to go")
        assert client.wait(small, client.submit(small), "completed", seconds=60.0)["attempt"] == 1


def test_a_second_service_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with running(tmp_path / "data") as service:
        second = subprocess.run(
            [*COMMAND, "serve", "--port", "0", "--data-dir", str(tmp_path / "data")],
            env=environment(tmp_path, {}),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert second.returncode == 2
        assert second.stdout == ""
        assert second.stderr.startswith("stemwright: error: ")
        assert f"process {service.process.pid}" in second.stderr
        assert service.client.http.get("/health").status_code == 200


def test_a_worker_elsewhere_takes_jobs_and_gives_back_on_sigterm(tmp_path: Path) -> None:
    secret = {"STEMWRIGHT_WORKER_SECRET": "s" * 32}
    with running(tmp_path / "data", secret | {"STEMWRIGHT_WORKERS": "0", "STEMWRIGHT_MAX_ATTEMPTS": "1"}) as service:
        client = service.client
        file_id = client.upload(wav())
        job_id = client.submit(file_id, **LONG)
        first = _worker(tmp_path, service.url, secret)
        client.wait_for_segment(file_id, job_id)
        first.terminate()
        assert first.wait(120) == 0
        assert client.job(file_id, job_id)["status"] == "queued"
        second = _worker(tmp_path, service.url, secret)
        assert client.wait(file_id, job_id, "completed")["attempt"] == 2
        second.terminate()  # this time out of the wait for a task
        assert second.wait(120) == 0
        assert not list(tmp_path.glob("stemwright-worker-*"))


def test_a_model_that_lets_no_thread_run_is_ended_by_the_parent(tmp_path: Path) -> None:
    """Its own watch cannot run, and neither its reports; after the lease the job is another worker's."""
    limits = {"STEMWRIGHT_JOB_SECONDS": "5", "STEMWRIGHT_STOP_SECONDS": "0.5", "STEMWRIGHT_LEASE_SECONDS": "6"}
    settings = SECRET | limits | {"STEMWRIGHT_HEARTBEAT_SECONDS": "0.5", "STEMWRIGHT_MAX_ATTEMPTS": "1"}
    with (
        running(tmp_path / "data", settings | {"STEMWRIGHT_WORKERS": "0"}) as service,
        worker_of(service, tmp_path / "w", settings, celery=False) as worker,
    ):
        client = service.client
        file_id = client.upload(wav())
        (child,) = until(worker.children, what="a worker")
        job_id = client.submit(file_id, hold=3600)
        assert client.wait(file_id, job_id, "failed", seconds=60.0)["error"]["code"] == "worker_lost"
        assert alive(child)  # as far as the kernel can see it works
        until(lambda: not alive(child), seconds=120.0, what="the parent to end it")
        assert "worker_ran_away" in worker.log.read_text()
        after = client.submit(file_id)
        assert client.wait(file_id, after, "completed", seconds=120.0)["attempt"] == 1


def test_a_worker_with_a_wrong_secret_gets_nothing(tmp_path: Path) -> None:
    settings = {"STEMWRIGHT_WORKER_SECRET": "s" * 32, "STEMWRIGHT_WORKERS": "0"}
    with running(tmp_path / "data", settings) as service:
        file_id = service.client.upload(wav())
        job_id = service.client.submit(file_id)
        worker = _worker(tmp_path, service.url, {"STEMWRIGHT_WORKER_SECRET": "t" * 32})
        log = tmp_path / "worker.log"
        until(lambda: "bad_signature" in log.read_text(), what="the refusal")
        worker.terminate()
        worker.wait(120)
        assert service.client.job(file_id, job_id)["status"] == "queued"


@pytest.fixture(autouse=True)
def _no_process_outlives_its_test() -> Iterator[None]:
    yield
    # Other tests may be killing their own services at this moment: theirs go, too, but within a moment.
    until(lambda: not orphans(), what="no worker to be left without its parent")


def _worker(tmp_path: Path, url: str, secret: dict[str, str]) -> subprocess.Popen[bytes]:
    (tmp_path / "state").mkdir(exist_ok=True)
    with (tmp_path / "worker.log").open("ab") as log:
        return subprocess.Popen(
            [*COMMAND, "worker", "--api", url, "--work-dir", str(tmp_path)],
            env=environment(tmp_path / "state", secret),
            stderr=log,
        )


def _worker_of(service: Service, job_id: str) -> int:
    """The process that runs the job."""
    (folder,) = (service.data_dir / "work").glob(f"*/{job_id}-*")
    started = {line["worker"]: line["pid"] for line in service.logged() if line["event"] == "worker_started"}
    return int(started[folder.parent.name])


def _only_the_winner_is_left(service: Service, job: dict[str, Any], *, besides: str = "no such name") -> None:
    """Uploads, the winning attempt's outputs and metadata.json, once the worker has put its tools away."""
    outputs = [f"blobs/{output['path']}" for output in job["outputs"]]
    file_id = job["file_id"]
    expected = sorted([*outputs, f"blobs/outputs/{file_id}/metadata.json", f"blobs/uploads/{file_id}"])
    until(
        lambda: [name for name in service.files() if besides not in name] == expected,
        what=f"only {expected} to be left",
    )


# Several API processes over one PostgreSQL


def test_two_services_over_one_database_share_jobs_workers_and_events(tmp_path: Path, postgres: Postgres) -> None:
    """What is asked of one is done by the other's worker, and heard of at the first at once."""
    shared = {"DATABASE_URL": postgres.database(), "STEMWRIGHT_LEASE_SECONDS": "30"}
    data = tmp_path / "data"
    with (
        running(data, shared | {"STEMWRIGHT_WORKERS": "0"}) as first,
        running(data, shared | {"STEMWRIGHT_WORKERS": "1"}) as second,
    ):
        until(lambda: first.client.http.get("/health").json()["workers"] == 1, what="the other's worker to be seen")
        file_id = first.client.upload(wav())
        with first.client.http.stream("GET", f"/events/{file_id}") as events:
            lines = events.iter_lines()
            job_id = first.client.submit(file_id)
            until(lambda: "event: completed" in next(lines), what="the end to be heard of")
        job = second.client.job(file_id, job_id)
        assert job["attempt"] == 1
        _only_the_winner_is_left(second, job)


def test_a_service_killed_beside_another_loses_nothing_and_what_it_left_goes(
    tmp_path: Path, postgres: Postgres
) -> None:
    shared = {"DATABASE_URL": postgres.database()}
    quick = {"STEMWRIGHT_LEASE_SECONDS": "6", "STEMWRIGHT_HEARTBEAT_SECONDS": "1"}
    data = tmp_path / "data"
    with running(data, shared | quick) as first:
        file_id = first.client.upload(wav())
        job_id = first.client.submit(file_id, segments=9999, sleep=0.1)
        first.client.wait_for_segment(file_id, job_id)
        with running(data, shared | quick) as second:
            assert second.client.job(file_id, job_id)["attempt"] == 1  # starting beside it took nothing away
            first.kill()
            until(lambda: second.client.job(file_id, job_id)["attempt"] == 2, what="the other's worker to take over")
        with running(data, shared | quick | {"STEMWRIGHT_WORKERS": "0"}) as third:
            assert third.client.http.post(f"/jobs/{job_id}/cancel").status_code == 200
            until(lambda: third.files() == [f"blobs/uploads/{file_id}"], what="only the upload to be left")


def test_a_worker_that_dies_while_the_database_is_away_is_replaced(tmp_path: Path, postgres: Postgres) -> None:
    quick = {"STEMWRIGHT_LEASE_SECONDS": "3", "STEMWRIGHT_HEARTBEAT_SECONDS": "1"}
    with running(tmp_path / "data", quick | {"DATABASE_URL": postgres.database()}) as service:
        client = service.client
        file_id = client.upload(wav())
        job_id = client.submit(file_id, **LONG)
        client.wait_for_segment(file_id, job_id)
        (worker,) = service.workers()
        postgres.stop()
        try:
            os.kill(worker, signal.SIGKILL)
            said = {"event": "leave_failed", "error": "The job store cannot be reached; try again."}
            until(lambda: [line for line in service.logged() if said.items() <= line.items()], what="it to be said")
        finally:
            postgres.start()
        until(service.workers, seconds=60.0, what="another worker")
        assert client.wait(file_id, job_id, "completed", seconds=120.0)["attempt"] == 2


def test_a_database_that_goes_away_fails_requests_and_nothing_else(tmp_path: Path, postgres: Postgres) -> None:
    with running(tmp_path / "data", {"DATABASE_URL": postgres.database()}) as service:
        client = service.client
        file_id = client.upload(wav())
        job_id = client.submit(file_id, **LONG)
        client.wait_for_segment(file_id, job_id)
        postgres.stop()
        try:
            refused = client.process(file_id)
            assert (refused.status_code, refused.json()["code"]) == (503, "database_unreachable")
            assert "Retry-After" in refused.headers
        finally:
            postgres.start()
        assert client.wait(file_id, job_id, "completed", seconds=60.0)["attempt"] == 1
