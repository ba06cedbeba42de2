"""``stemwright db``: as a person runs it, beside a service or not."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from importlib.metadata import version
from pathlib import Path

import pytest
from backing import Postgres
from service import COMMAND, Service, environment, wav
from sqlalchemy import make_url
from stores import lay_out_old_store

from stemwright_server.adapters.jobs.postgres import postgres_engine
from stemwright_server.adapters.jobs.schema import HEAD
from stemwright_server.adapters.jobs.sql import SqlJobRepository

VERSION = version("stemwright-server")


def db(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "db", *arguments],
        env=environment(Path(), settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def printed(*arguments: str, **settings: str) -> str:
    done = db(*arguments, **settings)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def fails(*arguments: str, **settings: str) -> str:
    """Its one line of error."""
    done = db(*arguments, **settings)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("stemwright: error: ")
    assert done.stderr.count("\n") == 1
    return done.stderr


def counted(path: Path) -> Mapping[str, int]:
    with closing(sqlite3.connect(path)) as store:
        assert store.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return dict(store.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall())


# SQLite


def test_a_store_is_looked_at_and_brought_forward(tmp_path: Path) -> None:
    path = lay_out_old_store(tmp_path / "data")
    folder = ("--data-dir", str(path.parent))
    jobs = "jobs: 1 canceled, 1 completed, 1 failed, 1 queued, 1 running\n"
    before = f"store: {path}\nrevision: 0001\nthis version: {HEAD}\npending: 0002, 0003, 0004, 0005, 0006, 0007\n{jobs}"
    assert printed("status", *folder) == before
    assert printed("status", *folder) == before  # looking changes nothing
    copy = f"{path}.before-{HEAD} is the store as it was\n"
    assert printed("upgrade", *folder) == f"{copy}{path} has revision {HEAD} now; before: 0001\n"
    assert printed("upgrade", *folder) == f"{path} has revision {HEAD}: there is nothing to do\n"
    after = f"store: {path}\nrevision: {HEAD}, made by stemwright-server {VERSION}\nthis version: {HEAD}\npending: none\n{jobs}"
    assert printed("status", *folder) == after


def test_a_newer_store_is_looked_at_and_not_touched(tmp_path: Path) -> None:
    path = lay_out_old_store(tmp_path / "data")
    folder = ("--data-dir", str(path.parent))
    printed("upgrade", *folder)
    with closing(sqlite3.connect(path)) as store, store:
        store.execute("UPDATE alembic_version SET version_num = '9001'")
    shown = printed("status", *folder)
    assert f"revision: 9001\nthis version: {HEAD}, which is older than the store\npending: none\n" in shown
    assert "is newer than this version of stemwright-server: it has revision 9001" in fails("upgrade", *folder)


@pytest.mark.parametrize("action", [("status",), ("upgrade",), ("backup", "copy.db")])
def test_where_there_is_no_store_none_is_made(tmp_path: Path, action: tuple[str, ...]) -> None:
    assert f"there is no job store at {tmp_path}/stemwright.db; say" in fails(*action, "--data-dir", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_service_is_backed_up_while_it_runs(service: Service, tmp_path: Path, seed: int) -> None:
    track = service.client.upload(wav(seed=seed))
    job = service.client.submit(track, sleep=0.2)
    copy = tmp_path / "copy.db"
    said = printed("backup", str(copy), "--data-dir", str(service.data_dir))
    assert said == f"{copy} is a copy of the job store\n"
    assert sum(counted(copy).values()) >= 1
    with closing(sqlite3.connect(copy)) as store:
        assert store.execute("SELECT track_id FROM jobs WHERE id = ?", [job]).fetchall() == [(track,)]
    assert [each.name for each in tmp_path.iterdir()] == ["copy.db"]
    assert copy.stat().st_mode & 0o777 == 0o600
    service.client.wait(track, job, "completed")


def test_a_backup_overwrites_nothing(tmp_path: Path) -> None:
    path = lay_out_old_store(tmp_path / "data")
    there = tmp_path / "there"
    there.write_text("something")
    assert f"{there} exists" in fails("backup", str(there), "--data-dir", str(path.parent))
    assert there.read_text() == "something"


def test_a_backup_that_cannot_be_written_says_where(tmp_path: Path) -> None:
    path = lay_out_old_store(tmp_path / "data")
    target = tmp_path / "nowhere" / "copy.db"
    assert f"to {target}: No such file or directory" in fails("backup", str(target), "--data-dir", str(path.parent))


def test_what_is_no_database_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "stemwright.db").write_text("no database " * 100)
    assert "cannot be used: file is not a database" in fails("status", "--data-dir", str(tmp_path))
    assert ": file is not a database" in fails("backup", str(tmp_path / "copy.db"), "--data-dir", str(tmp_path))
    assert not (tmp_path / "copy.db").exists()


# PostgreSQL


@pytest.fixture
def url(postgres: Postgres) -> str:
    """Of an empty schema, with a password, which the server does not ask for."""
    return postgres.database().replace("stemwright@", "stemwright:hush@", 1)


def test_a_postgres_store_is_brought_forward_and_shown_without_its_password(url: str) -> None:
    assert "revision: none: it is empty\n" in printed("status", DATABASE_URL=url)
    assert f"has revision {HEAD} now; before: none, it was empty\n" in printed("upgrade", DATABASE_URL=url)
    shown = printed("status", DATABASE_URL=url)
    assert f"revision: {HEAD}, made by stemwright-server {VERSION}\n" in shown
    assert "jobs: none\n" in shown
    assert "hush" not in shown
    assert "store: postgresql://stemwright:***@/postgres?" in shown


def test_a_postgres_store_is_backed_up_with_all_its_tables(url: str, postgres: Postgres, tmp_path: Path) -> None:
    SqlJobRepository(postgres_engine(make_url(url), pool=2)).close()
    target = tmp_path / "store.dump"
    assert "hush" not in printed("backup", str(target), DATABASE_URL=url)
    listed = subprocess.run(["pg_restore", "--list", str(target)], capture_output=True, text=True, check=True).stdout
    schema = url.rpartition("%3D")[2]
    assert f" TABLE {schema} jobs stemwright" in listed
    kept = [line for line in listed.splitlines() if " TABLE DATA " in line]
    assert kept
    assert all(f" TABLE DATA {schema} " in line for line in kept)  # nobody else's, of the same database
    assert "exists" in fails("backup", str(target), DATABASE_URL=url)


def test_pg_dump_is_told_the_password_by_its_environment(url: str, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "pg_dump"
    fake.parent.mkdir()
    fake.write_text(
        '#!/bin/sh\nfor word; do case $word in --file=*) f=${word#--file=};; esac; done\necho "$PGPASSWORD|$*" > "$f"\n'
    )
    fake.chmod(0o755)
    target = tmp_path / "dump"
    printed("backup", str(target), DATABASE_URL=url, PATH=f"{fake.parent}{os.pathsep}{os.environ['PATH']}")
    password, _, arguments = target.read_text().partition("|")
    assert password == "hush"
    assert "hush" not in arguments
    assert "--no-password" in arguments


def test_without_pg_dump_the_command_is_named(url: str, tmp_path: Path) -> None:
    said = fails("backup", str(tmp_path / "dump"), DATABASE_URL=url, PATH=str(tmp_path))
    assert "pg_dump is not installed here" in said
    assert "pg_dump --format=custom --schema=" in said
    assert "hush" not in said


def test_a_dump_that_fails_says_why_and_leaves_nothing(url: str, tmp_path: Path) -> None:
    fake = tmp_path / "bin" / "pg_dump"
    fake.parent.mkdir()
    fake.write_text("#!/bin/sh\necho 'pg_dump: error: server version mismatch' >&2\nexit 1\n")
    fake.chmod(0o755)
    target = tmp_path / "dump"
    path = f"{fake.parent}{os.pathsep}{os.environ['PATH']}"
    assert "server version mismatch" in fails("backup", str(target), DATABASE_URL=url, PATH=path)
    assert [each.name for each in tmp_path.iterdir()] == ["bin"]


def test_a_database_that_is_away_is_said_in_one_line_without_the_password(tmp_path: Path) -> None:
    said = fails("status", DATABASE_URL=f"postgresql://stemwright:hush@/postgres?host={tmp_path}")
    assert "cannot be used: " in said
    assert "hush" not in said
