"""Tickets for event streams, in SQL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager

from sqlalchemy import Connection, delete, func, insert, select

from stemwright_server.adapters.jobs.tables import tickets


class SqlTickets(ABC):
    """Implements ports.jobs.Tickets."""

    @abstractmethod
    def _read(self) -> AbstractContextManager[Connection]: ...

    @abstractmethod
    def _write(self) -> AbstractContextManager[Connection]: ...

    def add_ticket(self, digest: str, *, owner: str, until: float) -> None:
        with self._write() as db:
            db.execute(insert(tickets).values(digest=digest, owner=owner, until=until))

    def tickets_of(self, owner: str, now: float) -> int:
        query = select(func.count()).select_from(tickets).where(tickets.c.owner == owner, tickets.c.until > now)
        with self._read() as db:
            return db.scalar(query) or 0

    def take_ticket(self, digest: str, now: float) -> str | None:
        take = delete(tickets).where(tickets.c.digest == digest).returning(tickets.c.owner, tickets.c.until)
        with self._write() as db:
            row = db.execute(take).one_or_none()
        return row.owner if row is not None and row.until > now else None

    def drop_tickets(self, now: float) -> None:
        with self._write() as db:
            db.execute(delete(tickets).where(tickets.c.until <= now))
