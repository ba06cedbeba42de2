"""The bars about webhooks: a receiver that fails in every way, kills in between, and a job that is called off."""

from __future__ import annotations

import random
import sqlite3
import time
from collections import Counter
from contextlib import closing
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from threading import Event, Lock
from typing import Any

import pytest
from backing import Postgres
from chaos import LONG, PATIENCE, record, scaled
from origin import Origin, body
from service import Service, running, until, wav
from track_tree import TOKEN, Backend, Received, Receiver, status

pytestmark = pytest.mark.chaos
JOBS = scaled(25, 500)
PATIENT = {"STEMWRIGHT_WEBHOOK_SECONDS": "60"}  # where an answer that is late would be one more request


class Faulty:
    """Answers 30 % with 5xx, lets 10 % time out, hangs up on 10 % after taking them; an effect for each new id."""

    def __init__(self) -> None:
        self.effects: Counter[str] = Counter()
        self.bodies: dict[str, set[bytes]] = {}
        self.kinds: Counter[str] = Counter()
        self.over = Event()
        self._lock = Lock()
        self._chance = random.Random(7)

    def __call__(self, handler: BaseHTTPRequestHandler, received: Received) -> None:
        received.check()
        with self._lock:
            roll = self._chance.random()
            kind = "5xx" if roll < 0.3 else "silence" if roll < 0.4 else "reset" if roll < 0.5 else "taken"
            self.kinds[kind] += 1
            self.bodies.setdefault(received.id, set()).add(received.body)
            if kind in ("reset", "taken") and received.id not in self.effects:
                self.effects[received.id] += 1
        if kind == "5xx":
            status(503)(handler, received)
        elif kind == "silence":
            self.over.wait(60.0)
        elif kind == "reset":
            handler.connection.close()
        else:
            status(200)(handler, received)


def settings(receiver: Receiver, store: Origin, **more: str) -> dict[str, str]:
    return {
        "DEMUCSSVC_TOKEN": TOKEN,
        "API_WEBHOOK_URL_ALLOWLIST": receiver.url,
        "SOURCE_ORIGIN_ALLOWLIST": store.url,
        "STEMWRIGHT_WEBHOOK_SECONDS": "2",
        "STEMWRIGHT_WEBHOOK_RETRY_SECONDS": "0.002",
        **more,
    }


def test_bar_5_a_receiver_that_fails_half_the_time_gets_every_webhook_and_one_effect_of_each(
    tmp_path: Path, store: Origin
) -> None:
    """And the service is killed while it sends: what was under way is sent again, as the same webhook."""
    faulty = Faulty()
    with Receiver(faulty) as receiver:
        given = settings(receiver, store, STEMWRIGHT_WORKERS="0")
        jobs: set[str] = set()
        for _ in range(2):  # killed once in between
            with running(tmp_path / "data", given) as service:
                backend = Backend(service.url)
                for number in range(len(jobs), len(jobs) + (JOBS + 1) // 2):
                    fields: dict[str, Any] = {
                        "versionId": f"v{number}",
                        "audioUrl": f"{store.url}/a.wav",
                        "aiModel": "half",
                    }
                    jobs.add(backend.split(webhook=receiver.url, **fields).json()["jobId"])
                for job_id in jobs:
                    backend.cancel(job_id)
                if len(jobs) < JOBS:
                    until(lambda: faulty.effects, what="the first webhooks")
                    service.kill()
                    continue
                _wait_for_all(service, faulty, jobs)
        faulty.over.set()
        receiver.shutdown()
    assert set(faulty.effects) == {f"msg_{job_id}" for job_id in jobs}
    assert set(faulty.effects.values()) == {1}
    assert {len(bodies) for bodies in faulty.bodies.values()} == {1}  # the same bytes in every try
    assert {"5xx", "silence", "reset", "taken"} == set(faulty.kinds)
    record("5", webhooks=JOBS, tries=sum(faulty.kinds.values()), answers=dict(faulty.kinds), effects_each=1)


def test_two_services_over_one_database_send_each_webhook_once(
    tmp_path: Path, store: Origin, postgres: Postgres
) -> None:
    """Each asks the same outbox at the same time; a row is leased to one of them."""
    with Receiver() as receiver:
        given = settings(receiver, store, STEMWRIGHT_WORKERS="0", DATABASE_URL=postgres.database(), **PATIENT)
        folders = [tmp_path / name for name in ("one", "two")]
        for folder in folders:
            folder.mkdir()
        with running(folders[0] / "data", given) as one, running(folders[1] / "data", given) as two:
            services = (one, two)
            backends = [Backend(service.url) for service in services]
            jobs = []
            for number in range(2 * JOBS):
                fields: dict[str, Any] = {
                    "versionId": f"v{number}",
                    "audioUrl": f"{store.url}/a.wav",
                    "aiModel": "half",
                }
                answer = backends[number % 2].split(webhook=receiver.url, **fields)
                jobs.append(answer.json()["jobId"])
            for number, job_id in enumerate(jobs):
                cancel = backends[number // 2 % 2].cancel(job_id)
                assert cancel.status_code == 200, cancel.text
            until(lambda: sum(map(_delivered, services)) == len(jobs), seconds=PATIENCE, what="every webhook")
            by_each = [_delivered(service) for service in services]
            came = Counter(received.id for received in receiver.received)
        receiver.shutdown()
    assert came == {f"msg_{job_id}": 1 for job_id in jobs}
    assert min(by_each) > 0
    record("5, two services", webhooks=len(jobs), by_each=by_each, requests=sum(came.values()))


def _delivered(service: Service) -> int:
    """How many webhooks it says to have brought."""
    tried = [line for line in service.logged() if line["event"] == "webhook_tried"]
    return sum(line["state"] == "delivered" for line in tried)


def _wait_for_all(service: Service, faulty: Faulty, jobs: set[str]) -> None:
    expected = {f"msg_{job_id}" for job_id in jobs}
    until(lambda: expected <= set(faulty.effects), seconds=PATIENCE, what="every webhook")
    # The store says it, not the log: a kill may come between what is written down and the line about it.
    with closing(sqlite3.connect(service.data_dir / "stemwright.db")) as db:
        states = "SELECT state, count(*) FROM deliveries GROUP BY state"
        all_delivered = [("delivered", len(jobs))]
        until(lambda: db.execute(states).fetchall() == all_delivered, seconds=PATIENCE, what="each to be delivered")


def test_bar_10_a_running_job_that_is_called_off_stops_soon_and_tells_once(tmp_path: Path, store: Origin) -> None:
    store.answers["/a.wav"] = body(wav())
    slow = PATIENT | {"FAST_MODEL_DEFAULTS": '{"segments": 2000, "sleep": 0.05}'}
    with Receiver() as receiver, running(tmp_path / "data", settings(receiver, store, **slow)) as service:
        backend = Backend(service.url)
        fields: dict[str, Any] = {
            "versionId": "v1",
            "audioUrl": f"{store.url}/a.wav",
            "aiModel": "half",
            "webhook": receiver.url,
        }
        job_id = backend.split(**fields).json()["jobId"]

        def stopped() -> bool:
            lines = [line for line in service.logged() if line.get("job_id") == job_id]
            return any(line["event"] == "attempt_stopped" for line in lines)

        until(lambda: _separating(service.logged(), job_id), what="the job to run")
        began = time.monotonic()
        assert backend.cancel(job_id).json()["status"] == "canceled"
        until(stopped, what="the worker to stop")
        seconds = time.monotonic() - began
        assert seconds <= (5.0 if LONG else PATIENCE)
        until(lambda: receiver.of(job_id), what="the webhook")
        time.sleep(1.0)  # for a second one, which must not come
        (told,) = receiver.of(job_id)
        told.check()
        document = told.json()
        assert (document["status"], document["stems"], document["error"]) == ("canceled", [], "The job was canceled.")
        until(lambda: not [name for name in service.files() if job_id in name], what="nothing to be left")
        record("10", stopped_after_seconds=round(seconds, 2), webhooks=1)
        receiver.shutdown()


def _separating(lines: list[dict[str, object]], job_id: str) -> bool:
    return any(line["event"] == "claimed" and line.get("job_id") == job_id for line in lines)
