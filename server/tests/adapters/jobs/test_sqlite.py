"""What SQLite alone promises."""

from __future__ import annotations

from pathlib import Path

from jobs import claim, job, ready

from stemwright_server.adapters.jobs.sql import SqlJobRepository
from stemwright_server.adapters.jobs.sqlite import sqlite_engine


def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    first = SqlJobRepository(sqlite_engine(tmp_path / "jobs.db"))
    ready(first)
    first.submit(job(), key=None)
    taken = claim(first)
    first.close()
    second = SqlJobRepository(sqlite_engine(tmp_path / "jobs.db"))
    assert second.job("j") == taken
    second.close()
