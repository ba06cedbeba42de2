"""Rows that a newer version wrote, whose process runs beside this one: read as far as they are known, and left as they are."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from jobs import done, job, ready
from sqlalchemy import Engine, Table, make_url, select, update

from stemwright_server.adapters.jobs.postgres import postgres_engine
from stemwright_server.adapters.jobs.sql import SqlJobRepository
from stemwright_server.adapters.jobs.sqlite import sqlite_engine
from stemwright_server.adapters.jobs.tables import attempts, deliveries, jobs, tracks, workers
from stemwright_server.domain.delivery import DeliveryState
from stemwright_server.domain.job import Job, JobError, JobOptions, JobState, Outcome, Webhook
from stemwright_server.domain.lifecycle import CancelAsked, Event, Expire, Policy, Transition, advance
from stemwright_server.domain.track import TrackState
from stemwright_server.domain.worker import SeenWorker

JOB = job(available_at=0.0, options=JobOptions(dialect="split", webhook=Webhook(url="https://a/b", kind="split")))
CLAIM: Mapping[str, Any] = {"worker": "w", "services": ("m",), "now": 1.0, "lease_until": 9.0, "writable_until": 9.0}


class Store:
    """A repository, and what another version does to its rows."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.repository = SqlJobRepository(engine)
        self.track = ready(self.repository)
        self.repository.submit(JOB, key=None)

    def write(self, table: Table, **values: Any) -> None:
        with self.engine.begin() as db:
            db.execute(update(table).values(values))

    def cell(self, table: Table, column: str) -> Any:
        with self.engine.connect() as db:
            return db.scalar(select(table.c[column]))

    def add_to(self, table: Table, column: str, change: Callable[[Any], object]) -> None:
        """Change the JSON of a cell."""
        value = json.loads(json.dumps(self.cell(table, column)))
        change(value)
        self.write(table, **{column: value})

    def change(self, event: Event) -> Transition:
        found = self.repository.change("j", lambda job: advance(job, event, now=5.0, policy=Policy()))
        assert found is not None
        return found

    def job(self) -> Job:
        found = self.repository.job("j")
        assert found is not None
        return found

    def complete(self) -> None:
        assert self.repository.claim(**CLAIM) is not None
        assert self.change(done()).accepted


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "sqlite":
        engine = sqlite_engine(tmp_path / "jobs.db")
    else:
        engine = postgres_engine(make_url(request.getfixturevalue("postgres").database()), pool=5)
    yield Store(engine)
    engine.dispose()


# Keys and columns


def test_keys_that_are_not_known_are_left_out(store: Store) -> None:
    store.complete()
    store.write(jobs, error={"code": "c", "message": "m", "retryable": False, "cause": "x"})
    before = store.job()
    store.add_to(jobs, "options", lambda extras: extras.update(mood="calm"))
    store.add_to(jobs, "options", lambda extras: extras["webhook"].update(secret="s"))
    store.add_to(jobs, "outputs", lambda outputs: outputs[0].update(bits=24))
    store.add_to(jobs, "artifacts", lambda artifacts: artifacts[0].update(bits=24))
    store.add_to(jobs, "progress", lambda progress: progress.update(speed=2.0))
    assert store.job() == before
    assert store.repository.history("o", "split", limit=5) == [before]
    assert before.error == JobError(code="c", message="m")


def test_keys_that_are_not_there_have_their_default(store: Store) -> None:
    store.complete()
    store.write(jobs, options={}, progress={"done": 1, "total": 2}, error={"code": "c", "message": "m"})
    store.add_to(jobs, "outputs", lambda outputs: outputs[0].pop("role"))
    store.add_to(
        jobs, "artifacts", lambda artifacts: [artifacts[0].pop(name) for name in ("duration", "crc32", "role")]
    )
    found = store.job()
    assert found.options == JobOptions(dialect="split")
    assert (found.outputs[0].role, found.artifacts[0].role, found.artifacts[0].crc32) == ("stem", "stem", None)
    assert (found.progress.percent, found.error) == (50.0, JobError(code="c", message="m"))


def test_what_a_newer_version_put_into_a_job_is_still_there_when_this_one_has_run_it(store: Store) -> None:
    store.add_to(jobs, "options", lambda extras: extras.update(mood="calm"))
    store.add_to(jobs, "outputs", lambda outputs: outputs[0].update(bits=24))
    store.write(jobs, inputs=[{"kind": "upload", "track": "t"}])
    store.complete()
    assert store.job().state is JobState.COMPLETED
    assert store.cell(jobs, "options")["mood"] == "calm"
    assert store.cell(jobs, "outputs")[0]["bits"] == 24
    assert store.cell(jobs, "inputs") == [{"kind": "upload", "track": "t"}]


def test_an_output_of_a_role_that_is_not_known_is_no_stem(store: Store) -> None:
    store.complete()
    store.add_to(jobs, "artifacts", lambda artifacts: artifacts[0].update(role="notes"))
    assert [each.role for each in store.job().artifacts] == ["notes"]
    assert store.job().stems == ()


def test_a_column_that_is_not_known_is_left_out(store: Store) -> None:
    seen = SeenWorker(worker="w", device="cpu", services=("m",), seen_at=1.0)
    store.repository.see_worker(seen)
    with store.engine.begin() as db:
        for table in (tracks, jobs, attempts, deliveries, workers):
            db.exec_driver_sql(f"ALTER TABLE {table.name} ADD COLUMN mood INTEGER DEFAULT 1")
    assert store.repository.seen_workers() == [seen]
    store.repository.see_worker(seen)
    store.complete()
    assert store.job().state is JobState.COMPLETED
    found = store.repository.track("t")
    assert found is not None
    assert found.filename == store.track.filename
    (delivery,) = store.repository.deliveries()
    assert delivery.job_id == "j"


# States


def test_a_job_in_a_state_that_is_not_known_is_listed_as_running_and_left_alone(store: Store) -> None:
    store.write(jobs, state="paused")
    assert [job.state for job in store.repository.history("o", "split", limit=5)] == [JobState.RUNNING]
    assert store.repository.claim(**CLAIM) is None
    assert store.repository.waiting(9.0, limit=5) == []
    assert store.repository.running() == []
    assert set(store.repository.counts().values()) == {0}
    told = store.change(CancelAsked())
    assert (told.accepted, told.outcome, told.job.state) == (False, None, JobState.RUNNING)
    store.repository.expire_tracks(1e12)
    assert store.cell(tracks, "state") == "ready"  # the newer version may still need the song
    assert store.cell(jobs, "state") == "paused"


def test_a_job_that_ended_in_a_state_that_is_not_known_is_listed_as_failed_and_says_so(store: Store) -> None:
    store.write(jobs, state="partial", finished_at=4.0)
    found = store.job()
    assert found.state is JobState.FAILED
    assert found.error is not None
    assert found.error.code == "unknown_state"
    assert "'partial'" in found.error.message
    assert not store.change(Expire(at=6.0)).accepted
    assert store.repository.drop_jobs(1e12, finished_before=1e12) == []


def test_its_own_error_is_kept(store: Store) -> None:
    store.write(jobs, state="partial", finished_at=4.0, error={"code": "c", "message": "m", "retryable": True})
    assert store.job().error == JobError(code="c", message="m", retryable=True)


def test_a_track_in_a_state_that_is_not_known_is_listed_and_left_alone(store: Store) -> None:
    store.write(tracks, state="archived")
    found = store.repository.track("t")
    assert found is not None
    assert found.state is TrackState.EXPIRED
    assert store.repository.tracks_to_purge() == []
    assert store.repository.stale_uploads(1e12) == []


def test_the_files_of_an_attempt_with_an_outcome_that_is_not_known_stay(store: Store) -> None:
    store.complete()
    store.write(attempts, outcome="partial")
    assert store.repository.attempts_to_clean() == []
    store.write(attempts, outcome=Outcome.LOST)
    assert [each.outcome for each in store.repository.attempts_to_clean()] == [Outcome.LOST]


def test_a_webhook_in_a_state_that_is_not_known_is_listed_and_left_alone(store: Store) -> None:
    store.complete()
    store.write(deliveries, state="held", due_at=0.0)
    assert [each.state for each in store.repository.deliveries()] == [DeliveryState.PENDING]
    assert store.repository.lease_deliveries(now=9.0, lease_until=99.0, limit=5) == []
    assert set(store.repository.count_deliveries().values()) == {0}
    store.write(deliveries, ended_at=1.0)
    (found,) = store.repository.deliveries()
    assert found.state is DeliveryState.DEAD
    assert not store.repository.replay_delivery(found.id, 9.0)
    assert store.repository.drop_jobs(1e12, finished_before=1e12) == ["j"]
    assert [each.id for each in store.repository.deliveries()] == [found.id]
