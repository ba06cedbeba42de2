"""Sums that outlive their jobs, in SQL."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager

from sqlalchemy import Connection, select

from stemwright_server.adapters.jobs.tables import counters
from stemwright_server.adapters.jobs.upsert import upsert
from stemwright_server.domain.counters import Labels
from stemwright_server.domain.counters import counters as counters_of
from stemwright_server.domain.job import Job
from stemwright_server.domain.lifecycle import Transition


class SqlCounters(ABC):
    """Implements ports.jobs.Counters."""

    @abstractmethod
    def _read(self) -> AbstractContextManager[Connection]: ...

    def counters(self) -> Mapping[tuple[str, Labels], float]:
        with self._read() as db:
            return {(row.name, _labels(row.labels)): row.amount for row in db.execute(select(counters))}

    def _count(self, db: Connection, before: Job, transition: Transition) -> None:
        """Within the transaction that changes the job."""
        for each in counters_of(before, transition):
            row = {"name": each.name, "labels": json.dumps(dict(each.labels)), "amount": each.amount}
            new = upsert(db, counters).values(row)
            more = {"amount": counters.c.amount + new.excluded.amount}
            db.execute(new.on_conflict_do_update(index_elements=[counters.c.name, counters.c.labels], set_=more))


def _labels(text: str) -> Labels:
    return tuple(sorted(json.loads(text).items()))
