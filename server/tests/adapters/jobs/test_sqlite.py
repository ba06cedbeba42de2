"""What SQLite alone promises."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from jobs import claim, job, ready
from sqlalchemy import create_engine

from stemwright_server.adapters.jobs.retrying import again
from stemwright_server.adapters.jobs.sql import SqlJobRepository
from stemwright_server.adapters.jobs.sqlite import sqlite_engine
from stemwright_worker.errors import Unavailable


def test_everything_is_there_after_opening_again(tmp_path: Path) -> None:
    first = SqlJobRepository(sqlite_engine(tmp_path / "jobs.db"))
    ready(first)
    first.submit(job(), key=None)
    taken = claim(first)
    first.close()
    second = SqlJobRepository(sqlite_engine(tmp_path / "jobs.db"))
    assert second.job("j") == taken
    second.close()


def test_a_file_that_is_no_database_is_said_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(b"something else" * 1000)
    with pytest.raises(Unavailable, match="file is not a database") as caught:
        SqlJobRepository(sqlite_engine(path))
    assert caught.value.code == "database_unusable"
    assert path.read_bytes() == b"something else" * 1000


def test_a_lock_that_another_process_does_not_let_go_is_said(tmp_path: Path) -> None:
    path = tmp_path / "jobs.db"
    impatient = create_engine(f"sqlite:///{path}", connect_args={"timeout": 0})

    @again
    def write() -> None:
        with impatient.begin() as db:
            db.exec_driver_sql("CREATE TABLE t (x)")

    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(Unavailable, match="locked by another process") as caught:
            write()
        assert caught.value.code == "database_busy"
    write()
    impatient.dispose()
