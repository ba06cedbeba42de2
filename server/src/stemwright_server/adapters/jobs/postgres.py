"""All that is PostgreSQL's own: the engine, its time limits, its locks, and the database's time."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Lock
from typing import Any

from sqlalchemy import URL, Engine, create_engine, event, func

from stemwright_worker.errors import ServiceError, Unavailable

# Advisory locks are numbers, shared by all schemas of a database: the second number tells them apart.
SCHEMA_LOCK = 0x57E3_0001
SWEEP_LOCK = 0x57E3_0002
CLEAN_LOCK = 0x57E3_0003
HERE = func.hashtext(func.current_schema())

# A process that hangs in the middle of a transaction loses it, and with it every lock, after the third.
_SESSION = "SET statement_timeout = '30s'; SET lock_timeout = '20s'; SET idle_in_transaction_session_timeout = '60s'"
_CLOCK_SECONDS = 30.0  # how long the database's time is carried on by our own monotonic clock


def postgres_engine(url: URL, *, pool: int) -> Engine:
    """An engine of at most ``pool`` connections. Connects when first used. Raises Unavailable without the driver."""
    try:
        engine = create_engine(
            url.set(drivername="postgresql+psycopg"),
            pool_size=min(pool, 5),
            max_overflow=max(pool - 5, 0),
            pool_timeout=20.0,
            pool_recycle=1800,
            pool_pre_ping=True,  # a connection that died while it lay in the pool is nobody's error
            connect_args={"connect_timeout": 5, "keepalives_idle": 30, "keepalives_interval": 10},
        )
    except ModuleNotFoundError as error:
        raise Unavailable(
            "DATABASE_URL names PostgreSQL, whose driver is not here: pip install 'stemwright-server[postgres]'.",
            code="extra_missing",
        ) from error

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _record: Any) -> None:
        connection.autocommit = True
        connection.execute(_SESSION)
        connection.autocommit = False

    return engine


class DatabaseClock:
    """The database's time, so that a lease means the same to every API process whatever its own clock says.

    Asked for every half minute and carried on by this machine's monotonic clock in between.
    """

    def __init__(self, ask: Callable[[], float], *, every: float = _CLOCK_SECONDS) -> None:
        """``ask``: the database's time in unix seconds, or ServiceError."""
        self._ask = ask
        self._every = every
        self._lock = Lock()
        self._asked: float | None = None
        self._offset = time.time() - time.monotonic()

    def __call__(self) -> float:
        """Unix seconds."""
        with self._lock:
            now = time.monotonic()
            if self._asked is None or now - self._asked > self._every:
                self._asked = now
                try:
                    told = self._ask()
                except ServiceError:
                    return now + self._offset  # as measured last; whoever needs the database will say that it is away
                after = time.monotonic()
                self._offset = told - (now + after) / 2
            return time.monotonic() + self._offset
