"""Job stores: one contract over all of them, along the protocols of the port."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from memory_jobs import MemoryJobRepository
from sqlalchemy import make_url

from stemwright_server.adapters.jobs.postgres import postgres_engine
from stemwright_server.adapters.jobs.sql import SqlJobRepository
from stemwright_server.adapters.jobs.sqlite import sqlite_engine
from stemwright_server.ports.jobs import JobRepository


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[JobRepository]:
    """An empty store, of each kind."""
    if request.param == "memory":
        yield MemoryJobRepository()
        return
    if request.param == "sqlite":
        engine = sqlite_engine(tmp_path / "jobs.db")
    else:
        engine = postgres_engine(make_url(request.getfixturevalue("postgres").database()), pool=10)
    found = SqlJobRepository(engine)
    yield found
    found.close()
