"""The outbox in SQL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict

from sqlalchemy import ColumnElement, Connection, and_, delete, exists, func, insert, or_, select, update

from stemwright_server.adapters.jobs.rows import row_delivery
from stemwright_server.adapters.jobs.tables import deliveries, jobs
from stemwright_server.domain.delivery import Delivery, DeliveryState, delivery_of
from stemwright_server.domain.job import Job
from stemwright_server.domain.lifecycle import Transition
from stemwright_worker.errors import NotFound

_PENDING = deliveries.c.state == DeliveryState.PENDING
_ENDED = deliveries.c.state.in_((DeliveryState.DELIVERED, DeliveryState.DEAD))  # not: what a newer version wrote


class SqlDeliveries(ABC):
    """Implements ports.deliveries.Deliveries."""

    @abstractmethod
    def _read(self) -> AbstractContextManager[Connection]: ...

    @abstractmethod
    def _write(self) -> AbstractContextManager[Connection]: ...

    def _announce(self, db: Connection, before: Job, transition: Transition) -> None:
        """Within the transaction that changes the job: no end without its webhook, and no webhook without the end."""
        if before.state.final or not transition.job.state.final:
            return
        if (delivery := delivery_of(transition.job)) is not None:
            db.execute(insert(deliveries).values(asdict(delivery)))

    def lease_deliveries(self, *, now: float, lease_until: float, limit: int) -> Sequence[Delivery]:
        free = or_(deliveries.c.lease_until.is_(None), deliveries.c.lease_until <= now)
        due = and_(_PENDING, deliveries.c.due_at <= now, free)
        oldest = select(deliveries.c.id).where(due).order_by(deliveries.c.due_at, deliveries.c.id).limit(limit)
        with self._read() as db:  # most rounds find nothing, and a writer waits for its turn
            if db.execute(oldest.limit(1)).first() is None:
                return []
        with self._write() as db:
            # Two statements: within one, PostgreSQL may run the inner one again and take more than the limit.
            ids = db.scalars(oldest.with_for_update(skip_locked=True)).all()
            take = update(deliveries).where(deliveries.c.id.in_(ids)).returning(deliveries)
            more = {"tries": deliveries.c.tries + 1, "revision": deliveries.c.revision + 1}
            taken = [row_delivery(row) for row in db.execute(take.values(more | {"lease_until": lease_until}))]
        return sorted(taken, key=lambda delivery: (delivery.due_at, delivery.id))

    def keep_body(self, delivery_id: str, body: bytes) -> bytes:
        this = deliveries.c.id == delivery_id
        with self._write() as db:
            db.execute(update(deliveries).where(this, deliveries.c.body.is_(None)).values(body=body))
            kept = db.scalar(select(deliveries.c.body).where(this))
        if kept is None:
            raise NotFound(f"There is no webhook {delivery_id!r} any more.")
        return bytes(kept)

    def settle_delivery(self, delivery: Delivery) -> bool:
        leased = (deliveries.c.id == delivery.id, deliveries.c.revision == delivery.revision - 1)
        values = asdict(delivery)
        del values["body"]  # is written by keep_body alone
        with self._write() as db:
            return db.execute(update(deliveries).where(*leased).values(values)).rowcount == 1

    def deliveries(self, *, state: DeliveryState | None = None, limit: int = 1000) -> Sequence[Delivery]:
        query = select(deliveries).order_by(deliveries.c.created_at.desc(), deliveries.c.id).limit(limit)
        with self._read() as db:
            rows = db.execute(query if state is None else query.where(deliveries.c.state == state))
            return [row_delivery(row) for row in rows]

    def count_deliveries(self) -> Mapping[DeliveryState, int]:
        query = select(deliveries.c.state, func.count()).group_by(deliveries.c.state)
        with self._read() as db:
            found = {row[0]: row[1] for row in db.execute(query)}
        return {state: found.get(state, 0) for state in DeliveryState}

    def delivery(self, delivery_id: str) -> Delivery | None:
        with self._read() as db:
            row = db.execute(select(deliveries).where(deliveries.c.id == delivery_id)).one_or_none()
        return row_delivery(row) if row else None

    def replay_delivery(self, delivery_id: str, now: float) -> bool:
        again = {"state": DeliveryState.PENDING, "tries": 0, "due_at": now, "ended_at": None}
        ended = (deliveries.c.id == delivery_id, _ENDED)
        query = update(deliveries).where(*ended).values(again | {"revision": deliveries.c.revision + 1})
        with self._write() as db:
            return db.execute(query).rowcount == 1


def awaits_its_body() -> ColumnElement[bool]:
    """Whether a job has a webhook whose body is still to be made from it."""
    return exists().where(deliveries.c.job_id == jobs.c.id, _PENDING, deliveries.c.body.is_(None))


def forget_deliveries(db: Connection, dropped: Sequence[str], *, ended_before: float) -> None:
    """Those of the dropped jobs, but for what is to be sent or may be replayed; that too, if it ended before then."""
    dead = and_(deliveries.c.state == DeliveryState.DEAD, deliveries.c.body.is_not(None))
    db.execute(delete(deliveries).where(deliveries.c.job_id.in_(dropped), _ENDED, ~dead))
    due = deliveries.c.due_at < ended_before  # it was due before it ended, and by that there is an index
    left = ~exists().where(jobs.c.id == deliveries.c.job_id)
    db.execute(delete(deliveries).where(_ENDED, due, deliveries.c.ended_at < ended_before, left))
