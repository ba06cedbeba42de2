"""The last version without migrations, by its own code, and this one on the same job store at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from backing import Postgres
from jobs import change, job, ready
from released import Released
from service import Service, running, wav
from sqlalchemy import create_engine, make_url, text

from stemwright_server.adapters.jobs.schema import BASELINE, HEAD
from stemwright_server.adapters.jobs.sql import SqlJobRepository
from stemwright_server.adapters.jobs.sqlite import sqlite_engine
from stemwright_server.domain.job import JobState
from stemwright_server.domain.worker import SeenWorker
from stemwright_worker.contract.tasks import Completed


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Released:
    """The version before."""
    return Released(tmp_path_factory.mktemp("before"))


# Services on one PostgreSQL


@pytest.fixture
def pair(before: Released, postgres: Postgres, tmp_path: Path) -> Iterator[tuple[Service, Service, str]]:
    """Services of the version before and of this one, which was started when the other was at work; their database."""
    url = postgres.database()
    shared = {"DATABASE_URL": url, "STEMWRIGHT_WORKERS": "1"}
    (tmp_path / "old").mkdir()
    (tmp_path / "new").mkdir()
    with running(tmp_path / "old" / "data", shared | dict(before.settings)) as old:
        held = old.client.upload(wav(0.02), "held.wav")
        long = old.client.submit(held, segments=600, sleep=0.1)
        old.client.wait_for_segment(held, long)
        (tmp_path / "new" / "data").symlink_to(old.data_dir)
        with running(tmp_path / "new" / "data", shared) as new:
            song = old.client.upload(wav(0.02, seed=100))
            old.client.wait(song, old.client.submit(song), "completed")  # by this version's worker: the other is held
            assert new.client.http.post(f"/jobs/{long}/cancel").status_code == 200
            old.client.wait(held, long, "canceled")
            yield old, new, url


def test_services_of_both_versions_share_the_work(
    pair: tuple[Service, Service, str], before: Released, tmp_path: Path
) -> None:
    old, new, url = pair
    asked = {}
    for number in range(1, 13):
        here, there = (old, new) if number % 2 else (new, old)
        track = here.client.upload(wav(0.02, seed=number))
        asked[here.client.submit(track, segments=2, sleep=0.1)] = (track, there)
    for asked_job, (track, there) in asked.items():
        done = there.client.wait(track, asked_job, "completed", "failed")  # each sees the jobs of the other
        assert (done["status"], done["attempt"]) == ("completed", 1)
        assert all(there.client.http.get(each["url"]).status_code == 200 for each in done["outputs"])
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with closing(engine.connect()) as db:
        assert db.scalar(text("SELECT version_num FROM alembic_version")) == HEAD
        claims = db.execute(text("SELECT job_id, worker FROM attempts")).all()
    engine.dispose()
    assert sorted(job for job, _ in claims if job in asked) == sorted(asked)  # each was claimed once
    assert len({worker for _, worker in claims}) == 2  # and both versions worked
    for service in (old, new):
        assert [line["event"] for line in service.logged() if line["level"] in ("error", "critical")] == []
    # The version before starts again on the store that was brought forward, as it does when a roll-out is taken back.
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "data").symlink_to(old.data_dir)
    shared = {"DATABASE_URL": url, "STEMWRIGHT_WORKERS": "0"}
    with running(tmp_path / "again" / "data", shared | dict(before.settings)) as again:
        assert all(again.client.job(track, job)["status"] == "completed" for job, (track, _) in asked.items())


# Repositories on one SQLite file, which services never share

_BEFORE = """
import sys
from dataclasses import replace
from pathlib import Path
from stemwright_server.adapters.jobs import tables
from stemwright_server.adapters.jobs.sql import SqlJobRepository
from stemwright_server.adapters.jobs.sqlite import sqlite_engine
from stemwright_server.domain.lifecycle import Policy, advance
from stemwright_server.domain.report import Completed

assert tables.VERSION == 3
repository = SqlJobRepository(sqlite_engine(Path(sys.argv[1])))
(ours,) = repository.jobs_of("t")
for number in range(20):
    repository.submit(replace(ours, id=f"old {number}", work_key=f"old {number}"), key=None)
asked = dict(worker="old", models=("m",), now=1.0, lease_until=1e9, writable_until=1e9)
job = repository.claim(**asked)
print("ready", flush=True)
sys.stdin.readline()
while job is not None:
    done = Completed(job_id=job.id, attempt=1, files=(), report={})
    assert repository.change(job.id, lambda job: advance(job, done, now=2.0, policy=Policy())).accepted
    print(job.id, flush=True)
    job = repository.claim(**asked)
assert [worker.worker for worker in repository.seen_workers()] == ["new"]
repository.close()
"""


def test_repositories_of_both_versions_claim_each_job_once(before: Released, tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    before.run(
        "import sys; from pathlib import Path; from stemwright_server.adapters.jobs.sql import SqlJobRepository;"
        "from stemwright_server.adapters.jobs.sqlite import sqlite_engine;"
        "SqlJobRepository(sqlite_engine(Path(sys.argv[1]))).close()",
        str(path),
    )
    with closing(SqlJobRepository(sqlite_engine(path))) as repository:
        assert path.with_name(f"jobs.db.before-{HEAD}").exists(), f"it was made at {BASELINE}"
        ready(repository)
        repository.submit(job("first", outputs=(), available_at=0.0), key=None)
        repository.see_worker(SeenWorker(worker="new", device="cpu", services=("m",), seen_at=0.0))
        old = before.started(_BEFORE, str(path))
        assert old.stdout is not None
        assert old.stdin is not None
        assert old.stdout.readline() == "ready\n"
        for number in range(20):
            repository.submit(job(f"new {number}", outputs=(), available_at=0.0), key=None)
        ours: list[str] = []
        while (
            mine := repository.claim(worker="new", services=("m",), now=1.0, lease_until=1e9, writable_until=1e9)
        ) is not None:
            assert change(
                repository, Completed(job_id=mine.id, attempt=1, files=(), report={}), job_id=mine.id
            ).accepted
            if not ours:  # from here on both claim at once
                old.stdin.write("\n")
                old.stdin.flush()
            ours.append(mine.id)
        theirs = old.communicate_checked().splitlines()
        assert ours
        assert theirs  # it had claimed one before
        made = [f"{version} {number}" for version in ("old", "new") for number in range(20)]
        assert sorted(ours + theirs) == sorted(["first", *made])
        assert repository.counts()[JobState.COMPLETED] == 41
