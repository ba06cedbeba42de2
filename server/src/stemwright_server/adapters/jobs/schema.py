"""The revision of a store, and how it is brought forward when it is opened."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import structlog
from sqlalchemy import Column, Connection, Engine, MetaData, String, Table, delete, func, insert, inspect, select, text

from stemwright_server.adapters.jobs.backup import copy_sqlite
from stemwright_server.adapters.jobs.postgres import HERE, SCHEMA_LOCK
from stemwright_server.adapters.jobs.retrying import again
from stemwright_server.adapters.jobs.sqlite import READ_ONLY
from stemwright_server.adapters.jobs.tables import BASELINE_VERSION, baseline_version, history, jobs, metadata
from stemwright_worker.errors import Unavailable

# The revisions that this version knows, oldest first: as the migrations say, which a test holds it to. Kept here so that
# a store that is up to date is opened without importing alembic.
REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007")
BASELINE, HEAD = REVISIONS[0], REVISIONS[-1]

_log = structlog.get_logger(__name__)
_alembic = Table("alembic_version", MetaData(), Column("version_num", String(32), primary_key=True))


@dataclass(frozen=True, kw_only=True)
class Upgrade:
    """What was done to a store."""

    before: str | None  # its revision; None: there was no store, and now there is an empty one
    after: str
    copy: Path | None = None  # of the store as it was: SQLite's only


@again
def bring_forward(engine: Engine) -> Upgrade | None:
    """Make the tables, or run the migrations that are missing. None if there was nothing to do.

    One transaction, under a lock: of processes that start at once, one does it and the others find it done.

    Raises:
        Unavailable: the store is one of a newer version, or of one before the first release (code "wrong_schema"); or the
            database cannot be reached, or is busy.
        StorageFull: there is no room for the copy of a SQLite store, or for its new tables.
    """
    with engine.connect().execution_options(**{READ_ONLY: True}) as db:
        if checked_revision(db) == HEAD:
            return None
    with _copies(engine) as copy_before, engine.begin() as db:  # SQLite: BEGIN IMMEDIATE: one writer from here on
        if db.dialect.name == "postgresql":
            db.execute(select(func.pg_advisory_xact_lock(SCHEMA_LOCK, HERE)))
            # A new column waits for every transaction on its table, and all that come later wait for it: not for long.
            # What it has to do once it has the table may take what it takes.
            db.execute(text("SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = 0"))
        before = checked_revision(db)
        if before == HEAD:
            return None
        if before is None:
            metadata.create_all(db)
            db.execute(insert(baseline_version).values(version=BASELINE_VERSION))
            _stamp(db, HEAD)
            _remember(db, HEAD)
            return Upgrade(before=None, after=HEAD)
        copy = copy_before()
        from stemwright_server.adapters.jobs.migrating import run_migrations

        if before == BASELINE:
            _stamp(db, BASELINE)
        run_migrations(db, HEAD)
        for each in REVISIONS[REVISIONS.index(before) + 1 :]:
            _remember(db, each)
    _log.info("store_upgraded", store=place(engine), before=before, after=HEAD, copy=str(copy) if copy else None)
    return Upgrade(before=before, after=HEAD, copy=copy)


@dataclass(frozen=True, kw_only=True)
class Status:
    """What there is to know of a store without opening it."""

    place: str
    revision: str | None  # None: an empty database
    made_by: str | None  # the version of stemwright-server that brought it there, if that was written down
    pending: tuple[str, ...]  # revisions it has not got yet
    newer: bool  # than this version knows
    jobs: Mapping[str, int]  # how many are in each state


def status(engine: Engine) -> Status:
    """What a store is, without changing it.

    Raises:
        Unavailable: it was made before the first release (code "wrong_schema").
    """
    with engine.connect().execution_options(**{READ_ONLY: True}) as db:
        found = stored_revision(db)
        newer = found is not None and found not in REVISIONS
        counted = select(jobs.c.state, func.count()).group_by(jobs.c.state)
        return Status(
            place=place(engine),
            revision=found,
            made_by=made_by_version(db, found) if found else None,
            pending=() if newer else REVISIONS[REVISIONS.index(found) + 1 if found else 0 :],
            newer=newer,
            jobs={row[0]: row[1] for row in db.execute(counted)} if found else {},
        )


def stored_revision(db: Connection) -> str | None:
    """What the store says, whether known here or not; None for an empty database.

    Raises:
        Unavailable: it was made before the first release (code "wrong_schema").
    """
    tables = inspect(db)
    if tables.has_table(_alembic.name) and (found := db.scalar(select(_alembic.c.version_num))) is not None:
        return str(found)
    if not tables.has_table(baseline_version.name):
        return None
    number = db.scalar(select(baseline_version.c.version))
    if number not in (None, BASELINE_VERSION):
        raise Unavailable(
            f"The job store in {place(db.engine)} has schema {number}, which no release ever made, and cannot be brought "
            "forward: keep it, and start with a new database.",
            code="wrong_schema",
        )
    return BASELINE


def checked_revision(db: Connection) -> str | None:
    """One of REVISIONS; None for an empty database.

    Raises:
        Unavailable: this version does not know the store's revision (code "wrong_schema").
    """
    found = stored_revision(db)
    if found is None or found in REVISIONS:
        return found
    made_by = made_by_version(db, found)
    by = f", made by stemwright-server {made_by}" if made_by else ""
    raise Unavailable(
        f"The job store in {place(db.engine)} is newer than this version of stemwright-server: it has revision {found}{by}, "
        f"and {HEAD} is the last one known here. Start that version or a later one, or restore the copy made before.",
        code="wrong_schema",
    )


def made_by_version(db: Connection, revision: str) -> str | None:
    """The version of stemwright-server that brought the store to a revision, if that was written down."""
    if not inspect(db).has_table(history.name):
        return None
    return db.scalar(select(history.c.version).where(history.c.revision == revision))


def place(engine: Engine) -> str:
    """Where the store is, for people: a path, or a URL without its passwords."""
    url = engine.url
    if url.get_backend_name() == "sqlite":
        return str(url.database)
    url = url.set(drivername="postgresql").difference_update_query(["password", "sslpassword"])
    return url.render_as_string(hide_password=True)


def _stamp(db: Connection, revision: str) -> None:
    _alembic.create(db, checkfirst=True)
    db.execute(delete(_alembic))
    db.execute(insert(_alembic).values(version_num=revision))


def _remember(db: Connection, revision: str) -> None:
    row = {"revision": revision, "version": version("stemwright-server"), "applied_at": time.time()}
    db.execute(insert(history).values(row))


@contextmanager
def _copies(engine: Engine) -> Iterator[Callable[[], Path | None]]:
    """What copies a SQLite store beside itself, as it is now; an older copy is never overwritten.

    If the store is not brought forward the copy goes: a service that is started again and again would fill the disk.
    """
    made: list[Path] = []

    def copy_before() -> Path | None:
        if engine.dialect.name != "sqlite":
            return None
        store = Path(str(engine.url.database))
        target, number = store.with_name(f"{store.name}.before-{HEAD}"), 1
        while target.exists():
            number += 1
            target = store.with_name(f"{store.name}.before-{HEAD}.{number}")
        copy_sqlite(store, target)
        made.append(target)
        return target

    try:
        yield copy_before
    except BaseException:
        for target in made:
            target.unlink(missing_ok=True)
        raise
