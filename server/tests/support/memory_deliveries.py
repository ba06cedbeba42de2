"""The outbox in a dictionary."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from threading import RLock

from stemwright_server.domain.delivery import Delivery, DeliveryState, delivery_of
from stemwright_server.domain.job import Job
from stemwright_server.domain.lifecycle import Transition
from stemwright_worker.errors import NotFound


class MemoryDeliveries:
    """Implements ports.deliveries.Deliveries."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._deliveries: dict[str, Delivery] = {}

    def _announce(self, before: Job, transition: Transition) -> None:
        if before.state.final or not transition.job.state.final:
            return
        if (delivery := delivery_of(transition.job)) is not None:
            self._deliveries[delivery.id] = delivery

    def _awaits_its_body(self, job_id: str) -> bool:
        theirs = [each for each in self._deliveries.values() if each.job_id == job_id]
        return any(each.state is DeliveryState.PENDING and each.body is None for each in theirs)

    def _forget_deliveries(self, dropped: Collection[str], left: Collection[str], *, ended_before: float) -> None:
        for each in list(self._deliveries.values()):
            dead = each.state is DeliveryState.DEAD and each.body is not None
            old = each.job_id not in left and (each.ended_at or 0.0) < ended_before
            if each.state is not DeliveryState.PENDING and ((each.job_id in dropped and not dead) or old):
                del self._deliveries[each.id]

    def lease_deliveries(self, *, now: float, lease_until: float, limit: int) -> Sequence[Delivery]:
        with self._lock:
            due = [
                each
                for each in self._deliveries.values()
                if each.state is DeliveryState.PENDING and each.due_at <= now and (each.lease_until or 0.0) <= now
            ]
            due.sort(key=lambda each: (each.due_at, each.id))
            taken = [
                replace(each, lease_until=lease_until, tries=each.tries + 1, revision=each.revision + 1)
                for each in due[:limit]
            ]
            self._deliveries |= {each.id: each for each in taken}
            return taken

    def keep_body(self, delivery_id: str, body: bytes) -> bytes:
        with self._lock:
            found = self._deliveries.get(delivery_id)
            if found is None:
                raise NotFound(f"There is no webhook {delivery_id!r} any more.")
            kept = body if found.body is None else found.body
            self._deliveries[delivery_id] = replace(found, body=kept)
            return kept

    def settle_delivery(self, delivery: Delivery) -> bool:
        with self._lock:
            found = self._deliveries.get(delivery.id)
            if found is None or found.revision != delivery.revision - 1:
                return False
            self._deliveries[delivery.id] = replace(delivery, body=found.body)
            return True

    def deliveries(self, *, state: DeliveryState | None = None, limit: int = 1000) -> Sequence[Delivery]:
        found = [each for each in list(self._deliveries.values()) if state in (None, each.state)]
        return sorted(found, key=lambda each: (-each.created_at, each.id))[:limit]

    def count_deliveries(self) -> Mapping[DeliveryState, int]:
        states = [each.state for each in list(self._deliveries.values())]
        return {state: states.count(state) for state in DeliveryState}

    def delivery(self, delivery_id: str) -> Delivery | None:
        return self._deliveries.get(delivery_id)

    def replay_delivery(self, delivery_id: str, now: float) -> bool:
        with self._lock:
            found = self._deliveries.get(delivery_id)
            if found is None or found.state is DeliveryState.PENDING:
                return False
            self._deliveries[delivery_id] = replace(
                found, state=DeliveryState.PENDING, tries=0, due_at=now, ended_at=None, revision=found.revision + 1
            )
            return True
