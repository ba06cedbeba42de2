"""Runs ``migrations``. The one module that imports alembic: it is imported only when there is something to run."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection

_MIGRATIONS = Path(__file__).with_name("migrations")  # a folder of scripts that alembic loads, no package


def run_migrations(db: Connection, revision: str) -> None:
    """Bring the tables forward to ``revision`` in the transaction that ``db`` is in; nothing is committed."""
    command.upgrade(config(db), revision)


def config(db: Connection | None = None) -> Config:
    """Alembic's configuration: where the migrations are, and the connection they use. There is no ``alembic.ini``."""
    found = Config(attributes={"connection": db})
    found.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))  # it interpolates
    return found
