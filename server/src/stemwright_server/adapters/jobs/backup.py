"""A copy of the store while it is in use."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from sqlalchemy import URL, Engine, func, select

from stemwright_worker.errors import Conflict, StorageFull, Unavailable


def back_up(engine: Engine, target: Path) -> None:
    """Write a consistent copy of the store to ``target``: a SQLite database, or a dump for ``pg_restore``.

    Raises:
        Conflict: ``target`` exists.
        StorageFull: there is no room.
        Unavailable: ``target`` cannot be written, there is no ``pg_dump``, or it failed.
    """
    if engine.dialect.name == "sqlite":
        copy_sqlite(Path(str(engine.url.database)), target)
    else:
        with engine.connect() as db:
            schema = db.scalar(select(func.current_schema()))
        _written(target, lambda part: _dump(engine.url, str(schema), part))


def copy_sqlite(store: Path, target: Path) -> None:
    """The database file as of now, by SQLite's own means: others may go on reading and writing.

    Raises:
        Conflict: ``target`` exists.
        StorageFull: there is no room.
        Unavailable: ``target`` cannot be written, or ``store`` not read.
    """

    def copy(part: Path) -> None:
        with closing(sqlite3.connect(store, timeout=30)) as source, closing(sqlite3.connect(part)) as copied:
            source.backup(copied)

    try:
        _written(target, copy)
    except sqlite3.Error as error:
        if "full" in str(error):
            raise StorageFull(f"No room left for a copy of the job store at {target}.") from error
        raise Unavailable(f"Cannot copy the job store {store}: {error}.", code="copy_failed") from error


def _written(target: Path, write: Callable[[Path], None]) -> None:
    """``target`` is there when it is whole, and readable by its owner only, as it holds what the store does."""
    if target.exists():
        raise Conflict(
            f"{target} exists, and a copy of the store overwrites nothing: name another file.", code="exists"
        )
    part = target.with_name(f"{target.name}.part")
    try:
        part.unlink(missing_ok=True)  # of a copy that was killed
        part.touch(mode=0o600)
        write(part)
        part.rename(target)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StorageFull(f"No room left for a copy of the job store at {target}.") from error
        raise Unavailable(
            f"Cannot write a copy of the job store to {target}: {error.strerror}; name another file.",
            code="copy_failed",
        ) from error
    finally:
        part.unlink(missing_ok=True)


def _dump(url: URL, schema: str, part: Path) -> None:
    program = shutil.which("pg_dump")
    if program is None:
        raise Unavailable(
            "pg_dump is not installed here: install PostgreSQL's client programs, or run where they are: "
            f"pg_dump --format=custom --schema={schema} --file=FILE DATABASE_URL",
            code="pg_dump_missing",
        )
    # Whoever lists processes sees their arguments, so the passwords go by the environment; libpq has none for sslpassword.
    password = url.password or url.query.get("password")
    shown = url.set(drivername="postgresql").difference_update_query(["password", "sslpassword"])
    shown = URL.create(shown.drivername, shown.username, None, shown.host, shown.port, shown.database, shown.query)
    command = [program, "--format=custom", f'--schema="{schema}"', f"--file={part}", f"--dbname={shown}"]
    environment = os.environ | ({"PGPASSWORD": str(password)} if password else {})
    done = subprocess.run([*command, "--no-password"], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = " ".join(done.stderr.split())
        raise Unavailable(f"pg_dump could not copy the job store: {said}", code="pg_dump_failed")
