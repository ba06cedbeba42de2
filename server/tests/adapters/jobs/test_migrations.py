"""Migrations: what they make, who runs them, and which stores are refused."""

from __future__ import annotations

import multiprocessing
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from backing import Postgres
from sqlalchemy import Connection, Engine, MetaData, inspect, make_url, update
from sqlalchemy.exc import OperationalError
from stores import lay_out_old_store

from stemwright_server.adapters.jobs.migrating import config, run_migrations
from stemwright_server.adapters.jobs.postgres import postgres_engine
from stemwright_server.adapters.jobs.schema import BASELINE, HEAD, REVISIONS, Upgrade, bring_forward, status
from stemwright_server.adapters.jobs.sql import SqlJobRepository
from stemwright_server.adapters.jobs.sqlite import sqlite_engine
from stemwright_server.adapters.jobs.tables import baseline_version, metadata
from stemwright_worker.errors import Unavailable

# Migrations that take something away, one release after the last version that used it: see docs/upgrading.md.
CONTRACTING: frozenset[str] = frozenset()


@pytest.fixture(params=["sqlite", "postgresql"])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], Engine]]:
    """Makes engines over empty databases."""
    made: list[Engine] = []

    def make() -> Engine:
        if request.param == "sqlite":
            engine = sqlite_engine(tmp_path / f"{len(made)}.db")
        else:
            engine = postgres_engine(make_url(request.getfixturevalue("postgres").database()), pool=10)
        made.append(engine)
        return engine

    yield make
    for engine in made:
        engine.dispose()


@pytest.fixture
def engine(another: Callable[[], Engine]) -> Engine:
    return another()


def to_baseline(engine: Engine) -> None:
    """A store as a version before migrations left it: no alembic in it."""
    with engine.begin() as db:
        run_migrations(db, BASELINE)
        db.exec_driver_sql("DROP TABLE alembic_version")


def differences(engine: Engine) -> list[Any]:
    """Between the tables of a database and those of the code."""
    with engine.connect() as db:
        context = MigrationContext.configure(db, opts={"compare_type": True, "compare_server_default": True})
        return list(compare_metadata(context, metadata))


# What the migrations make


def test_the_code_knows_the_revisions_that_there_are() -> None:
    script = ScriptDirectory.from_config(config())
    assert tuple(reversed([each.revision for each in script.walk_revisions()])) == REVISIONS
    assert script.get_current_head() == HEAD


def test_the_migrations_make_the_tables_of_the_code(engine: Engine) -> None:
    with engine.begin() as db:
        run_migrations(db, HEAD)
    assert differences(engine) == []


def test_a_new_store_has_the_tables_of_the_code(engine: Engine) -> None:
    assert bring_forward(engine) == Upgrade(before=None, after=HEAD)
    assert differences(engine) == []
    with engine.connect() as db:
        assert db.exec_driver_sql("SELECT version_num FROM alembic_version").scalars().all() == [HEAD]
        assert db.exec_driver_sql("SELECT version FROM schema_version").scalars().all() == [3]


def test_a_table_that_was_changed_without_a_migration_is_seen(engine: Engine) -> None:
    bring_forward(engine)
    with engine.begin() as db:
        db.exec_driver_sql("ALTER TABLE jobs ADD COLUMN mood INTEGER")
    assert [each[0] for each in differences(engine)] == ["remove_column"]


def test_a_store_without_alembic_is_brought_forward_from_the_baseline(engine: Engine) -> None:
    to_baseline(engine)
    found = bring_forward(engine)
    assert found is not None
    assert (found.before, found.after) == (BASELINE, HEAD)
    assert differences(engine) == []
    assert bring_forward(engine) is None


# Expand and contract


def shape(db: Connection) -> MetaData:
    """The tables as they are."""
    found = MetaData()
    found.reflect(db)
    return found


def narrowed(before: MetaData, after: MetaData) -> list[str]:
    """What a version that knows ``before`` could no longer do with ``after``."""
    found = []
    for name, old in before.tables.items():
        if name not in after.tables:
            found.append(f"{name} is gone")
            continue
        new = after.tables[name]
        for column in old.columns:
            if column.name not in new.columns:
                found.append(f"{name}.{column.name} is gone")
            elif str(new.columns[column.name].type) != str(column.type):
                found.append(f"{name}.{column.name} has another type")
            elif column.nullable and not new.columns[column.name].nullable:
                found.append(f"{name}.{column.name} must be given now")
        for column in new.columns:
            must = not column.nullable and column.server_default is None
            if column.name not in old.columns and must:
                found.append(f"{name}.{column.name} must be given")
        if rules(new) - rules(old):
            found.append(f"{name} has a new constraint")
    return found


def rules(table: Any) -> set[str]:
    """What rows a table does not take."""
    indexes = {f"unique {[column.name for column in index.columns]}" for index in table.indexes if index.unique}
    return indexes | {f"{type(rule).__name__} {[column.name for column in rule.columns]}" for rule in table.constraints}


@pytest.mark.parametrize("revision", [each for each in REVISIONS[1:] if each not in CONTRACTING])
def test_a_migration_only_adds(engine: Engine, revision: str) -> None:
    with engine.begin() as db:
        run_migrations(db, REVISIONS[REVISIONS.index(revision) - 1])
        before = shape(db)
        run_migrations(db, revision)
        assert narrowed(before, shape(db)) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ("DROP TABLE attempts", "attempts is gone"),
        ("ALTER TABLE tracks DROP COLUMN filename", "tracks.filename is gone"),
        ("CREATE UNIQUE INDEX one ON jobs (work_key)", "jobs has a new constraint"),
        ("ALTER TABLE workers RENAME COLUMN device TO place", "workers.device is gone"),
    ],
)
def test_a_migration_that_takes_something_away_would_be_seen(engine: Engine, change: str, found: str) -> None:
    with engine.begin() as db:
        run_migrations(db, BASELINE)
        before = shape(db)
        db.exec_driver_sql(change)
        assert found in narrowed(before, shape(db))


def test_a_column_that_must_be_given_would_be_seen(postgres: Postgres) -> None:
    engine = postgres_engine(make_url(postgres.database()), pool=2)
    with engine.begin() as db:
        run_migrations(db, BASELINE)
        before = shape(db)
        db.exec_driver_sql("ALTER TABLE jobs ADD COLUMN mood INTEGER NOT NULL")
        db.exec_driver_sql("ALTER TABLE jobs ALTER COLUMN worker SET NOT NULL")
        db.exec_driver_sql("ALTER TABLE jobs ALTER COLUMN owner TYPE INTEGER USING 1")
        assert narrowed(before, shape(db)) == [
            "jobs.owner has another type",
            "jobs.worker must be given now",
            "jobs.mood must be given",
        ]
    engine.dispose()


# Opening


def test_a_store_that_is_up_to_date_is_opened_without_alembic(tmp_path: Path) -> None:
    opening = (
        "import sys; from pathlib import Path; from stemwright_server.adapters.jobs.sql import SqlJobRepository;"
        "from stemwright_server.adapters.jobs.sqlite import sqlite_engine;"
        "SqlJobRepository(sqlite_engine(Path(sys.argv[1]))).close(); print('alembic' in sys.modules)"
    )

    def imported(path: Path) -> str:
        return subprocess.check_output([sys.executable, "-c", opening, str(path)], text=True).split()[-1]

    assert [imported(tmp_path / "jobs.db") for _ in ("made", "there")] == ["False", "False"]
    old = lay_out_old_store(tmp_path / "old")
    assert [imported(old) for _ in ("brought forward", "there")] == ["True", "False"]


def _open(path: Path, start: Any, done: Any) -> None:
    start.wait()
    engine = sqlite_engine(path)
    done.put(bring_forward(engine) is not None)
    engine.dispose()


def test_processes_that_open_an_old_sqlite_store_at_once_bring_it_forward_once(tmp_path: Path) -> None:
    path = lay_out_old_store(tmp_path / "data")
    spawn = multiprocessing.get_context("spawn")
    start, done = spawn.Event(), spawn.Queue()
    openers = [spawn.Process(target=_open, args=(path, start, done)) for _ in range(4)]
    for opener in openers:
        opener.start()
    start.set()
    assert sorted(done.get(timeout=60) for _ in openers) == [False, False, False, True]
    for opener in openers:
        opener.join()
    assert [each.name for each in path.parent.glob("*before*")] == [f"stemwright.db.before-{HEAD}"]


def test_many_that_open_an_old_postgres_store_at_once_bring_it_forward_once(postgres: Postgres) -> None:
    url = make_url(postgres.database())
    engines = [postgres_engine(url, pool=2) for _ in range(4)]
    to_baseline(engines[0])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda engine: bring_forward(engine) is not None, engines))
    assert sorted(found) == [False, False, False, True]
    for engine in engines:
        engine.dispose()


def test_a_migration_that_fails_leaves_the_store_as_it_was(engine: Engine) -> None:
    to_baseline(engine)
    with engine.begin() as db:
        db.exec_driver_sql("CREATE TABLE services (name INTEGER)")  # of somebody else: in the way of a migration
    with pytest.raises(Exception, match="services"):
        bring_forward(engine)
    with engine.connect() as db:
        tables = inspect(db)
        assert not tables.has_table("alembic_version")
        assert "inputs" not in [column["name"] for column in tables.get_columns("jobs")]


# The copy of a SQLite store


def test_a_sqlite_store_is_copied_before_it_is_brought_forward(tmp_path: Path) -> None:
    path = lay_out_old_store(tmp_path / "data")
    with closing(sqlite3.connect(path)) as store:
        jobs = store.execute("SELECT * FROM jobs ORDER BY id").fetchall()
    engine = sqlite_engine(path)
    found = bring_forward(engine)
    engine.dispose()
    assert found is not None
    assert found.copy == path.with_name(f"stemwright.db.before-{HEAD}")
    assert stat.S_IMODE(found.copy.stat().st_mode) == 0o600
    with closing(sqlite3.connect(found.copy)) as copy:
        assert copy.execute("SELECT * FROM jobs ORDER BY id").fetchall() == jobs
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_an_older_copy_is_kept(tmp_path: Path) -> None:
    path = lay_out_old_store(tmp_path / "data")
    older = path.with_name(f"stemwright.db.before-{HEAD}")
    older.write_text("older")
    engine = sqlite_engine(path)
    found = bring_forward(engine)
    engine.dispose()
    assert found is not None
    assert found.copy == path.with_name(f"stemwright.db.before-{HEAD}.2")
    assert older.read_text() == "older"


def test_a_store_that_cannot_be_brought_forward_leaves_no_copy_however_often_it_is_tried(tmp_path: Path) -> None:
    """A service that is started again and again would fill the disk with them."""
    engine = sqlite_engine(tmp_path / "jobs.db")
    to_baseline(engine)
    with engine.begin() as db:
        db.exec_driver_sql("CREATE TABLE services (name TEXT)")  # in the way
    for _ in range(2):
        with pytest.raises(OperationalError, match="services already exists"):
            bring_forward(engine)
    engine.dispose()
    assert [path.name for path in tmp_path.iterdir()] == ["jobs.db"]


def test_a_new_sqlite_store_leaves_no_copy(tmp_path: Path) -> None:
    SqlJobRepository(sqlite_engine(tmp_path / "jobs.db")).close()
    assert [each.name for each in tmp_path.iterdir()] == ["jobs.db"]


# Stores that are refused


def refused(engine: Engine) -> str:
    with pytest.raises(Unavailable) as caught:
        SqlJobRepository(engine)
    assert caught.value.code == "wrong_schema"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_store_of_a_newer_version_is_refused_and_says_which_version_made_it(engine: Engine) -> None:
    bring_forward(engine)
    with engine.begin() as db:
        db.exec_driver_sql("UPDATE alembic_version SET version_num = '9001'")
    assert "newer than this version of stemwright-server: it has revision 9001, and" in refused(engine)
    with engine.begin() as db:
        db.exec_driver_sql("INSERT INTO schema_history VALUES ('9001', '9.0.1', 1.0)")
    assert "has revision 9001, made by stemwright-server 9.0.1, and" in refused(engine)
    with engine.connect() as db:
        assert db.exec_driver_sql("SELECT version_num FROM alembic_version").scalar() == "9001"


@pytest.mark.parametrize("number", [1, 2, 4])
def test_a_store_that_no_release_made_is_refused(engine: Engine, number: int) -> None:
    to_baseline(engine)
    with engine.begin() as db:
        db.execute(update(baseline_version).values(version=number))
    assert f"has schema {number}, which no release ever made" in refused(engine)


def test_a_refusal_shows_no_password(postgres: Postgres) -> None:
    url = make_url(postgres.database()).set(password="hush")
    engine = postgres_engine(url.update_query_dict({"sslpassword": "hush too"}), pool=2)
    bring_forward(engine)
    with engine.begin() as db:
        db.exec_driver_sql("UPDATE alembic_version SET version_num = '9001'")
    assert "hush" not in refused(engine)
    engine.dispose()


# Who made it


def test_a_store_says_which_version_made_its_revision(engine: Engine) -> None:
    assert status(engine).revision is None
    to_baseline(engine)
    before = status(engine)
    assert (before.revision, before.made_by, before.pending, before.newer) == (BASELINE, None, REVISIONS[1:], False)
    bring_forward(engine)
    after = status(engine)
    assert (after.revision, after.made_by, after.pending) == (HEAD, version("stemwright-server"), ())
