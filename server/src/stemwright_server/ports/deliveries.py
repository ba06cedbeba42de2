"""The outbox: webhooks that wait to be sent. Kept by the job repository, in the transactions that end jobs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from stemwright_server.domain.delivery import Delivery, DeliveryState, Result
from stemwright_server.domain.job import Job


class Deliveries(Protocol):
    """Webhooks. ``Jobs.change`` adds one when a job that wants it ends, whatever the end is."""

    def lease_deliveries(self, *, now: float, lease_until: float, limit: int) -> Sequence[Delivery]:
        """Take pending ones that are due and nobody sends, oldest first: tries + 1. None is handed out twice."""
        ...

    def keep_body(self, delivery_id: str, body: bytes) -> bytes:
        """Store the body unless there is one; return the one that is stored.

        Raises:
            NotFound: there is no such delivery.
        """
        ...

    def settle_delivery(self, delivery: Delivery) -> bool:
        """Write what ``settle`` made of a leased one. False, and nothing is written, if another has overtaken it."""
        ...

    def deliveries(self, *, state: DeliveryState | None = None, limit: int = 1000) -> Sequence[Delivery]:
        """Those in a state, or all; the newest first."""
        ...

    def count_deliveries(self) -> Mapping[DeliveryState, int]:
        """How many are in each state."""
        ...

    def delivery(self, delivery_id: str) -> Delivery | None:
        """One by its id. None if there is none."""
        ...

    def replay_delivery(self, delivery_id: str, now: float) -> bool:
        """Send it again from the first try, the same bytes under the same id. False if there is none, or it is under way."""
        ...


class WebhookSender(Protocol):
    """Sends one try."""

    def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> Result:
        """POST; never raises for what a receiver or the network does."""
        ...


class WebhookBody(Protocol):
    """Makes the body of one kind of webhook."""

    def __call__(self, job: Job) -> bytes:
        """The bytes to be sent about an ended job.

        Raises:
            ServiceError: it cannot be made now; the delivery is tried again later.
        """
        ...
