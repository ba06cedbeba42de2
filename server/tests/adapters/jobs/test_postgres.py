"""What PostgreSQL alone promises: several processes, a server that goes away, a clock."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from backing import Postgres, postgres_server
from jobs import claim, job, ready, track
from sqlalchemy import make_url

from stemwright_server.adapters.jobs.postgres import DatabaseClock, postgres_engine
from stemwright_server.adapters.jobs.sql import SqlJobRepository
from stemwright_worker.errors import InvalidRequest, Unavailable


@pytest.fixture
def two(postgres: Postgres) -> Iterator[tuple[SqlJobRepository, SqlJobRepository]]:
    """Two API processes over one database, as far as the database can tell. Opened at the same moment."""
    url = make_url(postgres.database())
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(lambda _: SqlJobRepository(postgres_engine(url, pool=10)), range(2))
    yield first, second
    first.close()
    second.close()


def test_only_one_process_sweeps_at_a_time(two: tuple[SqlJobRepository, SqlJobRepository]) -> None:
    first, second = two
    with first.alone("sweep") as mine:
        assert mine
        with second.alone("sweep") as theirs:
            assert not theirs
    with second.alone("sweep") as theirs:
        assert theirs


def test_what_one_process_submits_another_hands_out_once(two: tuple[SqlJobRepository, SqlJobRepository]) -> None:
    ready(two[0])
    for number in range(20):
        two[number % 2].submit(job(f"j{number}"), key=None)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: claim(two[number % 2], worker=f"w{number}"), range(30)))
    claimed = [each.id for each in found if each is not None]
    assert len(claimed) == len(set(claimed)) == 20


@pytest.fixture
def to_be_stopped() -> Iterator[Postgres]:
    """A server for this test alone: the session's is in use by others."""
    with postgres_server() as server:
        yield server


def test_a_database_that_was_restarted_is_found_again(to_be_stopped: Postgres) -> None:
    repository = SqlJobRepository(postgres_engine(make_url(to_be_stopped.database()), pool=10))
    ready(repository)
    to_be_stopped.stop()
    with pytest.raises(Unavailable) as caught:
        repository.submit(job(), key=None)
    assert (caught.value.code, caught.value.retryable) == ("database_unreachable", True)
    with pytest.raises(Unavailable), repository.alone("sweep"):
        pass
    to_be_stopped.start()
    assert repository.submit(job(), key=None).created
    repository.close()


def test_a_text_that_the_database_cannot_hold_is_the_callers_fault(postgres: Postgres) -> None:
    repository = SqlJobRepository(postgres_engine(make_url(postgres.database()), pool=10))
    for filename in ("a\0b.wav", "a" * 256):
        with pytest.raises(InvalidRequest):
            repository.add_track(track(filename=filename))
    repository.close()


def test_the_clock_is_the_databases(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    repository = SqlJobRepository(postgres_engine(make_url(postgres.database()), pool=10))
    right = time.time()
    monkeypatch.setattr(time, "time", lambda: 5.0)  # a machine whose clock is wrong
    assert abs(DatabaseClock(repository.time)() - right) < 5.0
    repository.close()


def test_the_clock_goes_on_while_the_database_is_away() -> None:
    answers = iter([1000.0])

    def ask() -> float:
        for answer in answers:
            return answer
        raise Unavailable("away")

    clock = DatabaseClock(ask, every=0.0)
    assert 1000.0 <= clock() < 1030.0
    first = clock()
    assert first < clock() < 1030.0
