"""What administrators ask the SQL repository for: jobs of all owners, their attempts, services that are paused."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager

from sqlalchemy import Connection, delete, literal, or_, select, tuple_

from stemwright_server.adapters.jobs.rows import row_attempt, row_job
from stemwright_server.adapters.jobs.tables import attempts, jobs, paused_services
from stemwright_server.adapters.jobs.upsert import upsert
from stemwright_server.domain.job import Attempt, Job, Outcome
from stemwright_server.ports.jobs import JobFilter, Place

_READABLE = or_(attempts.c.outcome.is_(None), attempts.c.outcome.in_(tuple(Outcome)))  # not: what a newer version wrote


class SqlAdministration(ABC):
    """Implements that part of ports.jobs.JobRepository."""

    @abstractmethod
    def _read(self) -> AbstractContextManager[Connection]: ...

    @abstractmethod
    def _write(self) -> AbstractContextManager[Connection]: ...

    def search(self, wanted: JobFilter, *, limit: int, before: Place | None = None) -> Sequence[Job]:
        columns = (jobs.c.owner, jobs.c.service, jobs.c.dialect, jobs.c.track_id)
        values = (wanted.owner, wanted.service, wanted.dialect, wanted.track_id)
        equal = (column == value for column, value in zip(columns, values, strict=True) if value is not None)
        query = select(jobs).where(*equal)
        if wanted.states is not None:
            query = query.where(jobs.c.state.in_(wanted.states))
        if before is not None:
            query = query.where(tuple_(jobs.c.created_at, jobs.c.id) < tuple_(*map(literal, before)))
        newest = query.order_by(jobs.c.created_at.desc(), jobs.c.id.desc()).limit(limit)
        with self._read() as db:
            return [row_job(row) for row in db.execute(newest)]

    def attempts_of(self, job_id: str) -> Sequence[Attempt]:
        query = select(attempts).where(attempts.c.job_id == job_id, _READABLE).order_by(attempts.c.number)
        with self._read() as db:
            return [row_attempt(row) for row in db.execute(query)]

    def pause_service(self, name: str, now: float) -> None:
        with self._write() as db:
            new = upsert(db, paused_services).values(name=name, paused_at=now)
            db.execute(new.on_conflict_do_nothing(index_elements=[paused_services.c.name]))

    def resume_service(self, name: str) -> bool:
        with self._write() as db:
            return db.execute(delete(paused_services).where(paused_services.c.name == name)).rowcount > 0

    def paused_services(self) -> Sequence[str]:
        with self._read() as db:
            return list(db.scalars(select(paused_services.c.name).order_by(paused_services.c.name)))
