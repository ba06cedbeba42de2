"""Wake-ups for every API process over one PostgreSQL, by NOTIFY. One may still be lost; nobody relies on it."""

from __future__ import annotations

import secrets
from threading import Condition, Event, Thread

import psycopg
import structlog
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError

from stemwright_server.adapters.wakeups.in_process import InProcessWakeUps
from stemwright_server.ports.wakeups import WORK

_CHANNEL = "stemwright"
_LISTEN_SECONDS = 1.0  # how long the end may take
_log = structlog.get_logger(__name__)


class PostgresWakeUps(InProcessWakeUps):
    """Wakes in this process at once, and in others by two threads: one sends, one listens."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        self._me = secrets.token_hex(4)  # our own messages come back, and wake nobody again
        self._pending: set[str] = set()
        self._changed = Condition()
        self._ended = Event()
        self._threads = [Thread(target=run, name=run.__name__, daemon=True) for run in (self._send, self._hear)]
        for thread in self._threads:
            thread.start()

    def wake(self, name: str = WORK) -> None:
        """Wake all who listen for ``name``, here and in the other processes."""
        super().wake(name)
        with self._changed:
            self._pending.add(name)  # wakes of one name that wait to be sent are one
            self._changed.notify()

    def close(self) -> None:
        """Wake everybody here for the last time, and end the threads."""
        super().close()
        self._ended.set()
        with self._changed:
            self._changed.notify()
        for thread in self._threads:
            thread.join()

    def _send(self) -> None:
        statement = text("SELECT pg_notify(:channel, name) FROM unnest(CAST(:names AS text[])) AS name")
        while not self._ended.is_set():
            with self._changed:
                self._changed.wait_for(lambda: self._pending or self._ended.is_set())
                names, self._pending = self._pending, set()
            try:
                with self._engine.begin() as db:
                    db.execute(statement, {"channel": _CHANNEL, "names": [f"{self._me} {name}" for name in names]})
            except SQLAlchemyError as error:
                _log.warning("wakeup_not_sent", error=type(error).__name__)  # everybody looks again after some seconds
                self._ended.wait(1.0)

    def _hear(self) -> None:
        url = self._engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
        while not self._ended.is_set():
            try:
                with psycopg.connect(url, autocommit=True, connect_timeout=5, keepalives_idle=30) as connection:
                    connection.execute(f"LISTEN {_CHANNEL}")
                    while not self._ended.is_set():
                        for notice in connection.notifies(timeout=_LISTEN_SECONDS):
                            sender, _, name = notice.payload.partition(" ")
                            if sender != self._me:
                                super().wake(name)
            except psycopg.Error as error:
                _log.warning("wakeups_not_heard", error=type(error).__name__)
                self._ended.wait(1.0)
