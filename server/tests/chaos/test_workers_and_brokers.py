"""Bars 1, 2, 7 and 12: workers killed in the middle of jobs, brokers killed and emptied, and what is left."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from backing import RabbitMQ, Redis
from chaos import LONG, PATIENCE, orphans, record, scaled
from elsewhere import SECRET, Worker, worker_of
from service import Service, running, until, wav

pytestmark = pytest.mark.chaos
LEASE = 5.0
SETTINGS = SECRET | {"STEMWRIGHT_LEASE_SECONDS": str(LEASE), "STEMWRIGHT_HEARTBEAT_SECONDS": "1"}
STUBBORN = {"STEMWRIGHT_MAX_ATTEMPTS": "50"}  # no job is given up for being hit again and again: all have to complete
FINAL = ("completed", "failed", "canceled")


@pytest.fixture(autouse=True)
def _no_process_is_left() -> Iterator[None]:
    yield
    until(lambda: not orphans(), seconds=30.0, what="no worker to be left without its parent")


class Watched:
    """The jobs of one song, and what became of them."""

    def __init__(self, service: Service, count: int) -> None:
        self._service = service
        self.file_id = service.client.upload(wav())
        # No two are equal work: else one would answer for both.
        self.jobs = [service.client.submit(self.file_id, segments=3, sleep=0.05 + i * 1e-6) for i in range(count)]
        self.ended: dict[str, str] = {}
        self.failed_over: list[float] = []  # seconds from a kill to the next attempt of what was killed

    def look(self) -> dict[str, Any]:
        """All jobs by id; AssertionError if one left a terminal state."""
        found = {job["job_id"]: job for job in self._service.client.status(self.file_id)["jobs"]}
        for job_id, state in self.ended.items():
            assert found[job_id]["status"] == state, "a terminal state changed"
        self.ended = {job_id: job["status"] for job_id, job in found.items() if job["status"] in FINAL}
        return found

    def over(self) -> bool:
        """Whether all have ended."""
        self.look()
        return len(self.ended) == len(self.jobs)

    def check(self) -> Counter[str]:
        """Nothing lost, nothing twice, and no file but those of completed jobs."""
        found = self.look()
        assert set(found) == set(self.jobs)
        outputs = [output["path"] for job in found.values() for output in job["outputs"]]
        assert len(outputs) == len(set(outputs)) == 2 * sum(job["status"] == "completed" for job in found.values())
        kept = [*outputs, f"outputs/{self.file_id}/metadata.json", f"uploads/{self.file_id}"]
        expected = sorted(f"blobs/{name}" for name in kept)
        until(lambda: self._service.files() == expected, seconds=120.0, what="only what is wanted to be left")
        return Counter(self.ended.values())


def storm(
    watched: Watched, kill: Callable[[], bool], *, at_most: int, also: Callable[[int], None] | None = None
) -> int:
    """Kill somebody who is at work every two seconds, until all jobs have ended. How often."""
    kills, deadline = 0, time.monotonic() + PATIENCE
    next_kill = time.monotonic() + 2.0
    while not watched.over():
        assert time.monotonic() < deadline, f"{len(watched.ended)} of {len(watched.jobs)} ended after {kills} kills"
        if kills < at_most and time.monotonic() >= next_kill and kill():
            kills += 1
            next_kill = time.monotonic() + 2.0
            if also is not None:
                also(kills)
        time.sleep(scaled(0.05, 0.5))  # a look is at all jobs at once
    return kills


def test_bars_1_and_12_workers_of_the_service_are_killed_at_work(tmp_path: Path) -> None:
    count = scaled(16, 500)
    with running(tmp_path / "data", SETTINGS | STUBBORN | {"STEMWRIGHT_WORKERS": "2"}) as service:
        watched = Watched(service, count)

        def kill() -> bool:
            started = {line["worker"]: line["pid"] for line in service.logged() if line["event"] == "worker_started"}
            at_work = [folder.parent.name for folder in (service.data_dir / "work").glob("*/*-*")]
            if not at_work:
                return False
            try:
                os.kill(started[random.choice(at_work)], signal.SIGKILL)
            except (KeyError, ProcessLookupError):
                return False
            return True

        began = time.monotonic()
        kills = storm(watched, kill, at_most=scaled(3, 10_000))
        ended = watched.check()
        assert ended == {"completed": count}
        record("1 embedded", jobs=count, kills=kills, ended=ended, seconds=round(time.monotonic() - began))


@pytest.mark.parametrize("kind", ["redis", "rabbitmq"])
def test_bars_1_2_and_12_celery_workers_and_their_broker_are_killed_at_work(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    broker: Redis | RabbitMQ = request.getfixturevalue(kind)
    settings = SETTINGS | STUBBORN | {"BROKER_URL": broker.url}
    count = scaled(10, 500)
    with running(tmp_path / "data", settings) as service, ExitStack() as stack:
        watched = Watched(service, count)
        workers: list[Worker] = [
            stack.enter_context(worker_of(service, tmp_path / f"w{number}", settings)) for number in range(2)
        ]

        def kill() -> bool:
            """The process with the model, or the whole worker, which is then started anew as by an init system."""
            at_work = [worker for worker in workers if worker.files()]
            if not at_work:
                return False
            worker = random.choice(at_work)
            if random.random() < 0.5:
                worker.kill_child()
            else:
                worker.kill()
                workers.remove(worker)
                workers.append(stack.enter_context(worker_of(service, worker.folder, settings)))
            return True

        def also(kills: int) -> None:
            if kills in scaled((1,), (10, 20)):
                broker.stop()
                broker.start()
            if kills == scaled(2, 15):
                broker.lose_everything()

        began = time.monotonic()
        kills = storm(watched, kill, at_most=scaled(2, 10_000), also=also)
        ended = watched.check()
        assert ended == {"completed": count}
        record(f"1 and 2 {kind}", jobs=count, kills=kills, ended=ended, seconds=round(time.monotonic() - began))
        for worker in workers:
            until(worker.children, seconds=240.0, what="a worker to be up")  # one may have been started just now
            assert worker.stop() == 0
            assert worker.files() == []


def _ready(service: Service, worker: Worker) -> bool:
    """Whether its child has asked for work: the service counts dead ones as well, for a while."""
    started = [json.loads(line) for line in worker.log.read_text().splitlines() if '"worker_started"' in line]
    with closing(sqlite3.connect(service.data_dir / "stemwright.db")) as db:
        known = {name for (name,) in db.execute("SELECT worker FROM workers")}
    return any(line["worker"] in known for line in started)


def test_bar_7_what_a_dead_worker_held_is_taken_over_in_time(tmp_path: Path) -> None:
    """Nobody is left to tell: parent and child are killed at once, on a machine that does not come back."""
    times = scaled(1, 20)
    taken: list[float] = []
    never_given_up = {"STEMWRIGHT_MAX_ATTEMPTS": "99", "STEMWRIGHT_RETRY_SECONDS": "0"}
    with running(tmp_path / "data", SETTINGS | never_given_up | {"STEMWRIGHT_WORKERS": "0"}) as service:
        client = service.client
        file_id = client.upload(wav())
        job_id = client.submit(file_id, segments=99_999, sleep=0.1)
        with ExitStack() as stack:

            def at(attempt: int) -> bool:
                return bool(client.job(file_id, job_id)["attempt"] == attempt)

            standby = [stack.enter_context(worker_of(service, tmp_path / f"w{n}", celery=False)) for n in range(2)]
            for number in range(times):
                until(lambda: all(_ready(service, worker) for worker in standby), seconds=240.0, what="two workers")
                until(partial(at, number + 1), what="the job to run")
                holder = until(lambda: [worker for worker in standby if worker.files()], what="its files")[0]
                began = time.monotonic()
                holder.kill()
                until(partial(at, number + 2), seconds=240.0, what="the next attempt")
                taken.append(time.monotonic() - began)
                standby.remove(holder)
                if number + 1 < times:
                    fresh = tmp_path / f"x{number}"
                    standby.append(stack.enter_context(worker_of(service, fresh, celery=False)))
            assert client.http.post(f"/jobs/{job_id}/cancel").status_code == 200
    worst = max(taken)
    assert worst <= (LEASE + 15.0 if LONG else PATIENCE)
    record("7", times=times, lease=LEASE, worst=round(worst, 2), median=round(sorted(taken)[len(taken) // 2], 2))
