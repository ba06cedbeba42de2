"""Workers in SQL: who was heard of, who is drained, where jobs fail."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict

from sqlalchemy import Connection, delete, select

from stemwright_server.adapters.jobs.rows import row_health, row_worker
from stemwright_server.adapters.jobs.tables import ailing_workers, drained_workers, workers
from stemwright_server.adapters.jobs.upsert import upsert
from stemwright_server.domain.worker import SeenWorker
from stemwright_server.domain.worker_health import WorkerHealth


class SqlWorkers(ABC):
    """Implements ports.jobs.Workers and ports.jobs.Ailing."""

    @abstractmethod
    def _read(self) -> AbstractContextManager[Connection]: ...

    @abstractmethod
    def _write(self) -> AbstractContextManager[Connection]: ...

    def see_worker(self, worker: SeenWorker) -> None:
        values = asdict(worker)
        with self._write() as db:
            new = upsert(db, workers).values(values)
            db.execute(new.on_conflict_do_update(index_elements=[workers.c.worker], set_=values))

    def forget_workers(self, prefix: str) -> None:
        with self._write() as db:
            for table in (workers, ailing_workers):
                db.execute(delete(table).where(table.c.worker.startswith(prefix, autoescape=True)))
            # Ids are never used again; the name of a host, which is shorter, stays drained.
            db.execute(delete(drained_workers).where(drained_workers.c.prefix.startswith(prefix, autoescape=True)))

    def drop_workers(self, seen_before: float) -> None:
        with self._write() as db:
            db.execute(delete(workers).where(workers.c.seen_at < seen_before))
            db.execute(delete(ailing_workers).where(ailing_workers.c.noted_at < seen_before))

    def seen_workers(self) -> Sequence[SeenWorker]:
        with self._read() as db:
            return [row_worker(row) for row in db.execute(select(workers).order_by(workers.c.worker))]

    def drain_workers(self, prefix: str, now: float) -> None:
        with self._write() as db:
            new = upsert(db, drained_workers).values(prefix=prefix, drained_at=now)
            db.execute(new.on_conflict_do_nothing(index_elements=[drained_workers.c.prefix]))

    def resume_workers(self, prefix: str) -> bool:
        with self._write() as db:
            return db.execute(delete(drained_workers).where(drained_workers.c.prefix == prefix)).rowcount > 0

    def drained_workers(self) -> Sequence[str]:
        with self._read() as db:
            return list(db.scalars(select(drained_workers.c.prefix).order_by(drained_workers.c.prefix)))

    def keep_health(self, health: WorkerHealth, now: float) -> None:
        values = asdict(health) | {"noted_at": now}
        with self._write() as db:
            new = upsert(db, ailing_workers).values(values)
            db.execute(new.on_conflict_do_update(index_elements=[ailing_workers.c.worker], set_=values))

    def forget_health(self, worker: str) -> None:
        with self._write() as db:
            db.execute(delete(ailing_workers).where(ailing_workers.c.worker == worker))

    def ailing_workers(self) -> Sequence[WorkerHealth]:
        with self._read() as db:
            return [row_health(row) for row in db.execute(select(ailing_workers).order_by(ailing_workers.c.worker))]
