"""``INSERT ... ON CONFLICT DO UPDATE``, which SQLAlchemy has for each database apart."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table


def upsert(db: Connection, table: Table) -> Any:
    """An insert with ``on_conflict_do_update``, for the database behind ``db``; the other's dialect is not imported."""
    if db.dialect.name == "postgresql":
        from sqlalchemy.dialects.postgresql import insert

        return insert(table)
    from sqlalchemy.dialects.sqlite import insert as sqlite_insert

    return sqlite_insert(table)
