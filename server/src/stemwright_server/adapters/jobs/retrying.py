"""What passes by itself is tried again: two transactions that met, a database that was restarted."""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from sqlalchemy.exc import DataError, DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from stemwright_worker.errors import InvalidRequest, ServiceError, StorageFull, Unavailable

C = TypeVar("C", bound=type)
P = ParamSpec("P")
T = TypeVar("T")
_TRIES = 5
_PASSING = ("40001", "40P01", "55P03", "57P")  # serialization, deadlock, lock not had in time, server going down
_AWAY = ("08", "53300", "57P")  # connection, too many of them, server going down
# Of SQLite: the file cannot be read or written, or is no database. Its own wait for a lock is over when it says BUSY.
_UNUSABLE = ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM", "SQLITE_IOERR", "SQLITE_NOTADB", "SQLITE_CORRUPT")


def retrying(repository: C) -> C:
    """Class decorator: every public method is tried again after a passing fault, and raises ServiceError after a lasting one.

    Methods are one transaction each, so that a second try finds all of the first or nothing of it.
    """
    for name in dir(repository):
        method = getattr(repository, name)
        if not name.startswith("_") and callable(method):
            setattr(repository, name, again(method))
    return repository


def again(method: Callable[P, T]) -> Callable[P, T]:
    """Decorator of one function that is one transaction: see ``retrying``."""

    @functools.wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        for tried in range(1, _TRIES + 1):
            try:
                return method(*args, **kwargs)
            except (DBAPIError, PoolTimeout) as error:
                found = _explained(error)
                if found is None:
                    raise
                lasting = not found.retryable or isinstance(found, StorageFull) or _said_by_sqlite(error)
                if tried == _TRIES or lasting:
                    raise found from error
                time.sleep(random.uniform(0.5, 1.5) * 0.05 * 2**tried)  # noqa: S311  # 0.1 to 1.6 s, about 3 s in all
        raise AssertionError("the last try returns or raises")

    return call


def _explained(error: Exception) -> ServiceError | None:
    """In our words; None if it is a fault of ours."""
    if isinstance(error, PoolTimeout):
        return Unavailable("The job store has no connection to spare; try again.", code="database_busy")
    assert isinstance(error, DBAPIError)
    if (said := _said_by_sqlite(error)).startswith("SQLITE_BUSY"):
        return Unavailable("The job store is locked by another process; try again.", code="database_busy")
    if said.startswith(_UNUSABLE):
        return Unavailable(
            f"The job store cannot be used: {error.orig}; look at its file, its folder and their owner.",
            code="database_unusable",
        )
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(error, OperationalError) and (state == "53100" or "full" in str(error.orig)):
        return StorageFull("No room left for the job store.")
    if isinstance(error, DataError):
        return InvalidRequest("A text in the request is too long, or holds a character that cannot be stored.")
    if isinstance(state, str) and state.startswith(_PASSING):
        return Unavailable("The job store was busy with the same rows; try again.", code="database_busy")
    # Without a state it is the driver that speaks: there was no server to give one. SQLite never has states.
    silent = isinstance(error, OperationalError) and state is None and hasattr(error.orig, "sqlstate")
    if error.connection_invalidated or silent or (isinstance(state, str) and state.startswith(_AWAY)):
        return Unavailable("The job store cannot be reached; try again.", code="database_unreachable")
    return None


def _said_by_sqlite(error: Exception) -> str:
    """SQLite's name of the error; "" if it is not SQLite's."""
    return str(getattr(getattr(error, "orig", None), "sqlite_errorname", ""))
