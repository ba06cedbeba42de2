"""All that is SQLite's own: the engine, its pragmas, and how it begins a transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event

READ_ONLY = "stemwright_read_only"  # execution option: the transaction only reads


def sqlite_engine(path: Path) -> Engine:
    """An engine over the database file at ``path``, made if absent.

    WAL lets readers go on while one writes. FULL makes an answered request outlive a power cut.
    """
    engine = create_engine(
        f"sqlite:///{path}",
        connect_args={"timeout": 30, "check_same_thread": False},
        pool_size=40,  # as many as the API has threads
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A writer takes the lock at once: read-then-write can then neither deadlock nor work on old rows.
        read_only = connection.get_execution_options().get(READ_ONLY, False)
        connection.exec_driver_sql("BEGIN" if read_only else "BEGIN IMMEDIATE")

    return engine
